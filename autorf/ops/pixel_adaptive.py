"""Pixel-wise adaptive dilation: every output pixel mixes the dilations of one shared kernel.

``y(p) = sum_r probabilities[r](p) (conv(x; weight, dilation=rates[r]))(p) + b``.
Paper: *Pixel-wise adaptive dilation*; METHODS section 4.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from autorf.ops import _tap_products as products
from autorf.ops._convolution_input import (
    check_alike,
    check_convolution,
    check_map,
    to_common_dtype,
    without_autocast,
    working_dtype,
)
from autorf.ops.windowed_dilation import check_rates

_NAME = "pixel_adaptive_conv2d"
_KEPT_BYTES = 512 * 2**20


def pixel_adaptive_conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    probabilities: Tensor,
    rates: Sequence[int],
    groups: int = 1,
    *,
    recompute: bool | None = None,
) -> Tensor:
    """Sum over dilations of one stride-1 convolution, weighted at each output pixel; the output is as large.

    Args:
        input: ``(N, C_in, H, W)``.
        weight: ``(C_out, C_in / groups, K_h, K_w)``, odd kernel sides; shared by all rates.
        bias: ``(C_out,)`` or None.
        probabilities: ``(N, len(rates), H, W)``, the weight of each option at each pixel; any finite values, used
            as they are. Where each pixel has one 1 and otherwise 0 and no gradient is needed, only the chosen
            options are computed on the CPU.
        rates: increasing positive integers, the dilations in pixels of ``input``.
        groups: as in ``conv2d``.
        recompute: compute the options' outputs again for the backward pass instead of keeping them: less memory,
            more time. None recomputes where they would be above 512 MiB.

    Raises:
        InputError: for probabilities of another size, rates that are not increasing positive integers, an even
            kernel, channels that do not fit, or mixed devices or dtypes.

    Note:
        On the CPU with ``groups=1`` the options share one matrix product and there is no second derivative.
    """
    check_convolution(_NAME, input, weight, bias, groups)
    check_rates(rates)
    check_map(_NAME, "probabilities", probabilities, len(rates), input)
    check_alike(_NAME, input, weight=weight, bias=bias, probabilities=probabilities)
    input, weight, bias = to_common_dtype(_NAME, input, weight, bias)
    kept = len(rates) * weight.shape[0] * probabilities[:, 0].numel() * input.element_size()
    recompute = kept > _KEPT_BYTES if recompute is None else recompute
    if input.device.type == "cpu" and groups == 1 and not torch.compiler.is_exporting():
        keep = probabilities.requires_grad and torch.is_grad_enabled() and not recompute
        output, _ = _convolve(input, weight, probabilities, list(rates), keep)
    elif recompute and torch.is_grad_enabled():
        arguments = (input, weight, probabilities, rates, groups)
        output = checkpoint(_sum_of_convolutions, *arguments, use_reentrant=False, preserve_rng_state=False)
    else:
        output = _sum_of_convolutions(input, weight, probabilities, rates, groups)
    return output if bias is None else output + bias.view(1, -1, 1, 1)


# Grouped layers, anywhere but on the CPU, and in an exported program: one convolution an option.


def _sum_of_convolutions(
    input: Tensor, weight: Tensor, probabilities: Tensor, rates: Sequence[int], groups: int
) -> Tensor:
    shares = probabilities.to(working_dtype(input.dtype)).unbind(1)
    reach = (weight.shape[2] // 2, weight.shape[3] // 2)
    output: Tensor | None = None
    for rate, share in zip(rates, shares, strict=True):
        padding = (rate * reach[0], rate * reach[1])
        term = functional.conv2d(input, weight, None, padding=padding, dilation=rate, groups=groups)
        term = term * share.unsqueeze(1)
        output = term if output is None else output + term
    assert output is not None
    return output.to(input.dtype)


# On the CPU: one matrix product with all taps, then sums of its rows per pixel and option (see _tap_products).


class _Neighbours:
    """For a block of images, where the taps of each option fall: pixels and rows of the table."""

    def __init__(self, n: int, size: tuple[int, int], kernel_size: tuple[int, int], rates: list[int]) -> None:
        height, width = size
        taps = kernel_size[0] * kernel_size[1]
        index = torch.int32 if n * height * width * taps < 2**31 else torch.int64
        rate = torch.tensor(rates).view(-1, 1)
        row = _moved(height, rate, kernel_size[0]).view(1, height, 1, len(rates), -1, 1)
        column = _moved(width, rate, kernel_size[1]).view(1, 1, width, len(rates), 1, kernel_size[1])
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        image = (torch.arange(n) * height * width).view(n, 1, 1, 1, 1, 1)
        pixel = (image + row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).to(index)
        self.pixels = pixel.reshape(-1, len(rates), taps)
        self.inside = inside.reshape(1, -1, len(rates), taps).expand(n, -1, -1, -1).reshape(self.pixels.shape)
        self.nowhere = n * height * width * taps
        """Row of the table that is zero: taps outside the map read it."""

    def table_rows(self) -> Tensor:
        """``(P, options, T)``."""
        taps = self.pixels.shape[2]
        rows = self.pixels * taps + torch.arange(taps, dtype=self.pixels.dtype)
        return torch.where(self.inside, rows, self.nowhere)

    def sources(self, shares: Tensor) -> tuple[Tensor, Tensor]:
        """The pixels ``(P T, options)`` whose outputs read each row of the table, and their ``shares (P, options)``."""
        pixels = self.pixels.flip(2).transpose(1, 2)
        options = pixels.shape[2]
        flat = pixels * options + torch.arange(options, dtype=pixels.dtype)
        weights = shares.flatten()[flat] * self.inside.flip(2).transpose(1, 2)
        return pixels.reshape(-1, options), weights.reshape(-1, options)


def _moved(side: int, rate: Tensor, taps: int) -> Tensor:
    """``(side, options, taps)`` coordinates along one axis."""
    return torch.arange(side).view(-1, 1, 1) + rate * (torch.arange(taps) - taps // 2)


@torch.library.custom_op("autorf::pixel_adaptive_conv2d", mutates_args=())
def _convolve(
    input: Tensor, weight: Tensor, probabilities: Tensor, rates: list[int], keep: bool
) -> tuple[Tensor, Tensor]:
    """The output ``(N, C_out, H, W)``, and if ``keep`` the options' outputs ``(options, P, C_out)``."""
    dtype = working_dtype(input.dtype)
    size = (input.shape[2], input.shape[3])
    with without_autocast(input):
        kernel = products.to_kernel(weight, 1, dtype)
        shares = products.to_rows(probabilities, dtype)
        hard = not keep and _is_one_hot(shares)
        output = shares.new_empty(len(shares), weight.shape[0])
        options = shares.new_empty((len(rates), *output.shape) if keep else (0,))
        pixels = size[0] * size[1]
        for images in products.image_blocks(input, kernel):
            here = slice(images.start * pixels, images.stop * pixels)
            near = _Neighbours(images.stop - images.start, size, (weight.shape[2], weight.shape[3]), rates)
            indices = near.table_rows()
            rows = products.to_rows(input[images], dtype)
            for block in products.channel_blocks(kernel, len(rows)):
                table = products.tap_products(rows, kernel, block, extra_rows=1)
                if keep:
                    parts = options[:, here, block.columns]
                    for option, part in enumerate(parts):
                        part.copy_(products.pick_sum(table, indices[:, option].contiguous()))
                    output[here, block.columns] = _mix(parts, shares[here])
                elif hard:
                    chosen = indices[torch.arange(len(rows)), shares[here].argmax(1)]
                    output[here, block.columns] = products.pick_sum(table, chosen)
                else:
                    weights = shares[here].unsqueeze(2).expand(indices.shape).reshape(len(rows), -1)
                    output[here, block.columns] = products.pick_sum(table, indices.view(len(rows), -1), weights)
        return products.to_maps(output, input), options


def _is_one_hot(shares: Tensor) -> bool:
    return bool(((shares == 1).sum(1) == 1).all() & ((shares != 0).sum(1) == 1).all())


def _mix(parts: Tensor, shares: Tensor) -> Tensor:
    output = parts[0] * shares[:, :1]
    for option in range(1, len(parts)):
        output.addcmul_(parts[option], shares[:, option : option + 1])
    return output


@torch.library.custom_op("autorf::pixel_adaptive_conv2d_backward", mutates_args=())
def _convolve_backward(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    probabilities: Tensor,
    options: Tensor,
    rates: list[int],
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of input, weight and probabilities; an empty tensor for one that is not ``wanted``."""
    dtype = working_dtype(input.dtype)
    size = (input.shape[2], input.shape[3])
    with without_autocast(input):
        kernel = products.to_kernel(weight, 1, dtype)
        shares = products.to_rows(probabilities, dtype)
        grad_kernel = torch.zeros_like(kernel) if wanted[1] else None
        grad_rows = shares.new_zeros(len(shares), input.shape[1]) if wanted[0] else None
        grad_shares = torch.zeros_like(shares) if wanted[2] else None
        pixels = size[0] * size[1]
        for images in products.image_blocks(input, kernel):
            here = slice(images.start * pixels, images.stop * pixels)
            near = _Neighbours(images.stop - images.start, size, (weight.shape[2], weight.shape[3]), rates)
            rows, grad_output = products.to_rows(input[images], dtype), products.to_rows(grad[images], dtype)
            indices = near.table_rows() if wanted[2] and not options.numel() else None
            sources, weights = near.sources(shares[here])
            for block in products.channel_blocks(kernel, len(rows)):
                grad_block = grad_output[:, block.columns].contiguous()
                if grad_shares is not None:
                    table = None if indices is None else products.tap_products(rows, kernel, block, extra_rows=1)
                    for option in range(len(rates)):
                        if table is None or indices is None:
                            part = options[option, here, block.columns]
                        else:
                            part = products.pick_sum(table, indices[:, option].contiguous())
                        grad_shares[here, option] += (grad_block * part).sum(1)
                    del table
                if grad_rows is not None or grad_kernel is not None:
                    grad_table = products.pick_sum(grad_block, sources, weights)
                    rows_here = None if grad_rows is None else grad_rows[here]
                    products.add_tap_gradients(grad_table, rows, kernel, block, rows_here, grad_kernel)
        return (
            kernel.new_empty(0) if grad_rows is None else products.to_maps(grad_rows, input),
            kernel.new_empty(0) if grad_kernel is None else products.to_weight(grad_kernel, weight),
            kernel.new_empty(0) if grad_shares is None else products.to_maps(grad_shares, probabilities),
        )


@_convolve.register_fake
def _(
    input: Tensor, weight: Tensor, probabilities: Tensor, rates: list[int], keep: bool
) -> tuple[Tensor, Tensor]:
    n, _, height, width = input.shape
    kept = (len(rates), n * height * width, weight.shape[0]) if keep else (0,)
    output = input.new_empty(n, weight.shape[0], height, width)
    return output, input.new_empty(kept, dtype=working_dtype(input.dtype))


@_convolve_backward.register_fake
def _(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    probabilities: Tensor,
    options: Tensor,
    rates: list[int],
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    shapes = [value.shape if want else (0,) for value, want in zip((input, weight, probabilities), wanted, strict=True)]
    return input.new_empty(shapes[0]), weight.new_empty(shapes[1]), probabilities.new_empty(shapes[2])


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    input, weight, probabilities, ctx.rates, _ = inputs
    ctx.save_for_backward(input, weight, probabilities, output[1])


def _backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    wanted = list(ctx.needs_input_grad[:3])
    grads = _convolve_backward(grad, *ctx.saved_tensors, ctx.rates, wanted)
    return *(value if want else None for value, want in zip(grads, wanted, strict=True)), None, None


_convolve.register_autograd(_backward, setup_context=_save)
