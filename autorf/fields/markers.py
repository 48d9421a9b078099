"""Rules of the marker operators in :mod:`autorf.ops.capture`, whose fields are real-valued."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

import autorf.ops.capture  # noqa: F401  registers the operators
from autorf.fields.hull import Array, Field, Hull
from autorf.fields.registry import Call, rule


@rule("autorf.real_dilated_conv2d", geometric=True)
def _real_dilated_convolution(call: Call) -> Field:
    field: Field = call["x"]
    mixed = field.each(lambda hull: hull.reduced([1]) if hull.shape[1] > 1 else hull, call.shape)
    for dim, kernel, dilation in zip((2, 3), call["kernel"], call["dilation"], strict=True):
        taps = np.arange(call.shape[dim])[:, None] + (np.arange(kernel) - kernel // 2)[None] * dilation
        mixed = mixed.each(partial(read_between, dim=dim, taps=taps), call.shape)
    return mixed


@rule("autorf.resample2d", geometric=True)
def _resample(call: Call) -> Field:
    field: Field = call["x"]
    sides = field.shape
    for dim, factor in ((2, call["factor_h"]), (3, call["factor_w"])):
        taps = np.minimum(np.arange(call.shape[dim])[:, None] / factor, sides[dim] - 1)
        field = field.each(partial(read_between, dim=dim, taps=taps), call.shape)
    return field


def read_between(hull: Hull, dim: int, taps: Array) -> Hull:
    """Union over real-valued ``taps (length, n_taps)``: both ends are interpolated between neighbouring positions."""
    if not hull.positional[dim] and hull.shape[dim] == 1:
        return hull
    last = hull.shape[dim] - 1
    outside = (taps < 0) | (taps > last)
    place = np.clip(taps, 0, last)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, last)
    share = (place - low).reshape([*taps.shape, *[1] * (len(hull.shape) - dim - 1)])
    beyond = outside.reshape(share.shape)

    def between(array: Array, empty: float) -> Array:
        left, right = np.take(array, low, dim), np.take(array, high, dim)
        with np.errstate(invalid="ignore"):
            value = np.where(share == 0, left, left * (1 - share) + right * share)
        return np.where(beyond | ~np.isfinite(value), empty, value)

    cut = np.take(hull.cut, low, dim) | (np.take(hull.cut, high, dim) & (share > 0)) | beyond
    ends = between(hull.lo, np.inf).min(dim + 1), between(hull.hi, -np.inf).max(dim + 1)
    return replace(hull, lo=ends[0], hi=ends[1], cut=cut.any(dim + 1))
