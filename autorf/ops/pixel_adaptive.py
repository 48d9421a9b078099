"""Pixel-wise adaptive dilation: every output pixel mixes the dilations of one shared kernel.

``y(p) = sum_r probabilities[r](p) (conv(x; weight, dilation=rates[r]))(p) + b``.
Paper: *PAD-Nets: learning dynamic receptive fields via pixel-wise adaptive dilation*, 2020; Eqs. 2-5.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

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
from autorf.ops._dilations import whole_rates
from autorf.ops.exporting import is_exporting

_NAME = "pixel_adaptive_conv2d"
_KEPT_BYTES = 512 * 2**20
_CACHED_ENTRIES = 2**20
# Taps are laid side by side for as many pixels at a time: what was copied is multiplied while it is near.
_NEAR_BYTES = 5 * 2**19
_NEAR_PIXELS = 512
_CHOSEN_BYTES = 32 * 2**20

Indices = TypeVar("Indices")


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

    Examples:
        >>> import torch
        >>> from autorf.ops import pixel_adaptive_conv2d
        >>> image, weight = torch.rand(1, 3, 16, 16), torch.rand(4, 3, 3, 3)
        >>> probabilities = torch.zeros(1, 2, 16, 16)
        >>> probabilities[:, 1] = 1  # every pixel takes the second option
        >>> output = pixel_adaptive_conv2d(image, weight, None, probabilities, rates=(1, 3))
        >>> output.allclose(torch.nn.functional.conv2d(image, weight, padding=3, dilation=3), atol=1e-5)
        True
    """
    check_convolution(_NAME, input, weight, bias, groups)
    rates = whole_rates(rates)
    check_map(_NAME, "probabilities", probabilities, len(rates), input)
    check_alike(_NAME, input, weight=weight, bias=bias, probabilities=probabilities)
    input, weight, bias = to_common_dtype(_NAME, input, weight, bias)
    kept = len(rates) * weight.shape[0] * probabilities[:, 0].numel() * input.element_size()
    recompute = kept > _KEPT_BYTES if recompute is None else recompute
    if input.device.type == "cpu" and groups == 1 and input.numel() and not is_exporting():
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
    """Where the taps of all options fall that the pixels of ``n`` images read, as indices for ``pick_sum``.

    ``rows (P, options, T)`` are rows of the table; row ``P T`` stands for all that is outside the map.
    ``readers (P T, options)`` are the pixels that read each row of the table; ``P`` stands for none.
    """

    def __init__(self, n: int, size: tuple[int, int], kernel_size: tuple[int, int], rates: tuple[int, ...]) -> None:
        taps = kernel_size[0] * kernel_size[1]
        self.pixels = n * size[0] * size[1]
        rows = _read(n, size, kernel_size, rates, per_tap=True)
        self.rows = rows.view(self.pixels, len(rates), taps)
        # What reads a pixel with a rate lies where that pixel would read with minus the rate.
        readers = _pixels_read(n, size, kernel_size, tuple(-rate for rate in rates))
        self.readers = readers.view(self.pixels, len(rates), taps).transpose(1, 2).reshape(-1, len(rates))

    def reader_shares(self, shares: Tensor) -> Tensor:
        """The ``shares (P, options)`` of the readers, 0 for none."""
        options = shares.shape[1]
        padded = torch.cat([shares, shares.new_zeros(1, options)]).flatten()
        # Flattened, pixel p's share of option r lies at p * options + r; the padding answers for "none".
        flat = self.readers * options + torch.arange(options, dtype=self.readers.dtype)
        return padded.index_select(0, flat.flatten()).view(self.readers.shape)


def _of_size(build: Callable[..., Indices], n: int, input: Tensor, weight: Tensor, rates: list[int]) -> Indices:
    """``build`` for ``n`` images, kept for the next call where it is small."""
    size, kernel_size = (input.shape[2], input.shape[3]), (weight.shape[2], weight.shape[3])
    small = n * input[0, 0].numel() * weight[0, 0].numel() * len(rates) <= _CACHED_ENTRIES
    indices: Indices = (_kept if small else _built)(build, n, size, kernel_size, tuple(rates))
    return indices


def _built(build: Callable[..., Any], *arguments: Any) -> Any:
    with torch.inference_mode(False):
        return build(*arguments)


_kept = lru_cache(maxsize=8)(_built)


def _pixels_read(n: int, size: tuple[int, int], kernel_size: tuple[int, int], rates: tuple[int, ...]) -> Tensor:
    """``(P options, T)`` pixels that each pixel of ``n`` images reads with each option; ``P`` beyond the map."""
    return _read(n, size, kernel_size, rates, per_tap=False).view(-1, kernel_size[0] * kernel_size[1])


def _read(n: int, size: tuple[int, int], kernel_size: tuple[int, int], rates: tuple[int, ...], per_tap: bool) -> Tensor:
    """``(n, H, W, options, K_h, K_w)`` pixels, or rows of the table, at distance ``rate`` times the tap."""
    taps = kernel_size[0] * kernel_size[1] if per_tap else 1
    outside = n * size[0] * size[1] * taps
    # The sum of two values for "outside" must fit as well.
    index = torch.int32 if outside < 2**30 else torch.int64
    image = torch.arange(0, outside, size[0] * size[1] * taps, dtype=index).view(-1, 1, 1, 1, 1, 1)
    rate = torch.tensor(rates, dtype=index)
    row = _axis(size[0], kernel_size[0], rate, size[1] * taps, kernel_size[1] * per_tap, outside)
    column = _axis(size[1], kernel_size[1], rate, taps, int(per_tap), outside)
    return (image + row[:, None, :, :, None] + column[:, :, None]).clamp_(max=outside)


def _axis(length: int, taps: int, rate: Tensor, stride: int, tap_stride: int, outside: int) -> Tensor:
    """``(length, options, taps)``: what one axis adds to an index, ``outside`` beyond the map."""
    tap = torch.arange(taps, dtype=rate.dtype)
    position = torch.arange(length, dtype=rate.dtype).view(-1, 1, 1) + rate.view(-1, 1) * (tap - taps // 2)
    return torch.where((position >= 0) & (position < length), position * stride + tap * tap_stride, outside)


@torch.library.custom_op("autorf::pixel_adaptive_conv2d", mutates_args=())
def _convolve(
    input: Tensor, weight: Tensor, probabilities: Tensor, rates: list[int], keep: bool
) -> tuple[Tensor, Tensor]:
    """The output ``(N, C_out, H, W)``, and if ``keep`` the options' outputs ``(options, P, C_out)``."""
    dtype = working_dtype(input.dtype)
    size = (input.shape[2], input.shape[3])
    with without_autocast(input):
        choice = None if keep else _one_hot_choice(probabilities)
        if choice is not None:
            return _convolve_chosen(input, weight, choice, rates), input.new_empty(0, dtype=dtype)
        kernel = products.to_kernel(weight, 1, dtype)
        shares = products.to_rows(probabilities, dtype).contiguous()
        output = input.new_empty(len(input), len(weight), *size)
        options = kernel.new_empty((len(rates), len(shares), len(weight)) if keep else (0,))
        pixels = size[0] * size[1]
        for images in products.image_blocks(input, kernel):
            here = slice(images.start * pixels, images.stop * pixels)
            near = _of_size(_Neighbours, images.stop - images.start, input, weight, rates)
            rows = products.to_rows(input[images], dtype)
            for block in products.channel_blocks(kernel, len(rows)):
                table = products.tap_products(rows, kernel, block, extra_rows=1)
                if keep:
                    parts = options[:, here, block.columns]
                    for option, part in enumerate(parts):
                        part.copy_(products.pick_sum(table, near.rows[:, option].contiguous()))
                    picked = _mix(parts, shares[here])
                else:
                    weights = shares[here].unsqueeze(2).expand(near.rows.shape).reshape(len(rows), -1)
                    picked = products.pick_sum(table, near.rows.view(len(rows), -1), weights)
                products.store_rows(picked, output[images, block.columns])
        return output, options


def _convolve_chosen(input: Tensor, weight: Tensor, choice: Tensor, rates: list[int]) -> Tensor:
    """One option a pixel, ``choice (N, H, W)``: its taps side by side, then one matrix product, as for one dilation."""
    kernel = weight.to(working_dtype(input.dtype)).permute(0, 2, 3, 1).reshape(len(weight), -1)
    output = input.new_empty(len(input), len(weight), *choice.shape[1:])
    at_once = max(1, _CHOSEN_BYTES // (input[0].numel() * kernel.element_size()))
    for images, chosen, target in zip(input.split(at_once), choice.split(at_once), output.split(at_once), strict=True):
        options = _of_size(_pixels_read, len(images), input, weight, rates)
        read = options.index_select(0, torch.arange(0, len(options), len(rates)) + chosen.flatten())
        products.store_rows(_rows_read(_rows_and_zero(images, kernel), read, kernel), target)
    return output


def _rows_and_zero(input: Tensor, like: Tensor) -> Tensor:
    """``(P + 1, C_in)``: the pixels, and a row of zeros."""
    n, channels, height, width = input.shape
    rows = like.new_empty(n * height * width + 1, channels)
    rows[-1] = 0
    # Channels a power of two apart share their cache lines' places, and the transposed copy takes twice as long.
    apart = like.new_empty(n, channels, height * width + 16)[..., :-16]
    apart.copy_(input.flatten(2))
    rows[:-1].view(n, -1, channels).copy_(apart.transpose(1, 2))
    return rows


def _rows_read(rows: Tensor, read: Tensor, kernel: Tensor) -> Tensor:
    """``(P, C_out)``: the product of the ``rows`` that each pixel reads, ``read (P, T)``, with all taps."""
    mixed = kernel.new_empty(len(read), len(kernel))
    near = max(_NEAR_PIXELS, _NEAR_BYTES // (kernel[0].numel() * kernel.element_size()))
    step = -(-len(read) // max(1, round(len(read) / near)))
    for part, target in zip(read.split(step), mixed.split(step), strict=True):
        torch.mm(products.picked(rows, part.flatten()).view(-1, kernel.shape[1]), kernel.T, out=target)
    return mixed


def _to_maps(rows: Tensor, like: Tensor) -> Tensor:
    maps = torch.empty(like.shape, dtype=like.dtype, device=like.device)
    products.store_rows(rows, maps)
    return maps


def _one_hot_choice(probabilities: Tensor) -> Tensor | None:
    """``(N, H, W)`` options where every pixel has one 1 and otherwise 0, else None."""
    likeliest = probabilities.max(1)
    one_hot = likeliest.values.min() == 1 and torch.count_nonzero(probabilities) == likeliest.values.numel()
    return likeliest.indices if one_hot else None


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
    needs_grad: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of input, weight and probabilities; an empty tensor for one that needs none."""
    dtype = working_dtype(input.dtype)
    size = (input.shape[2], input.shape[3])
    with without_autocast(input):
        kernel = products.to_kernel(weight, 1, dtype)
        shares = products.to_rows(probabilities, dtype).contiguous()
        grad_kernel = torch.zeros_like(kernel) if needs_grad[1] else None
        grad_input = input.new_empty(input.shape if needs_grad[0] else (0,))
        grad_shares = torch.zeros_like(shares) if needs_grad[2] else None
        pixels = size[0] * size[1]
        for images in products.image_blocks(input, kernel):
            here = slice(images.start * pixels, images.stop * pixels)
            near = _of_size(_Neighbours, images.stop - images.start, input, weight, rates)
            rows = products.to_rows(input[images], dtype)
            grad_rows = products.rows_to_fill(grad_input[images], dtype) if needs_grad[0] else None
            indices = near.rows if needs_grad[2] and not options.numel() else None
            readers, weights = near.readers.clamp(max=near.pixels - 1), near.reader_shares(shares[here])
            for block in products.channel_blocks(kernel, len(rows)):
                grad_block = products.to_rows(grad[images, block.columns], dtype).contiguous()
                if grad_shares is not None:
                    table = None if indices is None else products.tap_products(rows, kernel, block, extra_rows=1)
                    for option in range(len(rates)):
                        if table is None or indices is None:
                            part = options[option, here, block.columns]
                        else:
                            part = products.pick_sum(table, indices[:, option].contiguous())
                        grad_shares[here, option] += (grad_block * part).sum(1)
                if grad_rows is not None or grad_kernel is not None:
                    grad_table = products.pick_sum(grad_block, readers, weights)
                    products.add_tap_gradients(grad_table, rows, kernel, block, grad_rows, grad_kernel)
            if grad_rows is not None:
                products.store_gradient(grad_rows, grad_input[images])
        return (
            grad_input,
            kernel.new_empty(0) if grad_kernel is None else products.to_weight(grad_kernel, weight),
            kernel.new_empty(0) if grad_shares is None else _to_maps(grad_shares, probabilities),
        )


@_convolve.register_fake
def _(input: Tensor, weight: Tensor, probabilities: Tensor, rates: list[int], keep: bool) -> tuple[Tensor, Tensor]:
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
    needs_grad: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    shapes = [
        value.shape if needed else (0,)
        for value, needed in zip((input, weight, probabilities), needs_grad, strict=True)
    ]
    return input.new_empty(shapes[0]), weight.new_empty(shapes[1]), probabilities.new_empty(shapes[2])


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    input, weight, probabilities, ctx.rates, _ = inputs
    ctx.save_for_backward(input, weight, probabilities, output[1])


def _backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    needs_grad = list(ctx.needs_input_grad[:3])
    grads = _convolve_backward(grad, *ctx.saved_tensors, ctx.rates, needs_grad)
    return *(value if needed else None for value, needed in zip(grads, needs_grad, strict=True)), None, None


_convolve.register_autograd(_backward, setup_context=_save)
