"""Marker operators: how our own modules present themselves to the receptive-field engine.

A module takes part through a method ``receptive_field_form() -> Callable``: while the engine captures a network, the
module runs that callable instead of its forward. A form is ordinary tensor code and may use the two operators here,
whose receptive fields are real-valued; ``x (N, C, H, W)`` throughout.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from autorf.ops.inflation import interpolate


@torch.library.custom_op("autorf::real_dilated_conv2d", mutates_args=())
def real_dilated_conv2d(x: Tensor, out_channels: int, kernel: list[int], dilation: list[float]) -> Tensor:
    """A convolution of stride 1 whose dilation is a real number, with every weight 1 and as large an output.

    Args:
        x: ``(N, C, H, W)``.
        out_channels: channels of the output, all equal.
        kernel: ``[K_h, K_w]``; an even one reaches one tap further before than after.
        dilation: ``[height, width]``, positive; taps between pixels are read bilinearly, zero outside the map.

    Its receptive field grows by ``(K - 1) dilation`` positions of ``x``.
    """
    total = x.sum(1, keepdim=True)
    for axis in (2, 3):
        taps = kernel[axis - 2]
        shifts = [(tap - taps // 2) * dilation[axis - 2] for tap in range(taps)]
        total = torch.stack([_shifted(total, shift, axis) for shift in shifts]).sum(0)
    return total.repeat(1, out_channels, 1, 1)


@real_dilated_conv2d.register_fake
def _(x: Tensor, out_channels: int, kernel: list[int], dilation: list[float]) -> Tensor:
    return x.new_empty((x.shape[0], out_channels, x.shape[2], x.shape[3]))


def dilated_form(
    out_channels: int, kernel: Sequence[int], dilation: float, stride: Sequence[int] = (1, 1)
) -> Callable[[Tensor], Tensor]:
    """A form of :func:`real_dilated_conv2d` with one dilation for both axes; ``stride`` keeps every so-many-th row and
    column."""

    def form(x: Tensor) -> Tensor:
        output: Tensor = real_dilated_conv2d(x, out_channels, list(kernel), [dilation, dilation])
        return strided(output, stride)

    return form


def strided(map: Tensor, stride: Sequence[int]) -> Tensor:
    """Every ``stride``-th row and column of ``map (N, C, H, W)``, the first ones included."""
    return map if tuple(stride) == (1, 1) else map[:, :, :: stride[0], :: stride[1]]


@torch.library.custom_op("autorf::resample2d", mutates_args=())
def resample2d(x: Tensor, out_h: int, out_w: int, factor_h: float, factor_w: float) -> Tensor:
    """Resize to ``(out_h, out_w)``; output position ``t`` reads the real coordinate ``t / factor`` bilinearly.

    Anchored at the top-left pixel, the last row and column repeated beyond the edge. Its receptive field at ``t`` is
    that of ``x`` interpolated at ``t / factor``.
    """
    return interpolate(x, torch.tensor([factor_h, factor_w], dtype=torch.float64), (out_h, out_w))


@resample2d.register_fake
def _(x: Tensor, out_h: int, out_w: int, factor_h: float, factor_w: float) -> Tensor:
    return x.new_empty((x.shape[0], x.shape[1], out_h, out_w))


def _shifted(x: Tensor, shift: float, axis: int) -> Tensor:
    """``x`` read at ``position + shift`` along ``axis``, zero outside."""
    low = int(shift // 1)
    share = shift - low
    whole = _rolled(x, low, axis)
    return whole if share == 0 else whole * (1 - share) + _rolled(x, low + 1, axis) * share


def _rolled(x: Tensor, shift: int, axis: int) -> Tensor:
    before, after = max(-shift, 0), max(shift, 0)
    pads = [0, 0, before, after] if axis == 2 else [before, after, 0, 0]
    padded = functional.pad(x, pads)
    return padded.narrow(axis, after, x.shape[axis])
