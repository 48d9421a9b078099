"""The part labels of LFW: funneled faces whose superpixels are hair, skin or background."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autorf.data.decoding import Decoder
from autorf.data.face_images import faces_of, paired
from autorf.data.face_spec import LfwData
from autorf.data.heat_map import with_heat_map
from autorf.data.mask_files import Classes
from autorf.data.names import check_file, on_disk, shown
from autorf.data.official import Layout, check_apart, listed
from autorf.data.opening import FORMATS, open_picture
from autorf.data.pairs import Pair
from autorf.data.picture_cache import PictureCache
from autorf.data.picture_spec import Pictures
from autorf.data.reading import read_splits
from autorf.data.segmentation_set import SegmentationSet
from autorf.errors import InputError

CLASS_NAMES = ("background", "hair", "skin")
LABEL_GROUPS = {"background": (0,), "hair": (1,), "face": (2,)}
"""A class each, so that the F1 that the papers report of each can be an objective."""

LISTS = {"train": "parts_train.txt", "val": "parts_validation.txt", "test": "parts_test.txt"}
IMAGES, MASKS = "lfw_funneled", "parts_lfw_funneled_gt_images"
SUPERPIXELS, SUPERPIXEL_LABELS = "parts_lfw_funneled_superpixels_mat", "parts_lfw_funneled_gt"
LAYOUT = Layout((IMAGES, *LISTS.values()), "LFW funneled and Part Labels Database, University of Massachusetts")

_COLOURS = ((0, 0, 255), (255, 0, 0), (0, 255, 0))
"""Of the classes in the label pictures, in their order."""

_RELEASED = (1, 2, 0)
"""The class of each label of the superpixel files: 0 is hair, 1 skin, 2 background."""

_LINE = re.compile(r"\s*([^\s/]+)\s+(\d{1,4})\s*")


def lfw_sets(spec: LfwData, cache: PictureCache | None = None) -> Mapping[str, SegmentationSet]:
    """The official training, validation and test splits.

    Raises:
        InputError: when the layout or a file is not as it must be.
    """
    sets = read_splits(lfw_pairs(spec), lfw_decoder(spec), own_masks=spec.score_at == "mask", cache=cache)
    return with_heat_map(sets, spec.landmarks)


def lfw_decoder(spec: LfwData) -> Decoder:
    """What reads a face and its labels."""
    plain = Decoder(spec.image_size, len(CLASS_NAMES), spec.ignored, pictures=spec.pictures)
    return replace(plain, read_classes=labels_in_file, faces=faces_of(spec.landmarks, spec.align))


def lfw_pairs(spec: LfwData) -> dict[str, list[Pair]]:
    """The files of every split: of a face its picture, and its label picture or its two superpixel files.

    Raises:
        InputError: when the layout is not as it must be.
    """
    root = on_disk(spec.root)
    LAYOUT.check(root)
    superpixels = (SUPERPIXELS, SUPERPIXEL_LABELS)
    if not (root / MASKS).is_dir() and not all((root / part).is_dir() for part in superpixels):
        raise InputError(
            f"{shown(root, 70)}: holds no labels: {MASKS}, or {' and '.join(superpixels)}; to be had as {LAYOUT.source}"
        )
    names = {file: listed(root / file, _named, "'NAME NUMBER'") for file in LISTS.values()}
    check_apart(names)
    faces = faces_of(spec.landmarks, spec.align)
    return {split: [paired(_pair(root, name), faces) for name in sorted(names[file])] for split, file in LISTS.items()}


def _named(line: str) -> str | None:
    match = _LINE.fullmatch(line)
    return None if match is None else f"{match[1]}_{int(match[2]):04}"


def _pair(root: Path, name: str) -> Pair:
    person = name[: -len("_0001")]
    image = on_disk(root / IMAGES / person / f"{name}.jpg")
    if (root / MASKS).is_dir():
        pair = Pair(image, on_disk(root / MASKS / f"{name}.ppm"))
    else:
        regions, labels = (on_disk(root / part / person / f"{name}.dat") for part in (SUPERPIXELS, SUPERPIXEL_LABELS))
        pair = Pair(image, regions, (labels,))
    for path in (pair.image, *pair.mask_files):
        check_file(path)
    return pair


def labels_in_file(mask: Path, pictures: Pictures) -> Classes:
    """The class of every pixel ``(h, w)``.

    Args:
        mask: a label picture (``.ppm``), or the numbers of superpixels (``.dat``), whose labels lie in the other
            folder.
        pictures: how picture files are read.

    Raises:
        InputError: for a file that is damaged, or holds a colour, superpixel or label that there is none of.
    """
    if mask.suffix == ".dat":
        labels = mask.parents[2] / SUPERPIXEL_LABELS / mask.parent.name / mask.name
        return _of_superpixels(mask, _numbers(mask, 2), labels, _numbers(labels, 1))
    picture = open_picture(mask, pictures, formats=(*FORMATS, "PPM")).pixels
    if picture.mode != "RGB":
        raise InputError(
            f"{shown(mask)}: is no colour picture ({picture.mode}); hair is red, skin green, the rest blue"
        )
    colours = np.asarray(picture, np.uint8)
    classes = np.full(colours.shape[:2], len(CLASS_NAMES), np.uint8)
    for number, colour in enumerate(_COLOURS):
        classes[(colours == np.array(colour, np.uint8)).all(2)] = number
    unknown = classes == len(CLASS_NAMES)
    if unknown.any():
        raise InputError(
            f"{shown(mask)}: holds the colour {colours[unknown][0].tolist()} at {int(unknown.sum())} pixels; hair is "
            "[255, 0, 0], skin [0, 255, 0] and background [0, 0, 255]"
        )
    return classes


def _numbers(path: Path, dimensions: int) -> NDArray[np.int64]:
    """The whole numbers of a text file, lines of equally many, or one after the other."""
    check_file(path)
    try:
        rows = [
            [int(number) for number in line.split()] for line in path.read_text("ascii").splitlines() if line.strip()
        ]
    except (OSError, ValueError):
        raise InputError(f"{shown(path)}: is no text of whole numbers; take it from the archive anew") from None
    if dimensions == 1:
        return np.array([number for row in rows for number in row], np.int64)
    if not rows or len({len(row) for row in rows}) > 1:
        raise InputError(
            f"{shown(path)}: its lines are not equally long; they hold the superpixel of every pixel of a row"
        )
    return np.array(rows, np.int64)


def _of_superpixels(file: Path, regions: NDArray[np.int64], labels: Path, values: NDArray[np.int64]) -> Classes:
    """The class of every pixel by its superpixel's label; ``values`` are how many there are, and a label for each."""
    if len(values) < 2 or values[0] != len(values) - 1:
        told = f"and says {values[0]}" if len(values) else "at most"
        raise InputError(
            f"{shown(labels)}: holds {max(len(values) - 1, 0)} labels {told}: it holds how many there are first, then "
            "a label for each superpixel"
        )
    illegal = [int(label) for label in np.unique(values[1:]) if not 0 <= label < len(_RELEASED)]
    if illegal:
        raise InputError(f"{shown(labels)}: holds label {illegal[0]}; legal are 0 (hair), 1 (skin) and 2 (background)")
    if regions.min() < 0 or regions.max() >= len(values) - 1:
        outside = regions.min() if regions.min() < 0 else regions.max()
        raise InputError(
            f"{shown(file)}: holds superpixel {outside}, and {shown(labels, 70)} has labels of 0 to {len(values) - 2}"
        )
    return np.array(_RELEASED, np.uint8)[values[1:]][regions]
