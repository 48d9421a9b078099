"""A convolution whose dilation lies, image by image, between two of several options."""

from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor
from torch.nn import functional

from autorf.errors import InputError
from autorf.ops._arguments import check_tensor, kind_of
from autorf.ops._convolution_input import check_convolution
from autorf.ops._dilations import whole_rates

_NAME = "blended_dilated_conv2d"


def blended_dilated_conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    lower: Sequence[int],
    blend: Tensor,
    rates: Sequence[int],
    groups: int = 1,
) -> Tensor:
    """Image ``n`` becomes ``(1 - b) conv2d(dilation=rates[l]) + b conv2d(dilation=rates[l + 1])``, as large as it was.

    Here ``l = lower[n]`` and ``b = blend[n]``. For a ``b`` drawn uniformly from [0, 1] the derivative of a loss with
    respect to it is an unbiased estimate of that image's loss at ``rates[l + 1]`` minus its loss at ``rates[l]``
    (the mean of a derivative over a path is the difference of its ends). Every image costs two convolutions, however
    many options there are.

    Args:
        input: ``(N, C_in, H, W)``.
        weight: ``(C_out, C_in / groups, K_h, K_w)``, odd kernel sides; shared by all rates.
        bias: ``(C_out,)`` or None.
        lower: for each image the index of the smaller of its two options, in ``0..len(rates) - 2``.
        blend: ``(N,)``, for each image the share of the larger one, in [0, 1].
        rates: at least two increasing positive integers, the dilations.
        groups: as in ``conv2d``.

    Raises:
        InputError: for rates that are not increasing positive integers, an even kernel, or images without an option.

    Examples:
        >>> import torch
        >>> from autorf.ops import blended_dilated_conv2d
        >>> images, weight = torch.rand(2, 3, 16, 16), torch.rand(4, 3, 3, 3)
        >>> blended = blended_dilated_conv2d(images, weight, None, [0, 1], torch.tensor([0.5, 0.0]), rates=(1, 2, 4))
        >>> plain = torch.nn.functional.conv2d(images, weight, padding=2, dilation=2)
        >>> blended[1].allclose(plain[1], atol=1e-5)  # a blend of 0 is the smaller option, dilation 2
        True
    """
    rates = whole_rates(rates)
    check_convolution(_NAME, input, weight, bias, groups)
    check_tensor(_NAME, "blend", blend, dims=1)
    if not isinstance(lower, Sequence) or not all(isinstance(index, Integral) for index in lower):
        raise InputError(f"{_NAME}: lower must be a list of whole numbers, one an image, got {kind_of(lower)}")
    if len(lower) != len(input) or blend.shape != (len(input),):
        raise InputError(f"lower and blend need one value an image: {len(input)} images, {len(lower)}, {len(blend)}")
    if not all(0 <= index < len(rates) - 1 for index in lower):
        raise InputError(f"lower must lie in 0..{len(rates) - 2}, one less than the options, got {list(lower)}")
    output: Tensor | None = None
    for option, rate in enumerate(rates):
        images = [n for n, index in enumerate(lower) if index in (option - 1, option)]
        if not images:
            continue
        chosen = torch.tensor(images, device=input.device)
        above = torch.tensor([lower[n] < option for n in images], device=input.device)
        share = torch.where(above, blend[chosen], 1 - blend[chosen]).view(-1, 1, 1, 1)
        padding = (rate * (weight.shape[2] // 2), rate * (weight.shape[3] // 2))
        term = functional.conv2d(input[chosen], weight, None, padding=padding, dilation=rate, groups=groups)
        if output is None:
            output = term.new_zeros(len(input), *term.shape[1:])
        # In place: a copy of the whole batch for each option would cost a quarter of the operator on small maps.
        output.index_add_(0, chosen, term * share.to(term.dtype))
    if output is None:
        raise InputError("input holds no image")
    return output if bias is None else output + bias.to(output.dtype).view(1, -1, 1, 1)
