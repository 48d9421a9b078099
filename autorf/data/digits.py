"""Handwritten digits of a chosen size on a textured canvas."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from autorf.data.segmentation_set import InMemory, SegmentationSet
from autorf.data.spec import SMALLEST_DIGIT, DigitsData

CLASS_NAMES = ("background", *(str(digit) for digit in range(10)))
SPLITS = ("train", "val", "test")

Array = NDArray[np.float32]

_SHARES = (0.7, 0.15, 0.15)  # of the source digits
_TEXTURE_CELLS = (4, 8, 16, 32)  # pixels a wave of the canvas
_PLACEMENTS = 100  # tries to place one more digit before the image is full
_STROKE = 0.3  # of full ink: where a stroke's edge is


@dataclass(frozen=True)
class _Digits:
    """Source digits ``(n, 8, 8)``, ink 0 to 1, and what they show, 0 to 9."""

    images: Array
    labels: NDArray[np.int64]


def digit_sets(spec: DigitsData) -> dict[str, SegmentationSet]:
    """Draw the splits of ``spec`` that hold any image: ``train``, ``val`` and ``test``."""
    counts = dict(zip(SPLITS, (spec.n_train, spec.n_val, spec.n_test), strict=True))
    sources = _source_digits(spec.seed)
    return {
        split: SegmentationSet(_draw(spec, sources[split], SPLITS.index(split), count), spec.image_size, None)
        for split, count in counts.items()
        if count
    }


def _source_digits(seed: int) -> Mapping[str, _Digits]:
    """The bundled digits, each class shared out over the splits."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images, labels = (data.images / 16).astype(np.float32), data.target.astype(np.int64)
    rng = np.random.default_rng([seed, len(SPLITS)])
    members: tuple[list[NDArray[np.intp]], ...] = ([], [], [])
    for digit in range(10):
        order = rng.permutation(np.flatnonzero(labels == digit))
        bounds = np.round(np.cumsum(_SHARES)[:-1] * len(order)).astype(int)
        for part, share in zip(members, np.split(order, bounds), strict=True):
            part.append(share)
    chosen = [np.concatenate(part) for part in members]
    return {split: _Digits(images[index], labels[index]) for split, index in zip(SPLITS, chosen, strict=True)}


def _draw(spec: DigitsData, digits: _Digits, split: int, count: int) -> InMemory:
    @cache
    def enlarged(side: int) -> Array:
        ink = torch.from_numpy(digits.images)[:, None]
        larger = F.interpolate(ink, (side, side), mode="bicubic", align_corners=False)
        return larger[:, 0].clamp_(0, 1).numpy()

    images = np.empty((count, 3, *spec.image_size), np.uint8)
    masks = np.zeros((count, *spec.image_size), np.uint8)
    for i in range(count):
        # A generator an image: more images of a split leave the first ones as they were.
        rng = np.random.default_rng([spec.seed, split, i])
        canvas = _canvas(spec, rng)
        for top, left, side in _places(spec, rng):
            source = rng.integers(len(digits.labels))
            ink, window = enlarged(side)[source], (slice(top, top + side), slice(left, left + side))
            color = (rng.uniform(0.8, 1.0) + rng.uniform(-0.1, 0.1, (3, 1, 1))).astype(np.float32)
            canvas[:, *window] += ink * (color - canvas[:, *window])
            masks[i][window][ink > _STROKE] = digits.labels[source] + 1
        canvas += rng.normal(0, spec.noise, canvas.shape).astype(np.float32)
        images[i] = (canvas.clip(0, 1) * 255).round()
    return InMemory(torch.from_numpy(images), torch.from_numpy(masks))


def _canvas(spec: DigitsData, rng: np.random.Generator) -> Array:
    """Smooth waves of several lengths around a dark colour, ``(3, H, W)``."""
    waves = torch.zeros(spec.image_size)
    for cell in _TEXTURE_CELLS:
        cells = [max(side // cell, 2) for side in spec.image_size]
        coarse = torch.from_numpy(rng.normal(0, 1, (1, 1, *cells)).astype(np.float32))
        waves += F.interpolate(coarse, spec.image_size, mode="bicubic", align_corners=False)[0, 0]
    color = rng.uniform(0.1, 0.3) + rng.uniform(-0.1, 0.1, (3, 1, 1))
    return (color + spec.texture * (waves / waves.std()).numpy()).astype(np.float32)


def _places(spec: DigitsData, rng: np.random.Generator) -> NDArray[np.int64]:
    """Top, left and side ``(n, 3)`` of as many squares as fit without overlap, the sizes in turn, the large first."""
    places = np.empty((0, 3), np.int64)
    while True:
        found = len(places)
        for size in sorted(spec.object_size, reverse=True):
            tries = _tries(spec, size, rng)
            free = np.flatnonzero(_apart(tries[:, None], places).all(axis=1))[:1]
            places = np.concatenate([places, tries[free]])
        if len(places) == found:
            return places


def _tries(spec: DigitsData, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Squares of about ``size`` anywhere in the image, ``(_PLACEMENTS, 3)``."""
    factors = rng.uniform(1 - spec.size_jitter, 1 + spec.size_jitter, _PLACEMENTS)
    sides = np.rint(size * factors).astype(np.int64).clip(SMALLEST_DIGIT, min(spec.image_size))
    height, width = spec.image_size
    return np.stack([rng.integers(height - sides + 1), rng.integers(width - sides + 1), sides], axis=1)


def _apart(square: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether squares ``(..., 3)`` of top, left and side have no pixel in common."""
    starts, ends = square[..., :2], square[..., :2] + square[..., 2:]
    other_starts, other_ends = other[..., :2], other[..., :2] + other[..., 2:]
    apart: NDArray[np.bool_] = np.any((ends <= other_starts) | (other_ends <= starts), axis=-1)
    return apart
