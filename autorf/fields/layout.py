"""Rules of operators that only move elements: views, permutations, slices, concatenation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autorf.fields.hull import Array, Field, Hull
from autorf.fields.registry import Call, NoRule, pair, rule

_LARGEST_HULL = 30_000_000
"""Elements of a hull; beyond it memory, not time, would be the trouble."""


@rule("view", "reshape", "_unsafe_view", "flatten", "unflatten", "reshape_as", "view_as", "squeeze", "unsqueeze")
def _reshape(call: Call) -> Field:
    field: Field = call[next(iter(call.arguments))]
    return field.each(lambda hull: reshaped_hull(hull, field.shape, call.shape), call.shape)


@rule("permute", "transpose", "t", "numpy_T", "mT", "movedim", "swapaxes", "swapdims")
def _permute(call: Call) -> Field:
    field: Field = call["self"]
    order = _order(call, len(field.shape))
    return field.each(
        lambda hull: hull.moved(lambda a: a.transpose(order), [hull.positional[d] for d in order]), call.shape
    )


@rule("expand", "expand_as", "broadcast_to")
def _expand(call: Call) -> Field:
    field: Field = call["self"]
    return field.each(lambda hull: hull.padded_left(len(call.shape)), call.shape)


@rule("repeat", "tile")
def _repeat(call: Call) -> Field:
    field: Field = call["self"]
    counts = tuple(call.arguments["repeats"] if "repeats" in call.arguments else call["dims"])
    counts = (1,) * (len(call.shape) - len(counts)) + counts

    def tile(hull: Hull) -> Hull:
        wide = hull.padded_left(len(counts))
        reps = [n if size > 1 or on else 1 for n, size, on in zip(counts, wide.shape, wide.positional, strict=True)]
        return wide.moved(lambda a: np.tile(a, reps), wide.positional)

    return field.each(tile, call.shape)


@rule("repeat_interleave")
def _repeat_interleave(call: Call) -> Field:
    field: Field = call["self"]
    count, dim = call.arguments.get("repeats"), call.arguments.get("dim")
    if not isinstance(count, int) or dim is None:
        raise NoRule("repeats that are a tensor, or no dim")
    return index(field, dim, np.repeat(np.arange(field.shape[dim]), count), call.shape)


@rule("slice")
def _slice(call: Call) -> Field:
    field: Field = call["self"]
    dim = call["dim"]
    positions = range(field.shape[dim])[call["start"] : call["end"] : call["step"]]
    return index(field, dim, np.array(positions, int), call.shape)


@rule("narrow")
def _narrow(call: Call) -> Field:
    if not isinstance(call["start"], int):
        raise NoRule("a start that is a tensor")
    start = call["start"] % call["self"].shape[call["dim"]]
    return index(call["self"], call["dim"], np.arange(start, start + call["length"]), call.shape)


@rule("select")
def _select(call: Call) -> Field:
    return _selected(call["self"], call["dim"], call["index"], call.shape)


@rule("unbind")
def _unbind(call: Call) -> list[Field]:
    return [_selected(call["self"], call["dim"], i, shape) for i, shape in enumerate(call.shapes)]


@rule("chunk", "split", "split_with_sizes", "tensor_split")
def _split(call: Call) -> list[Field]:
    dim = call["dim"]
    ends = np.cumsum([shape[dim] for shape in call.shapes])
    starts = ends - [shape[dim] for shape in call.shapes]
    return [
        index(call["self"], dim, np.arange(start, end), shape)
        for start, end, shape in zip(starts, ends, call.shapes, strict=True)
    ]


@rule("index_select")
def _index_select(call: Call) -> Field:
    return _picked(call["self"], call["dim"], call["index"], call.shape)


@rule("index")
def _index(call: Call) -> Field:
    given = [(dim, positions) for dim, positions in enumerate(call["indices"]) if positions is not None]
    if len(given) != 1 or len(given[0][1].shape) != 1:
        raise NoRule("several indices, or one that is no list")
    return _picked(call["self"], *given[0], call.shape)


@rule("roll")
def _roll(call: Call) -> Field:
    field: Field = call["self"]
    if not call["dims"]:
        raise NoRule("no dims")
    for shift, dim in zip(pair(call["shifts"], 1), pair(call["dims"], 1), strict=True):
        field = _rolled(field, shift, dim)
    return field


@rule("flip")
def _flip(call: Call) -> Field:
    field: Field = call["self"]
    for dim in call["dims"]:
        field = index(field, dim, np.arange(field.shape[dim])[::-1], field.shape)
    return field


@rule("pixel_shuffle", geometric=True)
def _pixel_shuffle(call: Call) -> Field:
    field, r = call["self"], call["upscale_factor"]
    n, c, h, w = field.shape
    return _rearranged(field, (n, c // r**2, r, r, h, w), (0, 1, 4, 2, 5, 3), call.shape)


@rule("pixel_unshuffle", geometric=True)
def _pixel_unshuffle(call: Call) -> Field:
    field, r = call["self"], call["downscale_factor"]
    n, c, h, w = field.shape
    return _rearranged(field, (n, c, h // r, r, w // r, r), (0, 1, 3, 5, 2, 4), call.shape)


@rule("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(call: Call) -> Field:
    field, g = call["self"], call["groups"]
    n, c, h, w = field.shape
    return _rearranged(field, (n, g, c // g, h, w), (0, 2, 1, 3, 4), call.shape)


def index(field: Field, dim: int, positions: Array, shape: Sequence[int]) -> Field:
    """The field of ``tensor[..., positions, ...]`` along ``dim``."""

    def take(hull: Hull) -> Hull:
        if hull.shape[dim] == 1 and not hull.positional[dim]:
            return hull
        return hull.moved(lambda a: np.take(a, positions, dim), hull.positional)

    return field.each(take, shape).without_empty()


def reshaped_hull(hull: Hull, old: Sequence[int], new: Sequence[int]) -> Hull:
    """The hull after ``view(new)`` of a tensor of shape ``old``; dimensions that did not take part stay of size 1."""
    target: list[int] = []
    source: list[int] = []
    positional: list[bool] = []
    for old_dims, new_dims in matched_dims(old, new):
        if all(hull.shape[d] == 1 for d in old_dims):
            source += [1] * len(old_dims)
            target += [1] * len(new_dims)
            positional += _single_walk(hull, old_dims, new, new_dims)
        else:
            source += [old[d] for d in old_dims]
            target += [new[d] for d in new_dims]
            # Within a group of dimensions any of the new ones may walk; those that turn out not to are shrunk below.
            walked = any(hull.positional[d] for d in old_dims)
            positional += [walked and new[d] > 1 for d in new_dims]
    if math.prod(target) > _LARGEST_HULL:
        raise NoRule(f"maps that flatten to {math.prod(target)} positions; try a smaller image_size")
    moved = hull.moved(lambda a: np.broadcast_to(a, source).reshape(target), positional)
    return moved.without_constant(d for d in range(len(target)) if positional[d])


def matched_dims(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Group the dimensions of two shapes of one tensor so that each group holds the same elements."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        a: list[int] = []
        b: list[int] = []
        size_a = size_b = 1
        while not (a or b) or size_a != size_b:
            # The group with fewer elements so far takes the next dimension; a 1 left over is a group alone.
            if (size_a <= size_b and i < len(old)) or j >= len(new):
                size_a, i = size_a * old[i], i + 1
                a.append(i - 1)
            else:
                size_b, j = size_b * new[j], j + 1
                b.append(j - 1)
        groups.append((a, b))
    return groups


def _picked(field: Field, dim: int, positions: Field, shape: Sequence[int]) -> Field:
    """Some channels of many: which ones is not known here, so all must have one field."""
    if positions.depends_on_input or any(
        hull.positional[dim] or hull.shape[dim] > 1 for hulls in field.axes for hull in hulls
    ):
        raise NoRule("an index that is not known before the network runs, over positions of different fields")
    return field.reshaped(shape)


def _single_walk(hull: Hull, old_dims: Sequence[int], new: Sequence[int], new_dims: Sequence[int]) -> list[bool]:
    # A positional dimension of size 1 (a map one pixel high) keeps its meaning where a size-1 dimension takes it over.
    walked = any(hull.positional[d] for d in old_dims)
    flags = [False] * len(new_dims)
    singles = [k for k, d in enumerate(new_dims) if new[d] == 1]
    if walked and singles and len(old_dims) == 1:
        flags[singles[0]] = True
    return flags


def _order(call: Call, ndim: int) -> tuple[int, ...]:
    if "dims" in call.arguments:
        return tuple(d % ndim for d in call["dims"])
    order = list(range(ndim))
    if call.operator in ("aten.t", "aten.numpy_T"):
        return tuple(reversed(order))
    if call.operator == "aten.mT":
        return (*order[:-2], order[-1], order[-2])
    if "source" in call.arguments:
        return _moved_order(ndim, pair(call["source"], 1), pair(call["destination"], 1))
    first, second = [call[name] for name in list(call.arguments)[1:3]]
    order[first], order[second] = order[second], order[first]
    return tuple(order)


def _moved_order(ndim: int, source: Sequence[int], destination: Sequence[int]) -> tuple[int, ...]:
    moved = {d % ndim: s % ndim for s, d in zip(source, destination, strict=True)}
    rest = iter(d for d in range(ndim) if d not in moved.values())
    return tuple(moved[d] if d in moved else next(rest) for d in range(ndim))


def _rolled(field: Field, shift: int, dim: int) -> Field:
    length = field.shape[dim]
    wrapped = np.arange(length) < shift if shift >= 0 else np.arange(length) >= length + shift
    moved = index(field, dim, np.roll(np.arange(length), shift), field.shape)
    return moved.each(lambda hull: _cut_where(hull, dim, wrapped), field.shape)


def _cut_where(hull: Hull, dim: int, wrapped: Array) -> Hull:
    # What comes round from the other end of the image is no neighbour there: such positions count as border.
    if not hull.positional[dim]:
        return hull
    marks = wrapped.reshape([-1 if d == dim % len(hull.shape) else 1 for d in range(len(hull.shape))])
    return replace(hull, cut=hull.cut | marks)


def _selected(field: Field, dim: int, position: int, shape: Sequence[int]) -> Field:
    def take(hull: Hull) -> Hull:
        at = position if hull.shape[dim] > 1 else 0
        dims = range(len(hull.shape))
        return hull.moved(
            lambda a: np.take(a, at, dim), [hull.positional[d] for d in dims if d != dim % len(hull.shape)]
        )

    return field.each(take, shape).without_empty()


def _rearranged(field: Field, split_shape: Sequence[int], order: Sequence[int], shape: Sequence[int]) -> Field:
    def rearrange(hull: Hull) -> Hull:
        apart = reshaped_hull(hull, field.shape, split_shape)
        turned = apart.moved(lambda a: a.transpose(order), [apart.positional[d] for d in order])
        return reshaped_hull(turned, [split_shape[d] for d in order], shape)

    return field.each(rearrange, shape)
