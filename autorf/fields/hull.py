"""Hulls: for every position of a tensor, the interval of input pixels it depends on along one input axis.

A hull's arrays have as many dimensions as the tensor they describe; a dimension along which the interval does not
change has size 1. So a feature map ``(1, 256, 64, 64)`` carries ``(1, 1, 64, 1)`` for the input's rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from autorf.fields.obstacles import Obstacle

Array = np.ndarray[Any, Any]

OUTSIDE = -2
"""A tap that lies beyond the map, in its padding."""
NO_TAP = -1
"""A tap that does not exist, such as the gaps of a strided transposed convolution."""


@dataclass(frozen=True, eq=False)
class Hull:
    """Interval ``[lo, hi]`` in input pixels per position; empty where ``lo > hi``.

    ``cut`` marks positions that lost a part of their field to the padding around some map. ``positional`` marks the
    dimensions that a move across the image walks along, in contrast to channels.
    """

    lo: Array
    hi: Array
    cut: Array
    positional: tuple[bool, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The arrays' shape: the tensor's, or 1 where the interval is constant."""
        return self.lo.shape

    def moved(self, change: Callable[[Array], Array], positional: Sequence[bool]) -> Hull:
        """The hull after a change of layout that acts on each array alike."""
        return Hull(change(self.lo), change(self.hi), change(self.cut), tuple(positional))

    def expanded(self, shape: Sequence[int]) -> Hull:
        """The hull with constant dimensions spelled out to ``shape``."""
        return self.moved(lambda array: np.broadcast_to(array, tuple(shape)), self.positional)

    def gather(self, dim: int, taps: Array) -> Hull:
        """Union over ``taps (length, n_taps)``: indices along ``dim``, ``OUTSIDE`` or ``NO_TAP``."""
        if not self.positional[dim] and self.shape[dim] == 1:
            return self
        lo = np.take(_with_sentinels(self.lo, dim, np.inf, np.inf), taps, axis=dim).min(dim + 1)
        hi = np.take(_with_sentinels(self.hi, dim, -np.inf, -np.inf), taps, axis=dim).max(dim + 1)
        cut = np.take(_with_sentinels(self.cut, dim, True, False), taps, axis=dim).max(dim + 1)
        return Hull(lo, hi, cut, self.positional)

    def spread_over(self, dims: Iterable[int]) -> bool:
        """Whether a reduction over ``dims`` mixes positions from all over the image: a global path.

        It does where it leaves less than half of the spread of the fields' centres. A window's mixture keeps more
        (two windows keep half), a pooling over the map or a grid of fixed size keeps nothing or little.
        """
        walked = [dim for dim in dims if self.positional[dim] and self.shape[dim] > 1]
        return bool(walked) and self.reduced(walked).spread() < self.spread() / 2

    def spread(self) -> float:
        """Distance in input pixels between the first and the last field's centre."""
        filled = self.lo <= self.hi
        centre = (self.lo[filled] + self.hi[filled]) / 2
        return float(np.ptp(centre)) if centre.size else 0.0

    def reduced(self, dims: Iterable[int]) -> Hull:
        """Union over ``dims``, which stay with size 1."""
        axes = tuple(dims)
        return Hull(
            self.lo.min(axes, keepdims=True),
            self.hi.max(axes, keepdims=True),
            self.cut.max(axes, keepdims=True),
            tuple(positional and dim not in axes for dim, positional in enumerate(self.positional)),
        )

    def padded_left(self, ndim: int) -> Hull:
        """The hull with leading dimensions of size 1, as broadcasting adds them."""
        missing = ndim - len(self.shape)
        if missing <= 0:
            return self
        return self.moved(
            lambda array: array.reshape((1,) * missing + array.shape), (False,) * missing + self.positional
        )

    def within(self, shape: Sequence[int]) -> Hull:
        """The hull as part of a tensor of ``shape``: along a dimension it was broadcast to, it walks nothing."""
        walks = zip(self.positional, self.shape, shape, strict=True)
        positional = tuple(on and (size > 1 or full == 1) for on, size, full in walks)
        return self if positional == self.positional else replace(self, positional=positional)

    def without_constant(self, dims: Iterable[int]) -> Hull:
        """The hull with those of ``dims`` shrunk to size 1 along which nothing changes."""
        hull = self
        for dim in dims:
            first = [slice(None)] * len(hull.shape)
            first[dim] = slice(0, 1)
            at = tuple(first)
            if hull.shape[dim] > 1 and all(bool((a == a[at]).all()) for a in (hull.lo, hull.hi, hull.cut)):
                positional = (*hull.positional[:dim], False, *hull.positional[dim + 1 :])
                hull = Hull(hull.lo[at], hull.hi[at], hull.cut[at], positional)
        return hull


@dataclass(frozen=True)
class Field:
    """What a tensor depends on: per input axis (rows, columns) a union of hulls; no hull means nothing local.

    ``global_context`` says that a global path, left out of the hulls, leads here. ``obstacles`` are what on the way
    here keeps tiles from being exact; the engine sets them, no rule has to. ``uniform`` says of a tensor that no image
    reaches that it has one value everywhere. ``least`` is the field in input pixels along the path that widens it
    least, infinite where only global paths lead here.
    """

    shape: tuple[int, ...]
    axes: tuple[tuple[Hull, ...], tuple[Hull, ...]] = ((), ())
    global_context: bool = False
    obstacles: tuple[Obstacle, ...] = ()
    uniform: bool = False
    least: tuple[float, float] = (math.inf, math.inf)

    @property
    def depends_on_input(self) -> bool:
        """Whether anything of the input reaches this tensor, by a local or a global path."""
        return self.global_context or any(self.axes)

    @property
    def flattens(self) -> bool:
        """Whether one dimension walks the image's rows and its columns."""
        return bool(self.walked(0) & self.walked(1))

    def walked(self, axis: int) -> set[int]:
        """The tensor's dimensions along which a move walks the input's ``axis``."""
        return {dim for hull in self.axes[axis] for dim, positional in enumerate(hull.positional) if positional}

    def each(self, change: Callable[[Hull], Hull | None], shape: Sequence[int]) -> Field:
        """The field with every hull changed; a hull changed to None becomes a global path."""
        axes, lost = [], self.global_context
        for hulls in self.axes:
            changed = [change(hull) for hull in hulls]
            axes.append(union(hull.within(shape) for hull in changed if hull is not None))
            lost |= None in changed
        return Field(tuple(shape), (axes[0], axes[1]), lost)

    def without_empty(self) -> Field:
        """The field without hulls that are empty at every position, as a slice can leave them."""
        rows, columns = (_filled(hulls) for hulls in self.axes)
        return replace(self, axes=(rows, columns))

    def reshaped(self, shape: Sequence[int]) -> Field:
        """The same hulls under another shape of the tensor."""
        return replace(self, shape=tuple(shape))


def _filled(hulls: Iterable[Hull]) -> tuple[Hull, ...]:
    return tuple(hull for hull in hulls if (hull.lo <= hull.hi).any())


def input_field(shape: Sequence[int]) -> Field:
    """The field of the network's input ``(N, C, H, W)``: every pixel depends on itself."""
    ndim = len(shape)

    def pixels(dim: int) -> Hull:
        index = np.arange(shape[dim], dtype=np.float64).reshape([-1 if d == dim else 1 for d in range(ndim)])
        return Hull(index, index, np.zeros(index.shape, bool), tuple(d == dim for d in range(ndim)))

    return Field(tuple(shape), ((pixels(ndim - 2),), (pixels(ndim - 1),)), least=(1.0, 1.0))


def union(hulls: Iterable[Hull]) -> tuple[Hull, ...]:
    """Merge hulls that walk the image along the same dimensions; keep the others side by side.

    Keeping them apart is what makes attention cheap and exact: query and key positions of one ``(n, n)`` matrix stay
    two vectors.
    """
    merged: dict[tuple[object, ...], Hull] = {}
    for hull in hulls:
        # Constant dimensions count as 0, since they broadcast: only where a hull walks, and how far, tells it apart.
        walk = tuple(size if positional else 0 for size, positional in zip(hull.shape, hull.positional, strict=True))
        walked_alike = merged.get(walk)
        merged[walk] = hull if walked_alike is None else _pair(walked_alike, hull)
    return tuple(merged.values())


def combined(fields: Sequence[Field], shape: Sequence[int]) -> Field:
    """The union of several tensors' fields under broadcasting to ``shape``."""
    ndim = len(shape)

    def united(axis: int) -> tuple[Hull, ...]:
        return union(hull.padded_left(ndim).within(shape) for field in fields for hull in field.axes[axis])

    return Field(tuple(shape), (united(0), united(1)), any(field.global_context for field in fields))


def _pair(a: Hull, b: Hull) -> Hull:
    return Hull(np.minimum(a.lo, b.lo), np.maximum(a.hi, b.hi), a.cut | b.cut, a.positional)


def _with_sentinels(array: Array, dim: int, outside: float | bool, no_tap: float | bool) -> Array:
    # OUTSIDE and NO_TAP are negative indices: they reach the two entries appended here.
    shape = list(array.shape)
    shape[dim] = 1
    ends = [np.full(shape, value, array.dtype) for value in (outside, no_tap)]
    return np.concatenate([array, *ends], dim)
