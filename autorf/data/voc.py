"""PASCAL VOC 2012's segmentation as its archive lays it out, and its augmented training split."""

import re
from dataclasses import replace
from pathlib import Path

from autorf.data.decoding import Decoder
from autorf.data.mask_files import Classes, LegalClasses, read_mask
from autorf.data.names import check_file, on_disk, shown
from autorf.data.official import Layout, check_apart, listed
from autorf.data.pairs import Pair
from autorf.data.picture_cache import PictureCache
from autorf.data.picture_spec import Pictures
from autorf.data.reading import read_splits
from autorf.data.sbd import MAT, SBD, sbd_classes, sbd_names
from autorf.data.scene_spec import VocData
from autorf.data.segmentation_set import SegmentationSet
from autorf.errors import InputError

CLASS_NAMES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
IGNORE_INDEX = 255
"""Void: the borders of things, and what is too hard to tell."""

IMAGES, MASKS, AUGMENTED_MASKS = "JPEGImages", "SegmentationClass", "SegmentationClassAug"
TRAIN, VAL, AUGMENTED = (f"ImageSets/Segmentation/{name}.txt" for name in ("train", "val", "trainaug"))
LAYOUT = Layout(
    (IMAGES, MASKS, "ImageSets/Segmentation"),
    "VOCtrainval_11-May-2012.tar, PASCAL Visual Object Classes Challenge 2012",
    name="VOC2012",
)

_FORM = "'NAME', or '/JPEGImages/NAME.jpg /SegmentationClassAug/NAME.png'"
_NAME = re.compile(r"\s*([^\s/]+)\s*")
_FILES = re.compile(r"\s*/?JPEGImages/([^\s/]+)\.jpg\s+/?SegmentationClass(?:Aug)?/([^\s/]+)\.png\s*")


def voc_sets(spec: VocData, cache: PictureCache | None = None) -> dict[str, SegmentationSet]:
    """The official training and validation splits, or the augmented one for training.

    Raises:
        InputError: when the layout or a file is not as it must be.
    """
    return read_splits(voc_pairs(spec), voc_decoder(spec), own_masks=spec.score_at == "mask", cache=cache)


def voc_decoder(spec: VocData) -> Decoder:
    """What reads a picture and its mask."""
    decoder = Decoder(spec.image_size, len(CLASS_NAMES), IGNORE_INDEX, spec.fit, pictures=spec.pictures)
    return decoder if spec.sbd is None else replace(decoder, read_classes=classes_in_file)


def voc_pairs(spec: VocData) -> dict[str, list[Pair]]:
    """The files of every split.

    Raises:
        InputError: when the layout is not as it must be.
    """
    root = on_disk(spec.root)
    LAYOUT.check(root)
    val = listed(_list(root, VAL), _named, _FORM)
    if not spec.augmented:
        train = listed(_list(root, TRAIN), _named, _FORM)
        check_apart({TRAIN: train, VAL: val})
        pairs = [_pair(root, name, MASKS, TRAIN) for name in train]
    else:
        pairs = _augmented(root, val) if spec.sbd is None else _with_sbd(root, on_disk(spec.sbd), val)
    return {"train": sorted(pairs), "val": sorted(_pair(root, name, MASKS, VAL) for name in val)}


def _augmented(root: Path, val: list[str]) -> list[Pair]:
    if not (root / AUGMENTED_MASKS).is_dir():
        raise InputError(
            f"{shown(root, 70)}: holds no {AUGMENTED_MASKS}, the PNG masks of the augmented split; give data.sbd, the "
            f"folder {SBD.parts[0]} and {SBD.parts[1]} of {SBD.source} are in, or augmented: false"
        )
    train = listed(_list(root, AUGMENTED), _named, _FORM)
    check_apart({AUGMENTED: train, VAL: val})
    return [_pair(root, name, AUGMENTED_MASKS, AUGMENTED) for name in train]


def _with_sbd(root: Path, sbd: Path, val: list[str]) -> list[Pair]:
    """Of VOC's own training images its own masks, finer and with void borders; of the others those of SBD."""
    own = listed(_list(root, TRAIN), _named, _FORM)
    check_apart({TRAIN: own, VAL: val})
    # SBD divides the images in another way: its lists hold most of VOC's validation images too.
    others = sorted(sbd_names(sbd, _named) - {*own, *val})
    if not others:
        raise InputError(
            f"{shown(sbd)}: its lists name no image that VOC's do not; data.sbd is of {SBD.source}: leave augmented out"
        )
    pairs = [Pair(sbd / "img" / f"{name}.jpg", sbd / "cls" / f"{name}{MAT}") for name in others]
    for pair in pairs:
        check_file(pair.image)
        check_file(pair.mask)
    return [*(_pair(root, name, MASKS, TRAIN) for name in own), *pairs]


def _list(root: Path, file: str) -> Path:
    path = root / file
    if not path.is_file():
        source = "the augmented split" if file == AUGMENTED else LAYOUT.source
        raise InputError(f"{shown(path)}: no such list; it is part of {source}")
    return path


def _named(line: str) -> str | None:
    files = _FILES.fullmatch(line)
    if files is not None:
        return files[1] if files[1] == files[2] else None
    name = _NAME.fullmatch(line)
    return None if name is None else name[1]


def _pair(root: Path, name: str, masks: str, file: str) -> Pair:
    image, mask = on_disk(root / IMAGES / f"{name}.jpg"), on_disk(root / masks / f"{name}.png")
    for path in (image, mask):
        if not path.exists():
            raise InputError(
                f"{shown(root / file, 90)}: names {name[:40]!r}, of which there is no {path.parent.name}/"
                f"{path.name[:40]}; unpack the archive anew, or take its line away"
            )
        check_file(path)
    return Pair(image, mask)


def classes_in_file(mask: Path, pictures: Pictures) -> Classes:
    """The class of every pixel ``(h, w)`` of a mask of VOC (``.png``) or of SBD (``.mat``).

    Raises:
        InputError: for a file that is damaged, or holds a label that there is none of.
    """
    legal = LegalClasses(len(CLASS_NAMES), IGNORE_INDEX)
    if mask.suffix == MAT:
        classes = sbd_classes(mask, pictures)
        legal.check(mask, classes, "its classes are VOC's; take it from the archive anew")
        return classes
    return read_mask(mask, pictures, legal, None)
