"""Labels and per-pixel maps as colours: the same ones in reports and in logged images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autorf.data.class_colours import NO_ENTRY, Picture
from autorf.running.evidence import Evidence


def entries(labels: NDArray[np.integer[Any]], n_classes: int) -> Picture:
    """The entry of :func:`autorf.data.class_colours.palette` for every pixel of ``labels (h, w)``."""
    in_palette = (labels >= 0) & (labels < min(n_classes, NO_ENTRY))
    return np.where(in_palette, labels, NO_ENTRY).astype(np.uint8)


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
