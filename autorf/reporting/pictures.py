"""Labels and per-pixel maps as colours: the same ones in reports and in logged images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autorf.running.evidence import Evidence

Picture = NDArray[np.uint8]

CLASS_COLOURS = (
    "#2b2f36", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#9a9a9a", "#7a4fd0",
    "#8c564b", "#17becf", "#bcbd22", "#a6cee3", "#fb9a99", "#33a02c", "#fdbf6f", "#6a3d9a", "#b15928", "#ffffff",
)  # fmt: skip
"""Class 0 first, usually background; the rest begins with Okabe and Ito's eight. Repeats beyond twenty classes."""

NO_CLASS = "#ff00aa"
"""The colour of pixels that have no class."""

_NONE = 255  # the entry of pixels without a class


def class_colour(number: int) -> str:
    """The colour of a class."""
    return CLASS_COLOURS[number % len(CLASS_COLOURS)]


def palette() -> Picture:
    """``(256, 3)``: the colours of classes 0 to 254, and of pixels without a class."""
    codes = [class_colour(number) for number in range(_NONE)] + [NO_CLASS]
    return np.array([_rgb(code) for code in codes], np.uint8)


def _rgb(code: str) -> list[int]:
    return [int(code[at : at + 2], 16) for at in (1, 3, 5)]


def entries(labels: NDArray[np.integer[Any]], n_classes: int) -> Picture:
    """The entry of :func:`palette` for every pixel of ``labels (h, w)``."""
    in_palette = (labels >= 0) & (labels < min(n_classes, _NONE))
    return np.where(in_palette, labels, _NONE).astype(np.uint8)


def heat(values: NDArray[np.float32], bounds: tuple[float, float]) -> Picture:
    """A map ``(h, w)`` as ``(h, w, 3)``, dark at the lower bound and bright at the upper one."""
    from matplotlib import colormaps

    low, high = bounds
    levels = (values - low) / max(high - low, 1e-6)
    colours: Picture = (colormaps["cividis"](levels.clip(0, 1))[..., :3] * 255).round().astype(np.uint8)
    return colours


def map_bounds(evidence: Evidence) -> tuple[float, float]:
    """The least and largest value of a trial's maps over all samples: the ends of its colours."""
    if evidence.maps is None or not evidence.maps.numel():
        return 0.0, 1.0
    return float(evidence.maps.min()), float(evidence.maps.max())
