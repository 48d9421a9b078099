"""The slow, obvious version of every operator: loops over pixels and taps, straight from the formula."""

from collections.abc import Sequence

import torch
from torch import Tensor


def inflate_reference(input: Tensor, factor: float | tuple[float, float]) -> Tensor:
    """:func:`autorf.ops.inflate`, pixel by pixel."""
    height, width = factor if isinstance(factor, tuple) else (factor, factor)
    size = (round(height * (input.shape[2] - 1) + 1), round(width * (input.shape[3] - 1) + 1))
    return interpolate_reference(input, factor, size)


def interpolate_reference(input: Tensor, factor: float | tuple[float, float], size: tuple[int, int]) -> Tensor:
    """:func:`autorf.ops.interpolate`, pixel by pixel: the sum over source pixels of Eq. 4."""
    height, width = factor if isinstance(factor, tuple) else (factor, factor)
    output = input.new_zeros(*input.shape[:2], *size)
    for y in range(size[0]):
        for x in range(size[1]):
            source_y = min(y / height, input.shape[2] - 1)
            source_x = min(x / width, input.shape[3] - 1)
            for n in range(input.shape[2]):
                for m in range(input.shape[3]):
                    share = max(0.0, 1 - abs(source_x - m)) * max(0.0, 1 - abs(source_y - n))
                    output[:, :, y, x] += share * input[:, :, n, m]
    return output


def windowed_dilated_conv2d_reference(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    probabilities: Tensor,
    rates: Sequence[int],
    groups: int = 1,
) -> Tensor:
    """:func:`autorf.ops.windowed_dilated_conv2d`, tap by tap."""
    output = input.new_zeros(input.shape[0], weight.shape[0], *input.shape[2:])
    for share, rate in zip(probabilities, rates, strict=True):
        for i in range(weight.shape[2]):
            for j in range(weight.shape[3]):
                offset = ((i - weight.shape[2] // 2) * rate, (j - weight.shape[3] // 2) * rate)
                output += share * _mixed_channels(_shifted(input, *offset), weight[:, :, i, j], groups)
    return output if bias is None else output + bias.view(1, -1, 1, 1)


def blended_dilated_conv2d_reference(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    lower: Sequence[int],
    blend: Tensor,
    rates: Sequence[int],
    groups: int = 1,
) -> Tensor:
    """:func:`autorf.ops.blended_dilated_conv2d`, image by image."""
    images = []
    for n, index in enumerate(lower):
        share = torch.stack([1 - blend[n], blend[n]])
        pair = rates[index : index + 2]
        images.append(windowed_dilated_conv2d_reference(input[n : n + 1], weight, bias, share, pair, groups))
    return torch.cat(images)


def pixel_adaptive_conv2d_reference(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    probabilities: Tensor,
    rates: Sequence[int],
    groups: int = 1,
) -> Tensor:
    """:func:`autorf.ops.pixel_adaptive_conv2d`, tap by tap, all options everywhere."""
    output = input.new_zeros(input.shape[0], weight.shape[0], *input.shape[2:])
    for option, rate in enumerate(rates):
        for i in range(weight.shape[2]):
            for j in range(weight.shape[3]):
                offset = ((i - weight.shape[2] // 2) * rate, (j - weight.shape[3] // 2) * rate)
                term = _mixed_channels(_shifted(input, *offset), weight[:, :, i, j], groups)
                output += probabilities[:, option : option + 1] * term
    return output if bias is None else output + bias.view(1, -1, 1, 1)


def scale_adaptive_conv2d_reference(
    input: Tensor, weight: Tensor, bias: Tensor | None, scale: Tensor, dilation: int = 1, groups: int = 1
) -> Tensor:
    """:func:`autorf.ops.scale_adaptive_conv2d`, tap by tap and pixel by pixel."""
    output = input.new_zeros(input.shape[0], weight.shape[0], *input.shape[2:])
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            dy, dx = (i - weight.shape[2] // 2) * dilation, (j - weight.shape[3] // 2) * dilation
            read = torch.zeros_like(input)
            for n in range(input.shape[0]):
                for y in range(input.shape[2]):
                    for x in range(input.shape[3]):
                        spread = scale[n, 0, y, x]
                        read[n, :, y, x] = _bilinear(input[n], y + spread * dy, x + spread * dx)
            output = output + _mixed_channels(read, weight[:, :, i, j], groups)
    return output if bias is None else output + bias.view(1, -1, 1, 1)


def _bilinear(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """``image (C, H, W)`` at the real position ``(y, x)``, zero outside."""
    value = image.new_zeros(image.shape[0])
    top, left = int(y.floor()), int(x.floor())
    for row, share_y in ((top, top + 1 - y), (top + 1, y - top)):
        for column, share_x in ((left, left + 1 - x), (left + 1, x - left)):
            if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
                value = value + share_y * share_x * image[:, row, column]
    return value


def _shifted(input: Tensor, dy: int, dx: int) -> Tensor:
    """``output[y, x] = input[y + dy, x + dx]``, zero outside the map."""
    output = torch.zeros_like(input)
    height, width = input.shape[2:]
    for y in range(height):
        for x in range(width):
            if 0 <= y + dy < height and 0 <= x + dx < width:
                output[:, :, y, x] = input[:, :, y + dy, x + dx]
    return output


def _mixed_channels(input: Tensor, weight: Tensor, groups: int) -> Tensor:
    """A 1x1 convolution with ``weight (C_out, C_in / groups)``."""
    parts = zip(input.chunk(groups, 1), weight.chunk(groups, 0), strict=True)
    return torch.cat([torch.einsum("oc,nchw->nohw", kernel, part) for part, kernel in parts], 1)
