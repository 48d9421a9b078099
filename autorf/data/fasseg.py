"""FASSEG's frontal faces."""

from collections.abc import Mapping
from dataclasses import replace

from autorf.data.decoding import Decoder, Fit
from autorf.data.face_images import faces_of, paired
from autorf.data.folds import train_and_val
from autorf.data.heat_map import with_heat_map
from autorf.data.names import on_disk
from autorf.data.pairs import Pair, find_pairs, require_folder
from autorf.data.picture_cache import PictureCache
from autorf.data.reading import read_splits
from autorf.data.segmentation_set import SegmentationSet
from autorf.data.spec import FassegData

CLASS_NAMES = ("background", "hair", "skin", "eyes", "nose", "mouth")
LABEL_GROUPS = {"overall": (3, 4, 5)}
"""The inner parts; the brows belong to the hair here."""


def fasseg_sets(spec: FassegData, cache: PictureCache | None = None) -> Mapping[str, SegmentationSet]:
    """The official training and test splits, part of the training images set aside for validation.

    Raises:
        InputError: when the layout or a file is not as it must be.
    """
    own_masks = spec.score_at == "mask"
    sets = read_splits(fasseg_pairs(spec), fasseg_decoder(spec), own_masks=own_masks, cache=cache)
    return with_heat_map(sets, spec.landmarks)


def fasseg_decoder(spec: FassegData) -> Decoder:
    """What reads the files."""
    faces = faces_of(spec.landmarks, spec.align)
    fit: Fit = "resize" if spec.patches is None else "whole"
    plain = Decoder(spec.image_size, len(CLASS_NAMES), spec.ignored, fit, pictures=spec.pictures)
    return replace(plain, faces=faces, ignored_beside_only=spec.align is not None)


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
    train, val = train_and_val(train, spec, root, spec.val_fraction, names)
    faces = faces_of(spec.landmarks, spec.align)
    pairs = {"train": train, "val": val, "test": test}
    return {split: [paired(pair, faces) for pair in members] for split, members in pairs.items()}
