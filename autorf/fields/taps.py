"""Which input positions each output position of a sliding operator reads, along one axis.

Every function returns an integer array ``(output length, n_taps)`` for :meth:`Hull.gather`.
"""

import math

import numpy as np

from autorf.fields.hull import NO_TAP, OUTSIDE, Array

_WHOLE = 1e-9
"""How close to a whole number a resize coordinate counts as one: double rounding, far below any real weight."""


def convolution_taps(side: int, length: int, kernel: int, stride: int, padding: int, dilation: int) -> Array:
    """Taps of a convolution or pooling: ``length`` outputs over an input of ``side`` positions."""
    taps = np.arange(length)[:, None] * stride - padding + np.arange(kernel)[None] * dilation
    return np.where((taps >= 0) & (taps < side), taps, OUTSIDE)


def transposed_taps(side: int, length: int, kernel: int, stride: int, padding: int, dilation: int) -> Array:
    """Taps of a transposed convolution: output ``i stride - padding + k dilation`` reads input ``i``."""
    offset = np.arange(length)[:, None] + padding - np.arange(kernel)[None] * dilation
    taps = offset // stride
    inside = np.where((taps >= 0) & (taps < side), taps, OUTSIDE)
    return np.where(offset % stride == 0, inside, NO_TAP)


def adaptive_taps(side: int, length: int) -> Array:
    """Taps of adaptive pooling of ``side`` positions into ``length`` bins."""
    bins = [range(side * o // length, -(-side * (o + 1) // length)) for o in range(length)]
    widest = max(len(b) for b in bins)
    return np.array([[*b, *[NO_TAP] * (widest - len(b))] for b in bins])


def nearest_taps(side: int, length: int, scale: float | None, exact: bool) -> Array:
    """Taps of nearest resizing; ``scale`` is the up-sampling factor where the caller fixed one."""
    position = (np.arange(length) + (0.5 if exact else 0.0)) * _step(side, length, scale, align_corners=False)
    return np.clip(np.floor(_snapped(position)).astype(int), 0, side - 1)[:, None]


def linear_taps(side: int, length: int, scale: float | None, align_corners: bool) -> Array:
    """The one or two taps with a non-zero weight of linear resizing."""
    position = np.clip(_source(side, length, scale, align_corners), 0, side - 1)
    low = np.floor(position).astype(int)
    return np.stack([low, np.where(position > low, low + 1, NO_TAP)], 1)


def cubic_taps(side: int, length: int, scale: float | None, align_corners: bool) -> Array:
    """The one or four taps with a non-zero weight of cubic resizing; taps beyond the edge repeat it."""
    position = _source(side, length, scale, align_corners)
    low = np.floor(position).astype(int)[:, None]
    taps = np.clip(low + np.arange(-1, 3), 0, side - 1)
    centre_only = np.where(np.arange(-1, 3) == 0, taps, NO_TAP)
    return np.where(position[:, None] > low, taps, centre_only)


def antialiased_taps(side: int, length: int, scale: float | None, align_corners: bool, reach: int) -> Array:
    """Taps of anti-aliased resizing with a kernel of half-width ``reach`` (1 linear, 2 cubic)."""
    step = _step(side, length, scale, align_corners)
    width = max(step, 1.0)
    centre = step * (np.arange(length) + 0.5)
    distance = np.abs(np.arange(side)[None] + 0.5 - centre[:, None]) / width
    # Both kernels, linear and cubic, vanish at a distance of exactly one.
    inside = (distance < reach - _WHOLE) & (np.abs(distance - 1) > _WHOLE)
    order = np.argsort(~inside, 1, kind="stable")[:, : math.ceil(2 * reach * width) + 1]
    return np.where(np.take_along_axis(inside, order, 1), order, NO_TAP)


def padding_taps(side: int, before: int, after: int, mode: str) -> Array:
    """Taps of padding by ``before`` and ``after`` positions; negative numbers crop."""
    index = np.arange(-before, side + after)
    if mode == "constant":
        taps = np.where((index >= 0) & (index < side), index, OUTSIDE)
    elif mode == "replicate":
        taps = np.clip(index, 0, side - 1)
    elif mode == "circular":
        taps = index % side
    else:
        assert mode == "reflect", mode
        folded = np.abs(index) % max(2 * (side - 1), 1)
        taps = np.minimum(folded, 2 * (side - 1) - folded)
    return taps[:, None]


def _source(side: int, length: int, scale: float | None, align_corners: bool) -> Array:
    step = _step(side, length, scale, align_corners)
    index = np.arange(length)
    return _snapped(index * step if align_corners else (index + 0.5) * step - 0.5)


def _step(side: int, length: int, scale: float | None, align_corners: bool) -> float:
    if align_corners:
        return (side - 1) / (length - 1) if length > 1 else 0.0
    return 1 / scale if scale else side / length


def _snapped(position: Array) -> Array:
    whole = np.round(position)
    return np.where(np.abs(position - whole) < _WHOLE * max(1, len(position)), whole, position)
