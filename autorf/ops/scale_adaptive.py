"""Scale-adaptive convolution: every output pixel has its own scale of the kernel.

``y(p) = sum_k K_k x(p + s(p) d k) + b``, taps read by bilinear interpolation, zero outside the map.
Paper: Zhang et al., *Scale-adaptive convolutions for scene parsing*, ICCV 2017.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from autorf.errors import InputError
from autorf.ops import _tap_products as products
from autorf.ops._convolution_input import (
    check_alike,
    check_convolution,
    check_map,
    to_common_dtype,
    without_autocast,
    working_dtype,
)
from autorf.ops._dilations import is_dilation
from autorf.ops.exporting import is_exporting

_NAME = "scale_adaptive_conv2d"
_KEPT_BYTES = 256 * 2**20


def scale_adaptive_conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    scale: Tensor,
    dilation: int = 1,
    groups: int = 1,
    *,
    recompute: bool | None = None,
) -> Tensor:
    """Convolution of stride 1 whose taps are spread by ``scale`` at each output pixel; the output is as large.

    Args:
        input: ``(N, C_in, H, W)``.
        weight: ``(C_out, C_in / groups, K_h, K_w)``, odd kernel sides.
        bias: ``(C_out,)`` or None.
        scale: ``(N, 1, H, W)``, multiples of ``dilation``; 1 everywhere is ``conv2d``. Meant to be positive and
            finite, which is not checked here because it would read every value: the layer clamps it to its bounds.
        dilation: positive integer, the spacing of taps in pixels of ``input`` where the scale is 1.
        groups: as in ``conv2d``.
        recompute: compute again for the backward pass what the forward pass could keep: less memory, more time.
            None recomputes where the kept part would be above 256 MiB.

    Raises:
        InputError: for a scale of another size, an even kernel, channels that do not fit, or mixed devices or dtypes.

    Note:
        Where a tap falls on a pixel the derivative of bilinear interpolation is one-sided, towards larger
        coordinates, as in deformable convolution. There is no second derivative.

    Examples:
        >>> import torch
        >>> from autorf.ops import scale_adaptive_conv2d
        >>> image, weight = torch.rand(1, 3, 16, 16), torch.rand(4, 3, 3, 3)
        >>> output = scale_adaptive_conv2d(image, weight, None, torch.full((1, 1, 16, 16), 2.0))
        >>> output.allclose(torch.nn.functional.conv2d(image, weight, padding=2, dilation=2), atol=1e-5)
        True
    """
    check_convolution(_NAME, input, weight, bias, groups)
    check_map(_NAME, "scale", scale, 1, input)
    check_alike(_NAME, input, weight=weight, bias=bias, scale=scale)
    if not is_dilation(dilation):
        raise InputError(f"{_NAME}: dilation must be a positive integer, got {dilation!r}")
    dilation = int(dilation)
    input, weight, bias = to_common_dtype(_NAME, input, weight, bias)
    if input.device.type == "cpu" and not is_exporting():
        keep = scale.requires_grad and torch.is_grad_enabled()
        keep = keep and not _recomputes(recompute, input, weight.shape[0])
        output, _ = _convolve(input, weight, scale, dilation, groups, keep)
    else:
        output = _sampled_conv2d(input, weight, scale, dilation, groups, recompute)
    return output if bias is None else output + bias.view(1, -1, 1, 1)


def _recomputes(recompute: bool | None, input: Tensor, channels: int) -> bool:
    if recompute is not None:
        return recompute
    return input.shape[0] * channels * input.shape[2] * input.shape[3] * input.element_size() > _KEPT_BYTES


# Anywhere but on the CPU, and in an exported program: common operators only.


def _sampled_conv2d(
    input: Tensor, weight: Tensor, scale: Tensor, dilation: int, groups: int, recompute: bool | None
) -> Tensor:
    columns = input.shape[1] * weight.shape[2] * weight.shape[3]
    arguments = (input, weight, scale, dilation, groups)
    if torch.is_grad_enabled() and _recomputes(recompute, input, columns):
        output = checkpoint(_sample_and_multiply, *arguments, use_reentrant=False, preserve_rng_state=False)
        assert isinstance(output, Tensor)
        return output
    return _sample_and_multiply(*arguments)


def _sample_and_multiply(input: Tensor, weight: Tensor, scale: Tensor, dilation: int, groups: int) -> Tensor:
    n, _, height, width = input.shape
    # Half-precision coordinates would be wrong by pixels, so sampling works in float32 at least.
    dtype = working_dtype(input.dtype)
    with without_autocast(input):
        grid = _sampling_grid(scale.to(dtype), weight, dilation)
        columns = functional.grid_sample(input.to(dtype), grid, "bilinear", "zeros", align_corners=False)
        columns = columns.to(input.dtype).view(n, groups, -1, height * width)
        return (weight.view(groups, weight.shape[0] // groups, -1) @ columns).view(n, -1, height, width)


def _sampling_grid(scale: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """``(N, T H, W, 2)`` positions of all taps, tap after tap, in the coordinates of ``grid_sample``."""
    n, _, height, width = scale.shape
    rows, columns = (torch.arange(length, device=scale.device, dtype=scale.dtype) for length in (height, width))
    tap_rows, tap_columns = (_tap_offsets(taps, dilation, scale) for taps in weight.shape[2:])
    y = (2 * (rows[:, None] + scale[:, :, None] * tap_rows[:, None, None, None]) + 1) / height - 1
    x = (2 * (columns + scale[:, :, None] * tap_columns[:, None, None]) + 1) / width - 1
    size = (n, len(tap_rows), len(tap_columns), height, width)
    grid = torch.stack(
        [x.reshape(n, 1, -1, height, width).expand(size), y.reshape(n, -1, 1, height, width).expand(size)], -1
    )
    return grid.reshape(n, -1, width, 2)


def _tap_offsets(taps: int, dilation: int, like: Tensor) -> Tensor:
    radius = taps // 2
    return torch.arange(-radius, radius + 1, device=like.device, dtype=like.dtype) * dilation


# On the CPU: one matrix product with all taps, then a weighted sum of rows per pixel (see _tap_products).


class _Corners:
    """The pixels that each output pixel reads: rows of the table, their weights, and d weight / d scale.

    Each is ``(P, E)``. A tap of an axis' centre sits on a pixel whatever the scale, so a 3 x 3 kernel reads 25
    corners, not 36: five rows by five columns.
    """

    def __init__(self, scale: Tensor, kernel_size: tuple[int, int], dilation: int, dtype: torch.dtype) -> None:
        n, _, height, width = scale.shape
        scale = scale.to(dtype).contiguous().view(n, height, width, 1)
        row, row_tap, row_weight, row_slope = _axis_corners(scale, kernel_size[0], dilation, dim=1)
        column, column_tap, column_weight, column_slope = _axis_corners(scale, kernel_size[1], dilation, dim=2)
        taps = kernel_size[0] * kernel_size[1]
        index = torch.int32 if n * height * width * taps < 2**31 else torch.int64
        image = torch.arange(n, device=scale.device, dtype=index).view(n, 1, 1, 1) * height
        # Each axis carries its own stride in the table, so that the sum of both is row p T + t of the corner.
        row = ((image + row.to(index)) * (width * taps) + row_tap.to(index) * kernel_size[1]).unsqueeze(-1)
        column = (column.to(index) * taps + column_tap.to(index)).unsqueeze(-2)
        self.indices = (row + column).view(n * height * width, -1)
        row_weight, column_weight = row_weight.unsqueeze(-1), column_weight.unsqueeze(-2)
        self.weights = (row_weight * column_weight).view(self.indices.shape)
        slopes = row_slope.unsqueeze(-1) * column_weight + row_weight * column_slope.unsqueeze(-2)
        self.slopes = slopes.view(self.indices.shape)


def _axis_corners(scale: Tensor, n_taps: int, dilation: int, dim: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Position, tap, weight and d weight / d scale along one axis, each ``(N, H, W, corners)`` or broadcast to it."""
    size = scale.shape[dim]
    # The centre tap moves with no scale: it needs no upper neighbour.
    taps = [(tap, upper) for tap in range(n_taps) for upper in ((0, 1) if tap != n_taps // 2 else (0,))]
    tap = torch.tensor([tap for tap, _ in taps], device=scale.device)
    upper = torch.tensor([upper for _, upper in taps], device=scale.device)
    step = ((tap - n_taps // 2) * dilation).to(scale.dtype)
    sign = (2 * upper - 1).to(scale.dtype)
    shape = [1, 1, 1, 1]
    shape[dim] = size
    offset = scale * step
    low = offset.floor()
    # The fraction is taken before the pixel's own coordinate is added: nothing is lost to a large coordinate.
    weight = sign * (offset - low) + (1 - upper)
    position = low.clamp(-size - 1, size).long() + upper + torch.arange(size, device=scale.device).view(shape)
    inside = ((position >= 0) & (position < size)).to(scale.dtype)
    return position.clamp(0, size - 1), tap, weight * inside, sign * step * inside


@torch.library.custom_op("autorf::scale_adaptive_conv2d", mutates_args=())
def _convolve(
    input: Tensor, weight: Tensor, scale: Tensor, dilation: int, groups: int, keep: bool
) -> tuple[Tensor, Tensor]:
    """The output ``(N, C_out, H, W)``, and if ``keep`` its derivative by the scale ``(P, C_out)``."""
    dtype = working_dtype(input.dtype)
    size = (weight.shape[2], weight.shape[3])
    with without_autocast(input):
        kernel = products.to_kernel(weight, groups, dtype)
        output = input.new_empty(len(input), len(weight), *input.shape[2:])
        tangent = output.new_empty((scale.numel(), len(weight)) if keep else (0,), dtype=dtype)
        pixels = scale.shape[2] * scale.shape[3]
        for images in products.image_blocks(input, kernel):
            corners = _Corners(scale[images], size, dilation, dtype)
            rows = products.to_rows(input[images], dtype)
            here = slice(images.start * pixels, images.stop * pixels)
            for block in products.channel_blocks(kernel, len(rows)):
                table = products.tap_products(rows, kernel, block)
                picked = products.pick_sum(table, corners.indices, corners.weights)
                products.store_rows(picked, output[images, block.columns])
                if keep:
                    tangent[here, block.columns] = products.pick_sum(table, corners.indices, corners.slopes)
        return output, tangent


@torch.library.custom_op("autorf::scale_adaptive_conv2d_backward", mutates_args=())
def _convolve_backward(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    scale: Tensor,
    tangent: Tensor,
    dilation: int,
    groups: int,
    needs_grad: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of input, weight and scale; an empty tensor for one that needs none."""
    dtype = working_dtype(input.dtype)
    size = (weight.shape[2], weight.shape[3])
    with without_autocast(input):
        kernel = products.to_kernel(weight, groups, dtype)
        grad_kernel = torch.zeros_like(kernel) if needs_grad[1] else None
        grad_input = input.new_empty(input.shape if needs_grad[0] else (0,))
        grad_scale = torch.zeros(scale.numel(), dtype=dtype, device=scale.device) if needs_grad[2] else None
        pixels = scale.shape[2] * scale.shape[3]
        for images in products.image_blocks(input, kernel):
            corners = _Corners(scale[images], size, dilation, dtype)
            rows = products.to_rows(input[images], dtype)
            grad_rows = products.rows_to_fill(grad_input[images], dtype) if needs_grad[0] else None
            here = slice(images.start * pixels, images.stop * pixels)
            spread = None
            if needs_grad[0] or needs_grad[1]:
                spread = products.Spread(corners.indices, corners.weights, len(rows) * kernel.shape[1])
            for block in products.channel_blocks(kernel, len(rows)):
                grad_block = products.to_rows(grad[images, block.columns], dtype).contiguous()
                if grad_scale is not None:
                    if tangent.numel():
                        along = tangent[here, block.columns]
                    else:
                        table = products.tap_products(rows, kernel, block)
                        along = products.pick_sum(table, corners.indices, corners.slopes)
                    grad_scale[here] += (grad_block * along).sum(1)
                if spread is not None:
                    products.add_tap_gradients(spread(grad_block), rows, kernel, block, grad_rows, grad_kernel)
            if grad_rows is not None:
                products.store_gradient(grad_rows, grad_input[images])
        return (
            grad_input,
            kernel.new_empty(0) if grad_kernel is None else products.to_weight(grad_kernel, weight),
            kernel.new_empty(0) if grad_scale is None else grad_scale.view(scale.shape).to(scale.dtype),
        )


@_convolve.register_fake
def _(input: Tensor, weight: Tensor, scale: Tensor, dilation: int, groups: int, keep: bool) -> tuple[Tensor, Tensor]:
    n, _, height, width = input.shape
    dtype = working_dtype(input.dtype)
    kept = (n * height * width, weight.shape[0]) if keep else (0,)
    return input.new_empty(n, weight.shape[0], height, width), input.new_empty(kept, dtype=dtype)


@_convolve_backward.register_fake
def _(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    scale: Tensor,
    tangent: Tensor,
    dilation: int,
    groups: int,
    needs_grad: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    shapes = [value.shape if needed else (0,) for value, needed in zip((input, weight, scale), needs_grad, strict=True)]
    return input.new_empty(shapes[0]), weight.new_empty(shapes[1]), scale.new_empty(shapes[2])


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    input, weight, scale, ctx.dilation, ctx.groups, _ = inputs
    ctx.save_for_backward(input, weight, scale, output[1])


def _backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    needs_grad = list(ctx.needs_input_grad[:3])
    grads = _convolve_backward(grad, *ctx.saved_tensors, ctx.dilation, ctx.groups, needs_grad)
    return *(value if needed else None for value, needed in zip(grads, needs_grad, strict=True)), None, None, None


_convolve.register_autograd(_backward, setup_context=_save)
