"""Handwritten digits of a chosen size on a textured canvas."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from autorf.data.segmentation_set import SegmentationSet
from autorf.data.sources import InMemory, resized_masks
from autorf.data.spec import SMALLEST_DIGIT, DigitsData

CLASS_NAMES = ("background", *(str(digit) for digit in range(10)))
SPLITS = ("train", "val", "test")

Array = NDArray[np.float32]
Square = tuple[int, int, int]
"""Top, left and side in pixels."""

_FRACTIONS = (0.7, 0.15, 0.15)  # of the source digits
_TEXTURE_CELLS = (4, 8, 16, 32)  # pixels a wave of the canvas
_SHAKES = 15  # sweeps of random moves over an image's digits
_EMPTY = 0.25  # of the places: left without a digit
_STROKE = 0.2  # of full ink: where a stroke's edge is
_AT_ONCE = 64  # images that are resized together: as floats they take four times the memory


@dataclass(frozen=True)
class Digits:
    """Source digits ``(n, 8, 8)``, ink 0 to 1, and what they show, 0 to 9."""

    images: Array
    labels: NDArray[np.int64]


def digit_sets(spec: DigitsData) -> dict[str, SegmentationSet]:
    """Draw the splits of ``spec`` that hold any image: ``train``, ``val`` and ``test``."""
    counts = dict(zip(SPLITS, (spec.n_train, spec.n_val, spec.n_test), strict=True))
    sources = source_digits(spec.seed)
    sets: dict[str, SegmentationSet] = {}
    for split, count in counts.items():
        if count:
            scenes = _draw(spec, sources[split], SPLITS.index(split), count)
            own_masks = spec.score_at == "mask" and split != "train"
            sets[split] = _photographed(scenes, spec.image_size, own_masks=own_masks)
    return sets


def _photographed(scenes: InMemory, image_size: tuple[int, int], *, own_masks: bool) -> SegmentationSet:
    """Scenes at another size, as pictures on disk are resized; their masks too, unless they keep their own."""
    drawn_size = (scenes.masks.shape[1], scenes.masks.shape[2])
    if drawn_size == image_size:
        return SegmentationSet(scenes, image_size, None)
    images = resized(scenes.images, image_size)
    masks = scenes.masks if own_masks else resized_masks(scenes.masks, image_size)
    sizes = [drawn_size] * len(scenes) if own_masks else None
    return SegmentationSet(InMemory(images, masks), image_size, None, sizes)


def resized(images: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Images ``(N, 3, H, W)`` uint8 at another size."""
    return torch.cat([_resized(part, image_size) for part in images.split(_AT_ONCE)])


def _resized(images: Tensor, image_size: tuple[int, int]) -> Tensor:
    larger = F.interpolate(images.float(), image_size, mode="bilinear", antialias=True, align_corners=False)
    return larger.round().clamp_(0, 255).byte()


def source_digits(seed: int) -> Mapping[str, Digits]:
    """The bundled digits, each class shared out over the splits."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images, labels = (data.images / 16).astype(np.float32), data.target.astype(np.int64)
    rng = np.random.default_rng([seed, len(SPLITS)])
    members: tuple[list[NDArray[np.intp]], ...] = ([], [], [])
    for digit in range(10):
        order = rng.permutation(np.flatnonzero(labels == digit))
        bounds = np.round(np.cumsum(_FRACTIONS)[:-1] * len(order)).astype(int)
        for part, digits in zip(members, np.split(order, bounds), strict=True):
            part.append(digits)
    chosen = [np.concatenate(part) for part in members]
    return {split: Digits(images[index], labels[index]) for split, index in zip(SPLITS, chosen, strict=True)}


def enlarging(digits: Digits) -> Callable[[int], Array]:
    """What gives the digits ``(n, side, side)``, ink 0 to 1, at a side in pixels; each once."""

    @cache
    def enlarged(side: int) -> Array:
        ink = torch.from_numpy(digits.images)[:, None]
        larger = F.interpolate(ink, (side, side), mode="bicubic", align_corners=False)
        return larger[:, 0].clamp_(0, 1).numpy()

    return enlarged


def _draw(spec: DigitsData, digits: Digits, split: int, count: int) -> InMemory:
    enlarged = enlarging(digits)
    images = np.empty((count, 3, *spec.drawn_size), np.uint8)
    masks = np.zeros((count, *spec.drawn_size), np.uint8)
    for i in range(count):
        # A generator an image: more images of a split leave the first ones as they were.
        rng = np.random.default_rng([spec.seed, split, i])
        scene = canvas(spec.drawn_size, spec.texture, rng)
        for top, left, side in _places(spec, rng):
            source = rng.integers(len(digits.labels))
            ink, window = enlarged(side)[source], (slice(top, top + side), slice(left, left + side))
            color = (rng.uniform(0.8, 1.0) + rng.uniform(-0.1, 0.1, (3, 1, 1))).astype(np.float32)
            scene[:, *window] += ink * (color - scene[:, *window])
            masks[i][window][ink > _STROKE] = digits.labels[source] + 1
        scene += rng.normal(0, spec.noise, scene.shape).astype(np.float32)
        images[i] = (scene.clip(0, 1) * 255).round()
    return InMemory(torch.from_numpy(images), torch.from_numpy(masks))


def canvas(size: tuple[int, int], texture: float, rng: np.random.Generator) -> Array:
    """Smooth waves of several lengths around a dark colour, ``(3, H, W)``, of the deviation ``texture``."""
    waves = torch.zeros(size)
    for cell in _TEXTURE_CELLS:
        cells = [max(length // cell, 2) for length in size]
        coarse = torch.from_numpy(rng.normal(0, 1, (1, 1, *cells)).astype(np.float32))
        waves += F.interpolate(coarse, size, mode="bicubic", align_corners=False)[0, 0]
    color = rng.uniform(0.1, 0.3) + rng.uniform(-0.1, 0.1, (3, 1, 1))
    return (color + texture * (waves / waves.std()).numpy()).astype(np.float32)


def _places(spec: DigitsData, rng: np.random.Generator) -> list[Square]:
    """Squares without overlap: packed until none fits, the large ones first, then thinned out and shaken.

    At least one of each size is left.
    """
    sizes = sorted(spec.object_size, reverse=True)
    places: list[Square] = []
    placed = -1
    while placed < len(places):
        placed = len(places)
        for size in sizes:
            side = max(round(size * (1 - rng.uniform(0, spec.size_jitter))), SMALLEST_DIGIT)
            places += _next_place(places, side, spec.drawn_size)
    kept = [place for i, place in enumerate(places) if i < len(sizes) or rng.random() >= _EMPTY]
    return _shaken(kept, spec.drawn_size, rng)


def _next_place(places: list[Square], side: int, image_size: tuple[int, int]) -> list[Square]:
    """The free square nearest to the top left, or none."""
    free = np.ones([length - side + 1 for length in image_size], bool)
    for top, left, other in places:
        free[max(top - side + 1, 0) : top + other, max(left - side + 1, 0) : left + other] = False
    tops, lefts = np.nonzero(free)
    nearest = (tops + lefts).argsort(kind="stable")[:1]
    return [(int(tops[i]), int(lefts[i]), side) for i in nearest]


def _shaken(places: list[Square], image_size: tuple[int, int], rng: np.random.Generator) -> list[Square]:
    """The squares after many small random moves, of which those that end in another square are not made."""
    shaken = list(places)
    steps = rng.uniform(-0.5, 0.5, (_SHAKES, len(places), 2))
    for sweep in steps.tolist():
        for i, ((top, left, side), step) in enumerate(zip(shaken, sweep, strict=True)):
            down, right = (round(side * fraction) for fraction in step)
            moved = (
                min(max(top + down, 0), image_size[0] - side),
                min(max(left + right, 0), image_size[1] - side),
                side,
            )
            if all(_apart(moved, other) for k, other in enumerate(shaken) if k != i):
                shaken[i] = moved
    return shaken


def _apart(square: Square, other: Square) -> bool:
    top, left, side = square
    other_top, other_left, other_side = other
    rows = top + side <= other_top or other_top + other_side <= top
    return rows or left + side <= other_left or other_left + other_side <= left
