"""Handwritten digits at several sizes on a textured canvas, one class a picture."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from autorf.data.class_pictures import ClassSet
from autorf.data.class_spec import DIGITS, DigitClassesData
from autorf.data.digits import SPLITS, Array, Digits, canvas, enlarging, resized, source_digits
from autorf.data.sources import InMemory

_TRIES = 60  # random places for a digit before one is taken that lies over others


def digit_class_sets(spec: DigitClassesData) -> dict[str, ClassSet]:
    """Draw the splits of ``spec`` that hold any picture: ``train``, ``val`` and ``test``."""
    counts = dict(zip(SPLITS, (spec.n_train, spec.n_val, spec.n_test), strict=True))
    sources = source_digits(spec.seed)
    return {
        split: ClassSet(_draw(spec, sources[split], SPLITS.index(split), count), spec.image_size)
        for split, count in counts.items()
        if count
    }


def _draw(spec: DigitClassesData, digits: Digits, split: int, count: int) -> InMemory:
    """Pictures ``(count, 3, H, W)`` uint8, and their classes as masks of one pixel."""
    enlarged = enlarging(digits)
    images = np.empty((count, 3, *spec.drawn_size), np.uint8)
    labels = torch.empty((count, 1, 1), dtype=torch.int16)
    for index in range(count):
        # A generator a picture: more pictures of a split leave the first ones as they were.
        rng = np.random.default_rng([spec.seed, split, index])
        label = int(rng.integers(len(DIGITS)))
        picture = canvas(spec.drawn_size, spec.texture, rng)
        _draw_digits(picture, np.flatnonzero(digits.labels == label), enlarged, spec, rng)
        picture += rng.normal(0, spec.noise, picture.shape).astype(np.float32)
        images[index] = (picture.clip(0, 1) * 255).round()
        labels[index] = label
    return InMemory(_at_image_size(torch.from_numpy(images), spec), labels)


def _draw_digits(
    picture: Array,
    alike: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
    enlarged: Callable[[int], Array],
    spec: DigitClassesData,
    rng: np.random.Generator,
) -> None:
    """Digits of one class, each of a size and at a place of its own; the largest first, lest it hide the others."""
    taken = np.zeros(spec.drawn_size, bool)
    for side in sorted(rng.choice(spec.object_size, spec.per_image).tolist(), reverse=True):
        window = _place(taken, side, rng)
        taken[window] = True
        ink = enlarged(side)[rng.choice(alike)]
        color = (rng.uniform(0.8, 1.0) + rng.uniform(-0.1, 0.1, (3, 1, 1))).astype(np.float32)
        picture[:, *window] += ink * (color - picture[:, *window])


def _place(
    taken: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], side: int, rng: np.random.Generator
) -> tuple[slice, slice]:
    """A square where nothing is drawn yet, or, where chance finds none, over what is."""
    for _ in range(_TRIES):
        top, left = (int(rng.integers(length - side + 1)) for length in taken.shape)
        window = slice(top, top + side), slice(left, left + side)
        if not taken[window].any():
            break
    return window


def _at_image_size(images: Tensor, spec: DigitClassesData) -> Tensor:
    return images if spec.drawn_size == spec.image_size else resized(images, spec.image_size)
