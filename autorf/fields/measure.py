"""From hulls to numbers: size, stride and offset of a receptive field along one axis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from autorf.fields.hull import Array, Field, Hull

_EQUAL = 1e-6
_SAMPLE = 65
_LONGER = 1.5
"""How much longer than usual the interval of a position is that may have wrapped around the image."""


@dataclass(frozen=True)
class Extent:
    """A field along one axis, in input pixels.

    ``reach`` is how far it extends beyond the pixels that an output position covers, before and after them.
    ``settled`` says that the positions untouched by padding span two periods of the coarsest stride, so that every
    phase of the field was seen; otherwise ``size`` is only what the image shows, a lower bound. ``wraps`` says that
    positions at the border also read the opposite one, which ``size`` leaves out.
    """

    size: float
    stride: float
    offset: float
    reach: tuple[float, float]
    settled: bool
    wraps: bool = False


def map_dim(field: Field, axis: int) -> int | None:
    """The dimension along which a tensor walks the input's ``axis``, or None where there is no single one.

    Channels may walk too, a few pixels: those of a pixel unshuffle do. The dimension with the widest walk counts.
    """
    dims = sorted(field.walked(axis))
    if len(dims) < 2:
        return dims[0] if dims else None
    spreads = {d: _widest_spread(field.axes[axis], d) for d in dims}
    widest = max(spreads, key=lambda d: spreads[d])
    alone = all(2 * spread < spreads[widest] for d, spread in spreads.items() if d != widest)
    return widest if alone else None


def _widest_spread(hulls: Iterable[Hull], dim: int) -> float:
    return max(_spread_along(hull, dim) for hull in hulls)


def _spread_along(hull: Hull, dim: int) -> float:
    return hull.reduced(d for d in range(len(hull.shape)) if d != dim).spread()


def is_map(field: Field) -> bool:
    """Whether a 4-d tensor walks the input's rows along one dimension and its columns along another."""
    dims = map_dim(field, 0), map_dim(field, 1)
    return len(field.shape) == 4 and None not in dims and dims[0] != dims[1]


def measure(field: Field, axis: int, side: int, coarsest: float) -> Extent | None:
    """Measure a field on an input of ``side`` pixels; None where no local path leads here.

    ``coarsest`` is the largest stride on the way, the period in input pixels after which phases repeat.
    """
    if not field.axes[axis]:
        return None
    if map_dim(field, axis) is None:
        return Extent(0.0, 0.0, 0.0, (0.0, 0.0), settled=False)
    lo, hi, cut = bounds(field, axis)
    torn, certain = _torn(lo, hi, cut, side)
    lo, hi = np.where(torn, np.inf, lo), np.where(torn, -np.inf, hi)
    whole = np.flatnonzero(~cut & (lo <= hi))
    if certain and len(whole) > 1 and (lo[whole[-1]] + hi[whole[-1]] - lo[whole[0]] - hi[whole[0]]) / 2 >= 2 * coarsest:
        size, settled = (hi - lo)[whole].max() + 1, True
        shown = np.arange(whole[0], whole[-1] + 1)
    else:
        size, settled = max((hi - lo).max() + 1, 0.0), False
        shown = np.flatnonzero(lo <= hi)
    if not len(shown):
        return Extent(0.0, 0.0, 0.0, (0.0, 0.0), settled=False)
    ratio = side / len(lo)
    stride, offset = _line(_centre(lo[shown], hi[shown]), int(shown[0]), ratio, coarsest)
    # Some positions of a transposed convolution with holes depend on no pixel.
    shown = shown[lo[shown] <= hi[shown]]
    # Position i covers the pixels from i * ratio up to (i + 1) * ratio - 1: what the field adds on either end of these.
    reach = max(0.0, (shown * ratio - lo[shown]).max()), max(0.0, (hi[shown] - (shown + 1) * ratio + 1).max())
    ends = tidy(reach[0]), tidy(reach[1])
    # What is cut by zeros is shorter than the field; what circular padding cut off reads the other border instead.
    wraps = bool(torn.any()) or bool((cut & (hi - lo + 1 > size + _EQUAL)).any())
    return Extent(tidy(size), tidy(stride), tidy(offset), ends, settled, wraps)


def _torn(lo: Array, hi: Array, cut: Array, side: int) -> tuple[Array, bool]:
    """Which positions read both ends of the image because something wraps around it, and whether that can be told.

    Maps that are concatenated as circular padding would let a few positions at the border read the opposite one, which
    an interval takes for all that lies between. Circular padding itself is known to be one, and cuts.
    """
    length = hi - lo + 1
    uncut = ~cut & (lo <= hi)
    usual = float(np.median(length[uncut])) if uncut.any() else 0.0
    longer = uncut & (length > _LONGER * usual)
    if not longer.any():
        return longer, True
    # What wraps around reads pixels that lie within a field's length of either end.
    return longer & (length > side - 2 * usual), 4 * usual < side


def steps_along(hull: Hull) -> list[float]:
    """Input pixels between neighbours along each dimension that walks the image, the median of a sample.

    Of windows one dimension counts them and one walks inside; a median ignores the jumps where a dimension holds
    several walks, one after the other.
    """
    walked = [d for d, size in enumerate(hull.shape) if hull.positional[d] and size > 1]
    return [step for dim in walked if np.isfinite(step := _median_step(hull, dim, walked))]


def _median_step(hull: Hull, dim: int, walked: list[int]) -> float:
    starts = np.unique(np.linspace(0, hull.shape[dim] - 2, _SAMPLE).astype(int))

    def centre(index: Array) -> Array:
        # Other walks are held at their middle, where padding has cut least; constant dimensions have one entry.
        at = tuple(index if d == dim else hull.shape[d] // 2 if d in walked else 0 for d in range(len(hull.shape)))
        return _centre(hull.lo[at], hull.hi[at])

    steps = np.abs(centre(starts + 1) - centre(starts))
    steps = steps[np.isfinite(steps)]
    return float(np.median(steps)) if len(steps) else np.nan


def even_step(hull: Hull) -> int | None:
    """Input pixels between all neighbours that no padding cut, where they are one whole number; else None.

    What padding cut moves its centre, and in an image that is smaller than the field it cuts every position.
    """
    walked = [d for d, size in enumerate(hull.shape) if hull.positional[d] and size > 1]
    if len(walked) != 1:
        return None
    lo, hi, cut = _flattened(hull, walked[0])
    whole = ~cut & (lo <= hi)
    steps = np.diff(_centre(lo, hi))[whole[:-1] & whole[1:]]
    if not len(steps) or np.ptp(steps) > _EQUAL:
        return None
    step = float(steps[0])
    return round(step) if step >= 1 and abs(step - round(step)) < _EQUAL else None


def _centre(lo: Array, hi: Array) -> Array:
    """The middle of each interval; nan where it is empty."""
    filled = lo <= hi
    return (np.where(filled, lo, np.nan) + np.where(filled, hi, np.nan)) / 2


def tidy(value: float) -> float:
    """The value to a millionth of a pixel, as a whole number where it is one."""
    return round(value) if abs(value - round(value)) < _EQUAL else round(float(value), 6)


def bounds(field: Field, axis: int) -> tuple[Array, Array, Array]:
    """First and last pixel, and whether the border cut it, for every position along ``axis``: a union over the rest."""
    dim = map_dim(field, axis)
    flat = [_flattened(hull, dim) for hull in field.axes[axis]]
    lo = np.minimum.reduce(np.broadcast_arrays(*(part[0] for part in flat)))
    hi = np.maximum.reduce(np.broadcast_arrays(*(part[1] for part in flat)))
    cut = np.logical_or.reduce(np.broadcast_arrays(*(part[2] for part in flat)))
    return lo, hi, cut


def _flattened(hull: Hull, dim: int | None) -> tuple[Array, Array, Array]:
    rest = tuple(d for d in range(len(hull.shape)) if d != dim)
    return hull.lo.min(rest), hull.hi.max(rest), hull.cut.max(rest)


def _line(centre: Array, first: int, side_ratio: float, coarsest: float) -> tuple[float, float]:
    """Stride and offset of the centres ``offset + stride i``, averaged over one period of phases.

    Centres that are nan, of positions that depend on no pixel, count in no mean. Resizing with aligned corners has no
    period; its stride is the ratio of the sides.
    """
    longest = min(len(centre) // 2, round(coarsest / side_ratio) + 1)
    for period in range(1, longest + 1):
        steps = centre[period:] - centre[:-period]
        empty = np.isnan(centre)
        if (empty[period:] != empty[:-period]).any() or empty.all():
            continue
        steps = steps[~np.isnan(steps)]
        if len(steps) and np.ptp(steps) < _EQUAL:
            stride = float(steps[0]) / period
            index = first + np.arange(period)
            return stride, float(np.nanmean(centre[:period] - stride * index))
    return side_ratio, float(np.nanmean(centre - side_ratio * (first + np.arange(len(centre)))))
