"""Rules of operators that slide a window: convolution, pooling, resizing, padding, unfolding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from autorf.fields.hull import Array, Field, Hull
from autorf.fields.registry import Call, NoRule, pair, rule
from autorf.fields.taps import (
    adaptive_taps,
    antialiased_taps,
    convolution_taps,
    cubic_taps,
    linear_taps,
    nearest_taps,
    padding_taps,
    transposed_taps,
)


@rule("conv1d", "conv2d", "conv3d", "convolution", geometric=True)
def _convolution(call: Call) -> Field:
    if call.arguments.get("transposed"):
        return _transposed(call)
    field, n = call["input"], len(call.shape) - 2
    kernel, stride, dilation = call["weight"].shape[2:], pair(call["stride"], n), pair(call["dilation"], n)
    padding = _convolution_padding(call["padding"], kernel, dilation)
    windows = [
        convolution_taps(size, length, *window)
        for size, length, *window in zip(
            field.shape[-n:], call.shape[-n:], kernel, stride, padding, dilation, strict=True
        )
    ]
    return _slide(_mix_channels(field, call["groups"], call.shape[1], n), windows, call.shape)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d", geometric=True)
def _transposed_convolution(call: Call) -> Field:
    return _transposed(call)


def _transposed(call: Call) -> Field:
    field, n = call["input"], len(call.shape) - 2
    parameters = (call["weight"].shape[2:], *(pair(call[name], n) for name in ("stride", "padding", "dilation")))
    windows = [
        transposed_taps(size, length, *window)
        for size, length, *window in zip(field.shape[-n:], call.shape[-n:], *parameters, strict=True)
    ]
    return _slide(_mix_channels(field, call["groups"], call.shape[1], n), windows, call.shape)


@rule("max_pool1d", "max_pool2d", "max_pool2d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d", geometric=True)
def _pooling(call: Call) -> Field | list[Field]:
    """Pooling by a fixed window; one that leaves a single position of several is a global path."""
    field = call[next(iter(call.arguments))]
    n = int(call.operator.split("pool")[1][0])
    kernel, padding = pair(call["kernel_size"], n), pair(call["padding"], n)
    stride = pair(call["stride"], n) if call["stride"] else kernel
    dilation = pair(call.arguments.get("dilation", 1), n)
    sides, lengths = field.shape[-n:], call.shape[-n:]
    windows = [
        convolution_taps(*window) for window in zip(sides, lengths, kernel, stride, padding, dilation, strict=True)
    ]
    collapsed = [len(call.shape) - n + i for i in range(n) if lengths[i] == 1 and sides[i] > 1]
    result = _slide(_without_global(field, collapsed), windows, call.shape)
    return [result, result] if "indices" in call.operator else result


@rule("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d", geometric=True)
def _adaptive_pooling(call: Call) -> Field | list[Field]:
    """Adaptive pooling into fewer bins is a global path: its bins grow with the image, whatever their number."""
    field = call["self"]
    n = 1 if "pool1d" in call.operator else 2
    sides, lengths = field.shape[-n:], call.shape[-n:]
    windows = [adaptive_taps(size, length) for size, length in zip(sides, lengths, strict=True)]
    binned = [len(call.shape) - n + i for i in range(n) if lengths[i] < sides[i]]
    result = _slide(_without_global(field, binned), windows, call.shape)
    return [result, result] if "max" in call.operator else result


@rule("upsample_nearest1d", "upsample_nearest2d", geometric=True)
def _nearest(call: Call) -> Field:
    return _resize(call, partial(nearest_taps, exact=False))


@rule("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", geometric=True)
def _nearest_exact(call: Call) -> Field:
    return _resize(call, partial(nearest_taps, exact=True))


@rule("upsample_linear1d", "upsample_bilinear2d", geometric=True)
def _linear(call: Call) -> Field:
    return _resize(call, partial(linear_taps, align_corners=call["align_corners"]))


@rule("upsample_bicubic2d", geometric=True)
def _cubic(call: Call) -> Field:
    return _resize(call, partial(cubic_taps, align_corners=call["align_corners"]))


@rule("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", geometric=True)
def _antialiased(call: Call) -> Field:
    reach = 2 if "bicubic" in call.operator else 1
    return _resize(call, partial(antialiased_taps, align_corners=call["align_corners"], reach=reach))


@rule("pad", "constant_pad_nd", *(f"{mode}_pad{n}d" for mode in ("reflection", "replication") for n in (1, 2)))
def _padding(call: Call) -> Field:
    names = {"reflection": "reflect", "replication": "replicate", "constant": "constant"}
    mode = call.arguments.get("mode") or names[call.operator.removeprefix("aten.").split("_")[0]]
    field, ndim = call["self"], len(call.shape)
    amounts = call.arguments["pad"] if "pad" in call.arguments else call["padding"]
    result = field
    for i in range(len(amounts) // 2):
        dim = ndim - 1 - i
        taps = padding_taps(field.shape[dim], amounts[2 * i], amounts[2 * i + 1], mode)
        padded = _gather(result, dim, taps)
        if mode == "circular":
            zeros = padding_taps(field.shape[dim], amounts[2 * i], amounts[2 * i + 1], "constant")
            padded = _cut_as(padded, _gather(result, dim, zeros))
        result = padded
    return result.reshaped(call.shape)


def _cut_as(field: Field, other: Field) -> Field:
    """``field`` with the positions cut that ``other``, which has the same hulls elsewhere, has cut."""
    axes = [
        tuple(replace(hull, cut=like.cut) for hull, like in zip(hulls, alike, strict=True))
        for hulls, alike in zip(field.axes, other.axes, strict=True)
    ]
    return replace(field, axes=(axes[0], axes[1]))


@rule("im2col", geometric=True)
def _unfold_windows(call: Call) -> Field:
    """``F.unfold``: ``(N, C, H, W)`` to ``(N, C kh kw, positions)``, each tap a channel."""
    field, kernel = call["self"], pair(call["kernel_size"])
    stride, pads, dilation = (pair(call[name]) for name in ("stride", "padding", "dilation"))
    sides = field.shape[-2:]
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    lengths = [(s + 2 * p - w) // t + 1 for s, p, w, t in zip(sides, pads, spans, stride, strict=True)]
    windows = [convolution_taps(*window) for window in zip(sides, lengths, kernel, stride, pads, dilation, strict=True)]

    def unfold(hull: Hull) -> Hull:
        rows = _windows_apart(hull, 2, windows[0])
        both = _windows_apart(rows, 4, windows[1])
        # (N, C, H', kh, W', kw) to (N, C, kh, kw, H', W'); a constant dimension is spelled out only where it must be.
        full = both.expanded((*both.shape[:2], lengths[0], kernel[0], lengths[1], kernel[1]))
        order = (0, 1, 3, 5, 2, 4)
        merged = (full.shape[0], full.shape[1], kernel[0] * kernel[1], lengths[0] * lengths[1])
        channels = field.shape[1] * kernel[0] * kernel[1]
        return full.moved(
            lambda array: np.broadcast_to(
                array.transpose(order).reshape(merged), (merged[0], field.shape[1], *merged[2:])
            ).reshape(merged[0], channels, merged[3]),
            (False, False, True),
        )

    return field.each(unfold, call.shape)


def _convolution_padding(
    padding: str | int | Sequence[int], kernel: Sequence[int], dilation: Sequence[int]
) -> tuple[int, ...]:
    if padding == "same":
        return tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True))
    return (0,) * len(kernel) if isinstance(padding, str) else pair(padding, len(kernel))


def _mix_channels(field: Field, groups: int, channels: int, n: int) -> Field:
    """Each output channel depends on every input channel of its group."""
    dim = len(field.shape) - n - 1

    def mix(hull: Hull) -> Hull | None:
        if hull.shape[dim] == 1:
            return hull
        if groups == 1:
            return None if hull.spread_over([dim]) else hull.reduced([dim])
        # Channels lie group after group: split apart, a group's hull is its union, repeated for each of its outputs.
        split = (*hull.shape[:dim], groups, hull.shape[dim] // groups, *hull.shape[dim + 1 :])
        apart = hull.moved(lambda a: a.reshape(split), (*hull.positional[:dim], False, *hull.positional[dim:]))
        grouped = apart.reduced([dim + 1])
        return grouped.moved(lambda a: a.squeeze(dim + 1).repeat(channels // groups, dim), hull.positional)

    return field.each(mix, field.shape)


def _slide(field: Field, windows: Sequence[Array], shape: Sequence[int]) -> Field:
    first = len(shape) - len(windows)
    for i, taps in enumerate(windows):
        field = _gather(field, first + i, taps)
    return field.reshaped(shape)


def _gather(field: Field, dim: int, taps: Array) -> Field:
    dim %= len(field.shape)
    shape = (*field.shape[:dim], len(taps), *field.shape[dim + 1 :])
    return field.each(lambda hull: hull.gather(dim, taps), shape)


def _without_global(field: Field, dims: Sequence[int]) -> Field:
    return field.each(lambda hull: None if hull.spread_over(dims) else hull, field.shape)


def _resize(call: Call, taps: partial[Array]) -> Field:
    field = call[next(iter(call.arguments))]
    n = len(call.shape) - 2
    windows = [
        taps(size, length, scale)
        for size, length, scale in zip(field.shape[-n:], call.shape[-n:], _scales(call, n), strict=True)
    ]
    return _slide(field, windows, call.shape)


def _scales(call: Call, n: int) -> list[float | None]:
    if "scale_factors" in call.arguments:
        return list(call["scale_factors"] or [None] * n)
    return [call.arguments.get(name) for name in (["scales"] if n == 1 else ["scales_h", "scales_w"])]


def _windows_apart(hull: Hull, dim: int, taps: Array) -> Hull:
    """Replace dimension ``dim`` by two: window position and tap."""
    if not hull.positional[dim] and hull.shape[dim] == 1:
        return hull.moved(
            lambda a: np.expand_dims(a, dim + 1), (*hull.positional[: dim + 1], False, *hull.positional[dim + 1 :])
        )
    if (taps < 0).all(1).any():
        raise NoRule("a window that lies wholly in the padding")
    n_taps = taps.shape[1]
    per_tap = [hull.gather(dim, taps[:, k : k + 1]) for k in range(n_taps)]
    lo = np.stack([tap.lo for tap in per_tap], dim + 1)
    hi = np.stack([tap.hi for tap in per_tap], dim + 1)
    cut = np.stack([tap.cut for tap in per_tap], dim + 1)
    return Hull(lo, hi, cut, (*hull.positional[: dim + 1], False, *hull.positional[dim + 1 :]))
