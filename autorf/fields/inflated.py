"""The papers' arithmetic for a receptive field behind an inflation layer."""

import math

from autorf.ops._arguments import positive_number, whole_number


def inflated_kernel(kernel: int, dilation: int, factor: float) -> int:
    """The kernel ``k'`` that a convolution behind inflation by ``factor`` amounts to on the map before it.

    Args:
        kernel: side of the convolution's kernel, at least 1.
        dilation: its dilation, at least 1; the effective kernel is ``(kernel - 1) dilation + 1``.
        factor: the inflation factor ``f``, positive; 1 means no inflation and leaves the effective kernel.

    Raises:
        InputError: for values outside these ranges.

    Paper: Wei et al., *Learning adaptive receptive fields for deep image parsing networks*, 2018, section 3.3:
    ``k' = ceil((k + 1) / f)``, which counts the taps of the resize too.

    Examples:
        >>> from autorf.fields import inflated_kernel
        >>> inflated_kernel(kernel=4, dilation=4, factor=2.0)  # 13 pixels wide before
        7
    """
    kernel = whole_number("inflated_kernel", "kernel", kernel)
    dilation = whole_number("inflated_kernel", "dilation", dilation)
    factor = positive_number("inflated_kernel", "factor", factor)
    effective = (kernel - 1) * dilation + 1
    return effective if factor == 1 else math.ceil((effective + 1) / factor)


def inflated_field(rf_in: int, stride: int, kernel: int, dilation: int, factor: float) -> int:
    """``rf_in + stride (k' - 1)``: the receptive field in input pixels of that convolution.

    ``rf_in`` and ``stride`` are those of the map that is inflated, in input pixels, at least 1. The engine itself is
    exact where this rounds: it follows the resize's real coordinates, so its fields are real numbers.

    Raises:
        InputError: as :func:`inflated_kernel`, or for ``rf_in`` or ``stride`` below 1.

    Examples:
        >>> from autorf.fields import inflated_field
        >>> inflated_field(rf_in=212, stride=8, kernel=4, dilation=4, factor=2.0)
        260
    """
    rf_in = whole_number("inflated_field", "rf_in", rf_in)
    stride = whole_number("inflated_field", "stride", stride)
    return rf_in + stride * (inflated_kernel(kernel, dilation, factor) - 1)
