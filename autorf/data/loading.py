"""From what a study file says to checked splits."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from autorf.data import ade20k, camvid, cityscapes, digits, fasseg, helen, lfw, voc
from autorf.data.ade20k import ade20k_pairs, ade20k_sets
from autorf.data.built_in import BuiltIn
from autorf.data.camvid import camvid_pairs, camvid_sets
from autorf.data.cityscapes import cityscapes_pairs, cityscapes_sets
from autorf.data.class_sets import class_labels, class_pairs_of, class_splits
from autorf.data.class_spec import ClassData
from autorf.data.cutting import PatchCutter
from autorf.data.data_set import DataSet, Labels
from autorf.data.digits import digit_sets
from autorf.data.face_spec import HelenData, LfwData
from autorf.data.fasseg import fasseg_pairs, fasseg_sets
from autorf.data.folder import folder_pairs, folder_sets
from autorf.data.helen import helen_pairs, helen_sets
from autorf.data.label_groups import check_labels
from autorf.data.labelled import check_labelled, has_label
from autorf.data.lfw import lfw_pairs, lfw_sets
from autorf.data.mask_table import IGNORED
from autorf.data.names import on_disk
from autorf.data.pairs import Pair
from autorf.data.patch_spec import Patches, PictureFiles
from autorf.data.picture_cache import PictureCache
from autorf.data.python_data import PythonData
from autorf.data.python_sets import python_sets
from autorf.data.scene_spec import Ade20kData, CityscapesData, VocData
from autorf.data.segmentation_set import FILL_INDEX, SegmentationSet
from autorf.data.spec import CamVidData, DigitsData, FassegData, FolderData
from autorf.data.splits import Splits
from autorf.data.voc import voc_pairs, voc_sets
from autorf.errors import InputError

AnyData = BuiltIn | DataSet


def load_splits(spec: AnyData, seed: int, cache: Path | None = None) -> Splits:
    """Read and check the data set that ``spec`` describes; see ``autorf.data.load``."""
    pictures = _picture_cache(spec, cache)
    if isinstance(spec, PictureFiles) and spec.patches is not None:
        # Its classes are checked before anything is decoded.
        _cutter(spec.patches, labels_of(spec))
    match spec:
        case DigitsData():
            return _splits(spec, digit_sets(spec), seed)
        case FolderData():
            return _splits(spec, folder_sets(spec, pictures), seed)
        case CamVidData():
            return _splits(spec, camvid_sets(spec, pictures), seed)
        case FassegData():
            return _splits(spec, fasseg_sets(spec, pictures), seed)
        case HelenData():
            return _splits(spec, helen_sets(spec, pictures), seed)
        case LfwData():
            return _splits(spec, lfw_sets(spec, pictures), seed)
        case VocData():
            return _splits(spec, voc_sets(spec, pictures), seed)
        case CityscapesData():
            return _splits(spec, cityscapes_sets(spec, pictures), seed)
        case Ade20kData():
            return _splits(spec, ade20k_sets(spec, pictures), seed)
        case PythonData():
            return _splits(spec, python_sets(spec), seed)
        case ClassData():
            return class_splits(spec, seed)
        case DataSet():
            return _splits(spec, spec.sets(), seed)


def _picture_cache(spec: AnyData, cache: Path | None) -> PictureCache | None:
    if cache is None or isinstance(spec, DigitsData | PythonData | ClassData | DataSet):
        return None
    return PictureCache(cache.absolute(), on_disk(spec.root), spec.cache_gb, spec.digest_gb)


def pairs_of(spec: AnyData) -> Mapping[str, Sequence[Pair]]:
    """The files of every split of the data set that ``spec`` describes; none for one that is generated.

    Raises:
        InputError: when the layout is not as it must be.
    """
    match spec:
        case DigitsData() | PythonData():
            return {}
        case FolderData():
            return folder_pairs(spec)
        case CamVidData():
            return camvid_pairs(spec)
        case FassegData():
            return fasseg_pairs(spec)
        case HelenData():
            return helen_pairs(spec)
        case LfwData():
            return lfw_pairs(spec)
        case VocData():
            return voc_pairs(spec)
        case CityscapesData():
            return cityscapes_pairs(spec)
        case Ade20kData():
            return ade20k_pairs(spec)
        case ClassData():
            return class_pairs_of(spec)
        case DataSet():
            return spec.files()


def class_names(spec: AnyData) -> tuple[str, ...]:
    """The classes of the data set that ``spec`` describes, without reading it."""
    return labels_of(spec).class_names


def labels_of(spec: AnyData) -> Labels:
    """What the mask values of the data set that ``spec`` describes mean, without reading it."""
    match spec:
        case DigitsData():
            return Labels(digits.CLASS_NAMES)
        case FolderData():
            return Labels(spec.class_names, spec.ignored, spec.label_groups or None, spec.left_out_numbers)
        case CamVidData():
            return Labels(camvid.CLASS_NAMES, camvid.IGNORE_INDEX)
        case FassegData():
            return Labels(fasseg.CLASS_NAMES, spec.ignored, groups=fasseg.LABEL_GROUPS)
        case HelenData():
            return Labels(helen.CLASS_NAMES, spec.ignored, groups=helen.LABEL_GROUPS, left_out=helen.LEFT_OUT)
        case LfwData():
            return Labels(lfw.CLASS_NAMES, spec.ignored, lfw.LABEL_GROUPS)
        case VocData():
            return Labels(voc.CLASS_NAMES, voc.IGNORE_INDEX)
        case CityscapesData():
            return Labels(cityscapes.CLASS_NAMES, IGNORED)
        case Ade20kData():
            return Labels(ade20k.CLASS_NAMES, IGNORED)
        case PythonData():
            return Labels(spec.class_names, spec.ignored, spec.label_groups or None, spec.left_out_numbers)
        case ClassData():
            return class_labels(spec)
        case DataSet():
            return spec.labels()


def _splits(spec: BuiltIn | DataSet, sets: Mapping[str, SegmentationSet], seed: int) -> Splits:
    labels = labels_of(spec)
    check_labels(labels.class_names, labels.groups, labels.left_out)
    ignore_index = labels.ignore_index
    for split in ("train", "val"):
        check_labelled(sets[split], split, ignore_index)
    test = sets.get("test")
    if ignore_index is None and spec.augmentation.fills(spec.image_size):
        ignore_index = FILL_INDEX
    train = sets["train"] if spec.half is None else sets["train"].half(spec.half)
    if isinstance(spec, PictureFiles) and spec.patches is not None:
        train = train.in_patches(_cutter(spec.patches, labels))
    return Splits(
        train=train.with_augmentation(spec.augmentation, seed),
        val=sets["val"],
        # Held-out masks are often published without labels: there is nothing to measure on them.
        test=test if test is not None and has_label(test, ignore_index) else None,
        n_classes=len(labels.class_names),
        ignore_index=ignore_index,
        class_names=labels.class_names,
        image_size=spec.image_size,
        label_groups=labels.groups,
        left_out=labels.left_out,
    )


def _cutter(patches: Patches, labels: Labels) -> PatchCutter:
    try:
        return PatchCutter(patches, labels.class_names, labels.ignore_index)
    except ValueError as error:
        raise InputError(f"data: {error}") from None
