"""Rules of concatenation and stacking."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autorf.fields.hull import Array, Field, Hull, union
from autorf.fields.layout import reshaped_hull
from autorf.fields.registry import Call, rule


@rule("cat", "concat", "concatenate")
def _cat(call: Call) -> Field:
    fields: list[Field] = [field for field in call["tensors"] if math.prod(field.shape)]
    return concatenated(fields, call["dim"] % len(call.shape), call.shape)


@rule("stack")
def _stack(call: Call) -> Field:
    dim = call["dim"] % len(call.shape)
    shape = (*call.shape[:dim], 1, *call.shape[dim + 1 :])
    apart = [f.each(lambda h, f=f: reshaped_hull(h, f.shape, shape), shape) for f in call["tensors"]]
    return concatenated(apart, dim, call.shape)


def concatenated(fields: Sequence[Field], dim: int, shape: Sequence[int]) -> Field:
    """The fields one after the other along ``dim``."""
    lengths = [field.shape[dim] for field in fields]
    axes: list[tuple[Hull, ...]] = []
    for axis in (0, 1):
        if all(len(field.axes[axis]) == 1 for field in fields) and _same_walk([f.axes[axis][0] for f in fields], dim):
            axes.append((_joined([field.axes[axis][0] for field in fields], lengths, dim),))
        else:
            axes.append(union(_placed(fields, lengths, axis, dim)))
    return Field(tuple(shape), (axes[0], axes[1]), any(field.global_context for field in fields))


def _same_walk(hulls: Sequence[Hull], dim: int) -> bool:
    def walk(hull: Hull) -> tuple[Any, ...]:
        pairs = zip(hull.shape, hull.positional, strict=True)
        return tuple(size if on and d != dim else on for d, (size, on) in enumerate(pairs))

    return len({walk(hull) for hull in hulls}) == 1


def _joined(hulls: Sequence[Hull], lengths: Sequence[int], dim: int) -> Hull:
    # numpy has no broadcasting concatenate: bring the other dimensions (channels) to common sizes first.
    common = np.broadcast_shapes(*((*hull.shape[:dim], 1, *hull.shape[dim + 1 :]) for hull in hulls))

    def join(part: Callable[[Hull], Array]) -> Array:
        arrays = zip(hulls, lengths, strict=True)
        return np.concatenate(
            [np.broadcast_to(part(h), (*common[:dim], length, *common[dim + 1 :])) for h, length in arrays], dim
        )

    joined = Hull(join(lambda h: h.lo), join(lambda h: h.hi), join(lambda h: h.cut), hulls[0].positional)
    return joined if joined.positional[dim] else joined.without_constant([dim])


def _placed(fields: Sequence[Field], lengths: Sequence[int], axis: int, dim: int) -> list[Hull]:
    """Every hull alone at its place along ``dim``, empty elsewhere."""
    placed = []
    total, start = sum(lengths), 0
    for field, length in zip(fields, lengths, strict=True):
        for hull in field.axes[axis]:
            shape = (*hull.shape[:dim], total, *hull.shape[dim + 1 :])
            at = tuple(slice(start, start + length) if d == dim else slice(None) for d in range(len(shape)))
            lo, hi, cut = (np.full(shape, empty) for empty in (np.inf, -np.inf, False))
            lo[at], hi[at], cut[at] = hull.lo, hull.hi, hull.cut
            placed.append(Hull(lo, hi, cut, hull.positional))
        start += length
    return placed
