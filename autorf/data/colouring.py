"""Predicted classes in their colours."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autorf.data.decoding import Pixels

Colours = Sequence[tuple[int, int, int]]

_OF_CLASSES = 0.5
"""Of an overlay: how much of it is the classes' colour."""

_CUT = 2.0
"""Per cent of a channel's numbers that become black, and white, where they are no colours of 8 bits."""


def coloured(classes: NDArray[Any], colours: Colours) -> NDArray[np.uint8]:
    """``(H, W, 3)``: the colour of every pixel's class."""
    return np.array(colours, np.uint8)[classes]


def overlaid(pixels: Pixels, classes: NDArray[Any], colours: Colours) -> NDArray[np.uint8]:
    """``(H, W, 3)``: the classes' colours over the picture ``(H, W, C)``."""
    picture = shown_colours(pixels)
    mixed = (1 - _OF_CLASSES) * picture + _OF_CLASSES * coloured(classes, colours)
    return mixed.round().astype(np.uint8)


def shown_colours(pixels: Pixels) -> NDArray[np.uint8]:
    """A picture ``(H, W, C)`` as colours; of other channels than three, three that lie evenly among them."""
    count = pixels.shape[2]
    if count != 3:
        pixels = pixels[..., np.linspace(0, count - 1, 3).round().astype(int)]
    if pixels.dtype == np.uint8:
        return pixels
    black, white = np.percentile(pixels, [_CUT, 100 - _CUT], axis=(0, 1))
    span = np.where(white > black, white - black, 1)
    return ((pixels - black) / span * 255).clip(0, 255).astype(np.uint8)
