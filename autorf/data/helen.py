"""Helen's faces with the labels of Smith et al.: a probability map for every part of every face."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autorf.data.arrays import read_numbers
from autorf.data.decoding import Decoder
from autorf.data.face_images import faces_of, paired
from autorf.data.face_spec import HelenData
from autorf.data.heat_map import with_heat_map
from autorf.data.mask_files import Classes
from autorf.data.names import check_file, on_disk, shown
from autorf.data.official import Layout, check_apart, listed
from autorf.data.pairs import Pair, by_stem
from autorf.data.picture_cache import PictureCache
from autorf.data.picture_spec import Pictures
from autorf.data.reading import read_splits
from autorf.data.segmentation_set import SegmentationSet
from autorf.errors import InputError

CLASS_NAMES = (
    "background",
    "skin",
    "left brow",
    "right brow",
    "left eye",
    "right eye",
    "nose",
    "upper lip",
    "inner mouth",
    "lower lip",
    "hair",
)
LABEL_GROUPS = {
    "face": (1,),
    "nose": (6,),
    "upper_lip": (7,),
    "inner_mouth": (8,),
    "lower_lip": (9,),
    "eyes": (4, 5),
    "brows": (2, 3),
    "mouth": (7, 8, 9),
    "overall": (2, 3, 4, 5, 6, 7, 8, 9),
}
"""The columns of the papers' tables."""

LEFT_OUT = (10,)
"""Hair was cut out by a matting algorithm and is not scored, as in the papers."""

LISTS = {"train": "exemplars.txt", "val": "tuning.txt", "test": "testing.txt"}
LAYOUT = Layout(
    ("images", "labels", *LISTS.values()),
    "SmithCVPR2013_dataset_resized, of the project Exemplar-Based Face Parsing, University of Wisconsin",
)

_LINE = re.compile(r"\s*\d+\s*,\s*(\S+)\s*")
_MAP = re.compile(r"(?P<name>.+)_lbl(?P<label>\d+)\.png")


def helen_sets(spec: HelenData, cache: PictureCache | None = None) -> Mapping[str, SegmentationSet]:
    """The exemplars for training, the tuning images for validation, and the testing images.

    Raises:
        InputError: when the layout or a file is not as it must be.
    """
    sets = read_splits(helen_pairs(spec), helen_decoder(spec), own_masks=spec.score_at == "mask", cache=cache)
    return with_heat_map(sets, spec.landmarks)


def helen_decoder(spec: HelenData) -> Decoder:
    """What reads a face and its maps."""
    plain = Decoder(spec.image_size, len(CLASS_NAMES), spec.ignored, pictures=spec.pictures)
    return replace(plain, read_classes=most_probable, faces=faces_of(spec.landmarks, spec.align))


def helen_pairs(spec: HelenData) -> dict[str, list[Pair]]:
    """The files of every split: of a face its picture, and its maps, that of the background first.

    Raises:
        InputError: when the layout is not as it must be.
    """
    root = on_disk(spec.root)
    LAYOUT.check(root)
    names = {file: listed(root / file, _named, "'NUMBER , NAME'") for file in LISTS.values()}
    check_apart(names)
    images = by_stem(root / "images", (".jpg", ".jpeg", ".png"), spec.pictures.names)
    faces = faces_of(spec.landmarks, spec.align)
    return {
        split: [paired(_pair(root, name, images, file), faces) for name in sorted(names[file])]
        for split, file in LISTS.items()
    }


def _named(line: str) -> str | None:
    match = _LINE.fullmatch(line)
    return None if match is None or "/" in match[1] else match[1]


def _pair(root: Path, name: str, images: dict[str, Path], file: str) -> Pair:
    if name not in images:
        raise InputError(
            f"{shown(root / file)}: names {name[:60]!r}, of which there is no images/{name[:60]}.jpg; complete the "
            "images, or take its line away"
        )
    maps = [root / "labels" / name / f"{name}_lbl{label:02}.png" for label in range(len(CLASS_NAMES))]
    for path in (images[name], *maps):
        check_file(path)
    return Pair(images[name], maps[0], tuple(maps[1:]))


def most_probable(background: Path, pictures: Pictures) -> Classes:
    """The class of every pixel ``(h, w)`` that is most probable, the first of several; background where none is.

    Args:
        background: the map of the first class; the other ten lie beside it.
        pictures: how picture files are read.

    Raises:
        InputError: for a map that is missing, damaged, no grey picture or of another size, or of an unknown class.
    """
    match = _MAP.fullmatch(background.name)
    assert match is not None, "a pair names the first map"
    for path in sorted(background.parent.glob("*_lbl*.png")):
        other = _MAP.fullmatch(path.name)
        if other is not None and int(other["label"]) >= len(CLASS_NAMES):
            raise InputError(
                f"{shown(path)}: is a map of label {other['label']}; legal are 00 to {len(CLASS_NAMES) - 1}; "
                "take it away"
            )
    best = _probability(background, pictures)
    classes = np.zeros(best.shape, np.uint8)
    for label in range(1, len(CLASS_NAMES)):
        path = background.with_name(f"{match['name']}_lbl{label:02}.png")
        probability = _probability(path, pictures)
        if probability.shape != best.shape:
            raise InputError(
                f"{shown(path)}: is {_size(probability)} pixels and the map of the background {_size(best)}; the maps "
                "of a face have one size"
            )
        classes[probability > best] = label
        best = np.maximum(best, probability)
    return classes


def _probability(path: Path, pictures: Pictures) -> NDArray[np.float32]:
    """A map ``(h, w)``, from 0 to 1 however many bits it has."""
    numbers: NDArray[Any] = read_numbers(path, pictures)
    if numbers.ndim == 3 and (numbers == numbers[..., :1]).all():
        # Grey, and saved as a colour picture or with a grey palette.
        numbers = numbers[..., 0]
    if numbers.ndim != 2:
        raise InputError(f"{shown(path)}: is a colour picture; a label probability map is grey, 0 for 0 and 255 for 1")
    if numbers.dtype == np.bool_:
        return numbers.astype(np.float32)
    if numbers.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{shown(path)}: holds {numbers.dtype}; a label probability map holds 8 or 16 bits a pixel")
    return numbers.astype(np.float32) / np.float32(np.iinfo(numbers.dtype).max)


def _size(array: NDArray[Any]) -> str:
    return f"{array.shape[0]} x {array.shape[1]}"
