"""From hulls to numbers: size, stride and offset of a receptive field along one axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autorf.receptive_field.hull import Array, Field, Hull

_EQUAL = 1e-6


@dataclass(frozen=True)
class Extent:
    """A field along one axis, in input pixels.

    ``settled`` says that the positions untouched by padding span two periods of the coarsest stride, so that every
    phase of the field was seen; otherwise ``size`` is only what the image shows, a lower bound.
    """

    size: float
    stride: float
    offset: float
    settled: bool


def map_dim(field: Field, axis: int) -> int | None:
    """The dimension along which a tensor walks the input's ``axis``, or None where there is no single one."""
    dims = {d for hull in field.axes[axis] for d, positional in enumerate(hull.positional) if positional}
    return dims.pop() if len(dims) == 1 else None


def measure(field: Field, axis: int, side: int, coarsest: float) -> Extent | None:
    """Measure a field on an input of ``side`` pixels; None where no local path leads here.

    ``coarsest`` is the largest stride on the way, the period in input pixels after which phases repeat.
    """
    if not field.axes[axis]:
        return None
    if map_dim(field, axis) is None:
        return Extent(0.0, 0.0, 0.0, settled=False)
    lo, hi, cut = _along(field, axis)
    whole = np.flatnonzero(~cut & (lo <= hi))
    if len(whole) > 1 and (lo[whole[-1]] + hi[whole[-1]] - lo[whole[0]] - hi[whole[0]]) / 2 >= 2 * coarsest:
        size, settled = (hi - lo)[whole].max() + 1, True
        shown = slice(whole[0], whole[-1] + 1)
    else:
        size, settled = max((hi - lo).max() + 1, 0.0), False
        shown = slice(0, len(lo))
    centre = (lo + hi)[shown] / 2
    stride, offset = _line(centre, shown.start, side / len(lo), coarsest)
    return Extent(tidy(size), tidy(stride), tidy(offset), settled)


def steps_along(hull: Hull, side: int) -> list[float]:
    """Input pixels between neighbouring positions, along each dimension that walks an image of ``side`` pixels."""
    walked = [d for d, positional in enumerate(hull.positional) if positional and hull.shape[d] > 1]
    if len(walked) == 1:
        return [side / hull.shape[walked[0]]]
    # Windows: one dimension counts them and one walks inside; the first has the larger step.
    first = _centre(hull, dict.fromkeys(walked, 0))
    steps = [(_centre(hull, {dim: hull.shape[dim] - 1}) - first) / (hull.shape[dim] - 1) for dim in walked]
    return [abs(step) for step in steps if np.isfinite(step)]


def _centre(hull: Hull, place: dict[int, int]) -> float:
    at = tuple(place.get(dim, 0) for dim in range(len(hull.shape)))
    lo, hi = float(hull.lo[at]), float(hull.hi[at])
    return (lo + hi) / 2 if lo <= hi else np.nan


def tidy(value: float) -> float:
    """The value as a whole number where it is one up to rounding."""
    return round(value) if np.isfinite(value) and abs(value - round(value)) < _EQUAL else float(value)


def _along(field: Field, axis: int) -> tuple[Array, Array, Array]:
    flat = [_flattened(hull, field) for hull in field.axes[axis]]
    lo = np.minimum.reduce(np.broadcast_arrays(*(part[0] for part in flat)))
    hi = np.maximum.reduce(np.broadcast_arrays(*(part[1] for part in flat)))
    cut = np.logical_or.reduce(np.broadcast_arrays(*(part[2] for part in flat)))
    return lo, hi, cut


def _flattened(hull: Hull, field: Field) -> tuple[Array, Array, Array]:
    """One entry per position, the union over channels."""
    channels = tuple(d for d, positional in enumerate(hull.positional) if not positional)
    lo, hi, cut = hull.lo.min(channels), hull.hi.max(channels), hull.cut.any(channels)
    return lo.reshape(-1), hi.reshape(-1), cut.reshape(-1)


def _line(centre: Array, first: int, side_ratio: float, coarsest: float) -> tuple[float, float]:
    """Stride and offset of the centres ``offset + stride i``, averaged over one period of phases.

    Resizing with aligned corners has no period; its stride is the ratio of the sides.
    """
    longest = min(len(centre) // 2, round(coarsest / side_ratio) + 1)
    for period in range(1, longest + 1):
        steps = centre[period:] - centre[:-period]
        if np.ptp(steps) < _EQUAL:
            stride = float(steps[0]) / period
            index = first + np.arange(period)
            return stride, float((centre[:period] - stride * index).mean())
    index = first + np.arange(len(centre))
    finite = np.isfinite(centre)
    return side_ratio, float((centre - side_ratio * index)[finite].mean()) if finite.any() else 0.0
