"""Folders of pictures and masks as people and tools leave them."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.data.pictures import save_palette

Mask = NDArray[np.uint8]

SIZE = (48, 64)
COLOURS = [(128, 64, 128), (0, 0, 142), (220, 20, 60)]


def scene(number: int, size: tuple[int, int] = SIZE) -> Mask:
    """Classes 0 to 2: an object of each of the last two somewhere on class 0."""
    mask = np.zeros(size, np.uint8)
    top, left = 2 + number % 5, 3 + number % 7
    mask[top : top + 14, left : left + 20] = 1
    mask[top + 20 : top + 28, left + 22 : left + 34] = 2
    return mask


def photograph(mask: Mask, number: int) -> NDArray[np.uint8]:
    """Colours that follow the classes."""
    noise = np.random.default_rng(number).integers(0, 60, (*mask.shape, 3))
    return (mask[..., None] * 90 + noise).clip(0, 255).astype(np.uint8)


def save(file: Path, pixels: NDArray[np.generic]) -> None:
    """Write an array as a picture, or as an array where the name says so."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".npy":
        np.save(file, pixels)
    else:
        Image.fromarray(pixels).save(file)


def write_pairs(
    root: Path,
    places: Iterable[tuple[str, str]],
    *,
    mask_of: Callable[[Mask], NDArray[np.generic]] = lambda mask: mask,
    image_of: Callable[[Mask, int], NDArray[np.generic]] = photograph,
) -> None:
    """Write images and masks at the given pairs of paths below ``root``."""
    for number, (image, mask) in enumerate(places):
        classes = scene(number)
        save(root / image, image_of(classes, number))
        save(root / mask, mask_of(classes))


def write_palette_masks(root: Path, names: Iterable[str]) -> None:
    """Masks whose numbers are shown in colours."""
    for number, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        save_palette(scene(number), COLOURS, file)


def coloured(mask: Mask) -> NDArray[np.uint8]:
    """A mask as a colour picture."""
    return np.array(COLOURS, np.uint8)[mask]


def split_places(image: str, mask: str, splits: Iterable[str] = ("train", "val", "test")) -> list[tuple[str, str]]:
    """Three pairs a split, ``{split}`` and ``{n}`` filled in; no two have one name."""
    return [
        tuple(pattern.format(split=split, n=f"{split}{n}") for pattern in (image, mask))  # type: ignore[misc]
        for split in splits
        for n in range(3)
    ]
