"""Images and their masks, matched by stem."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autorf.errors import InputError

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
MASK_SUFFIXES = (".png",)


@dataclass(frozen=True, order=True)
class Pair:
    """The files of one image and its mask."""

    image: Path
    mask: Path


def require_folder(folder: Path, layout: str) -> None:
    """Check that ``folder`` is one.

    Raises:
        InputError: naming the folder and the ``layout`` expected.
    """
    if not folder.is_dir():
        fault = "is no folder" if folder.exists() else "does not exist"
        raise InputError(f"{folder}: {fault}; expected {layout}")


def find_pairs(images: Path, masks: Path, layout: str) -> list[Pair]:
    """All images of a folder with the mask of the same stem, sorted by name.

    Raises:
        InputError: when a folder is missing or empty, or a file has no partner.
    """
    for folder in (images, masks):
        require_folder(folder, layout)
    image_files, mask_files = _by_stem(images, IMAGE_SUFFIXES), _by_stem(masks, MASK_SUFFIXES)
    for stem, file in image_files.items():
        if stem not in mask_files:
            raise InputError(f"{file}: has no mask; expected {masks / f'{stem}.png'}{_foreign(masks, stem)}")
    for stem, file in mask_files.items():
        if stem not in image_files:
            raise InputError(f"{file}: has no image; expected {images / stem} with one of {', '.join(IMAGE_SUFFIXES)}")
    if not image_files:
        raise InputError(f"{images}: holds no image ({', '.join(IMAGE_SUFFIXES)}); expected {layout}")
    return [Pair(file, mask_files[stem]) for stem, file in sorted(image_files.items())]


def split_off(pairs: Sequence[Pair], fraction: float) -> tuple[list[Pair], list[Pair]]:
    """Two parts, ``1 - fraction`` and ``fraction`` of the pairs, neither empty; chosen by the hash of the file name.

    Raises:
        InputError: when there are fewer than two pairs.
    """
    if len(pairs) < 2:
        raise InputError(f"{pairs[0].image.parent}: one image cannot be split into training and validation; add more")
    by_hash = sorted(pairs, key=lambda pair: hashlib.sha256(pair.image.stem.encode()).digest())
    count = min(max(round(fraction * len(pairs)), 1), len(pairs) - 1)
    return sorted(by_hash[count:]), sorted(by_hash[:count])


def _by_stem(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed: {error.strerror}") from None
    by_stem: dict[str, Path] = {}
    for file in files:
        if file.suffix.lower() not in suffixes or file.name.startswith("."):
            continue
        if file.stem in by_stem:
            raise InputError(f"{file}: has the same stem as {by_stem[file.stem].name}; keep one of them")
        by_stem[file.stem] = file
    return by_stem


def _foreign(masks: Path, stem: str) -> str:
    """A hint where the mask is there in a format that does not keep classes exactly."""
    others = [file.name for file in sorted(masks.glob("*")) if file.stem == stem]
    return f"; {others[0]} is no PNG: save masks as 8-bit PNG" if others else ""
