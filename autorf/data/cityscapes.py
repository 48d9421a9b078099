"""Cityscapes with its fine annotations, as its two archives lay them out."""

from pathlib import Path

from autorf.data.decoding import Decoder
from autorf.data.mask_table import IGNORED
from autorf.data.names import check_file, on_disk, shown, spelled
from autorf.data.official import Layout
from autorf.data.pairs import Pair, by_stem
from autorf.data.picture_cache import PictureCache
from autorf.data.reading import read_splits
from autorf.data.scene_spec import CityscapesData
from autorf.data.segmentation_set import SegmentationSet
from autorf.errors import InputError

CLASS_NAMES = (
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
)
IMAGES, MASKS = "leftImg8bit", "gtFine"
LAYOUT = Layout((IMAGES, MASKS), "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, the Cityscapes Dataset")

_KINDS = {"label": "labelIds", "train": "labelTrainIds"}
_IMAGE = f"_{IMAGES}"


def cityscapes_sets(spec: CityscapesData, cache: PictureCache | None = None) -> dict[str, SegmentationSet]:
    """The official training and validation splits.

    Raises:
        InputError: when the layout or a file is not as it must be.
    """
    return read_splits(cityscapes_pairs(spec), cityscapes_decoder(spec), own_masks=spec.score_at == "mask", cache=cache)


def cityscapes_decoder(spec: CityscapesData) -> Decoder:
    """What reads a picture and its ids."""
    return Decoder(spec.image_size, len(CLASS_NAMES), IGNORED, pictures=spec.pictures, table=spec.mask_table)


def cityscapes_pairs(spec: CityscapesData) -> dict[str, list[Pair]]:
    """The files of every split.

    Raises:
        InputError: when the layout is not as it must be.
    """
    root = on_disk(spec.root)
    LAYOUT.check(root)
    return {split: _of_split(root, split, spec) for split in ("train", "val")}


def _of_split(root: Path, split: str, spec: CityscapesData) -> list[Pair]:
    folders = [root / part / split for part in (IMAGES, MASKS)]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{shown(folder)}: is no folder; it is part of {LAYOUT.source}")
    names = spec.pictures.names
    cities = sorted({spelled(city.name, names) for folder in folders for city in folder.iterdir() if city.is_dir()})
    pairs = [pair for city in cities for pair in _of_city(root, split, city, spec)]
    if not pairs:
        raise InputError(f"{shown(folders[0])}: holds no CITY/NAME{_IMAGE}.png; to be had in {LAYOUT.source}")
    return pairs


def _of_city(root: Path, split: str, city: str, spec: CityscapesData) -> list[Pair]:
    images, masks = (on_disk(root / part / split / city) for part in (IMAGES, MASKS))
    ending = f"_{MASKS}_{_KINDS[spec.ids]}"
    image_files, mask_files = _named(images, _IMAGE, spec), _named(masks, ending, spec)
    for name in image_files:
        if name not in mask_files:
            raise InputError(_no_mask(masks / f"{name}{ending}.png", spec))
    for name in mask_files:
        if name not in image_files:
            raise InputError(f"{shown(mask_files[name])}: has no image {split}/{city}/{name}{_IMAGE}.png")
    for path in (*image_files.values(), *mask_files.values()):
        check_file(path)
    return [Pair(path, mask_files[name]) for name, path in sorted(image_files.items())]


def _named(folder: Path, ending: str, spec: CityscapesData) -> dict[str, Path]:
    """The pictures of a folder that have an ending, by what stands before it; none of a folder that is not there."""
    files = by_stem(folder, (".png",), spec.pictures.names) if folder.is_dir() else {}
    return {stem.removesuffix(ending): file for stem, file in files.items() if stem.endswith(ending)}


def _no_mask(expected: Path, spec: CityscapesData) -> str:
    other = next(kind for kind in _KINDS if kind != spec.ids)
    has_other = expected.with_name(expected.name.replace(_KINDS[spec.ids], _KINDS[other])).exists()
    repair = f"set data.ids: {other} to read {_KINDS[other]}" if has_other else f"to be had in {LAYOUT.source}"
    return f"{shown(expected)}: is not there, and its image is; {repair}"
