"""A convolution averaged over several dilations with one shared kernel."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from autorf.errors import InputError
from autorf.ops._arguments import check_tensor
from autorf.ops._convolution_input import check_convolution
from autorf.ops._dilations import whole_rates

_NAME = "windowed_dilated_conv2d"


def windowed_dilated_conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    probabilities: Tensor,
    rates: Sequence[int],
    groups: int = 1,
) -> Tensor:
    """``sum_r probabilities[r] conv2d(input, weight, dilation=rates[r]) + bias``, with as large an output.

    Args:
        input: ``(N, C_in, H, W)``.
        weight: ``(C_out, C_in / groups, K_h, K_w)``, odd kernel sides; shared by all rates.
        bias: ``(C_out,)`` or None.
        probabilities: ``(len(rates),)``, one weight an option for the whole map.
        rates: increasing positive integers, the dilations.
        groups: as in ``conv2d``.

    Raises:
        InputError: for rates that are not increasing positive integers, an even kernel, or probabilities of another
            length.

    Note:
        A window over the options that narrows to one of them turns the mixture into a plain dilated convolution.

    Examples:
        >>> import torch
        >>> from autorf.ops import windowed_dilated_conv2d
        >>> image, weight = torch.rand(1, 3, 16, 16), torch.rand(4, 3, 3, 3)
        >>> mean = windowed_dilated_conv2d(image, weight, None, torch.tensor([0.5, 0.5]), rates=(1, 2))
        >>> first = torch.nn.functional.conv2d(image, weight, padding=1)
        >>> second = torch.nn.functional.conv2d(image, weight, padding=2, dilation=2)
        >>> mean.allclose((first + second) / 2, atol=1e-5)
        True
    """
    rates = whole_rates(rates)
    check_convolution(_NAME, input, weight, bias, groups)
    check_tensor(_NAME, "probabilities", probabilities)
    if probabilities.shape != (len(rates),):
        raise InputError(f"probabilities must have shape ({len(rates)},), got {tuple(probabilities.shape)}")
    terms = (_same_conv2d(input, weight, rate, groups) for rate in rates)
    output = sum(term * share.to(term.dtype) for term, share in zip(terms, probabilities, strict=True))
    assert isinstance(output, Tensor)
    return output if bias is None else output + bias.to(output.dtype).view(1, -1, 1, 1)


def _same_conv2d(input: Tensor, weight: Tensor, rate: int, groups: int) -> Tensor:
    padding = (rate * (weight.shape[2] // 2), rate * (weight.shape[3] // 2))
    return functional.conv2d(input, weight, None, padding=padding, dilation=rate, groups=groups)
