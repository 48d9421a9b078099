"""The colours of classes that have none of their own: the same ones in reports, logged images and predictions."""

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

CLASS_COLOURS = (
    "#2b2f36", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#9a9a9a", "#7a4fd0",
    "#8c564b", "#17becf", "#bcbd22", "#a6cee3", "#fb9a99", "#33a02c", "#fdbf6f", "#6a3d9a", "#b15928", "#ffffff",
)  # fmt: skip
"""Class 0 first, usually background; the rest begins with Okabe and Ito's eight. Repeats beyond twenty classes."""

NO_CLASS = "#ff00aa"
"""The colour of pixels that have no class."""

NO_ENTRY = 255
"""Of the palette: the entry of pixels without a class."""


def class_colour(number: int) -> str:
    """The colour of a class."""
    return CLASS_COLOURS[number % len(CLASS_COLOURS)]


def palette() -> Picture:
    """``(256, 3)``: the colours of classes 0 to 254, and of pixels without a class."""
    codes = [class_colour(number) for number in range(NO_ENTRY)] + [NO_CLASS]
    return np.array([_rgb(code) for code in codes], np.uint8)


def _rgb(code: str) -> list[int]:
    return [int(code[at : at + 2], 16) for at in (1, 3, 5)]
