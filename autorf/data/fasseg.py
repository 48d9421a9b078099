"""FASSEG's frontal faces."""

from collections.abc import Mapping

from autorf.data.decoding import Decoder
from autorf.data.face_images import faces_of, paired, with_heat_map
from autorf.data.names import on_disk
from autorf.data.pairs import Pair, find_pairs, require_folder, split_off
from autorf.data.reading import read_splits
from autorf.data.segmentation_set import SegmentationSet
from autorf.data.spec import FassegData

CLASS_NAMES = ("background", "hair", "skin", "eyes", "nose", "mouth")
LABEL_GROUPS = {"overall": (3, 4, 5)}
"""The inner parts; the brows belong to the hair here."""


def fasseg_sets(spec: FassegData) -> Mapping[str, SegmentationSet]:
    """The official training and test splits, part of the training images set aside for validation.

    Raises:
        InputError: when the layout or a file is not as it must be.
    """
    faces = faces_of(spec.landmarks, spec.align)
    decoder = Decoder(spec.image_size, len(CLASS_NAMES), spec.ignored, pictures=spec.pictures, faces=faces)
    return with_heat_map(read_splits(fasseg_pairs(spec), decoder, own_masks=spec.score_at == "mask"), spec.landmarks)


def fasseg_pairs(spec: FassegData) -> dict[str, list[Pair]]:
    """The files of every split.

    Raises:
        InputError: when the layout is not as it must be.
    """
    layout = "{train,test}/{images,labels}"
    root, names = on_disk(spec.root), spec.pictures.names
    require_folder(root, layout)
    train, test = (
        find_pairs(root / split / "images", root / split / "labels", layout, names) for split in ("train", "test")
    )
    train, val = split_off(train, spec.val_fraction, names)
    faces = faces_of(spec.landmarks, spec.align)
    pairs = {"train": train, "val": val, "test": test}
    return {split: [paired(pair, faces) for pair in members] for split, members in pairs.items()}
