"""Inflation and interpolation: bilinear resizing by a factor that is learned.

``x (N, C, H, W)``; output coordinate ``t`` reads input coordinate ``t / factor``, anchored at the top-left pixel.
Papers: Wei et al., *Learning adaptive receptive fields for deep image parsing networks*, 2018, Eqs. 1-11.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from autorf.errors import InputError, shown
from autorf.ops._arguments import check_tensor
from autorf.ops.exporting import is_exporting
from autorf.specification import MOST_PIXELS

Gradient = Literal["exact", "paper"]
Factor = Tensor | float | tuple[float, float]


def inflate(input: Tensor, factor: Factor, *, gradient: Gradient = "exact") -> Tensor:
    """Resize a map by ``factor`` to ``round(factor (H - 1) + 1)`` by ``round(factor (W - 1) + 1)``.

    Args:
        input: ``(N, C, H, W)``.
        factor: one positive number for both axes, or two ``(height, width)``; gradients reach it.
        gradient: ``"exact"`` is the derivative of the formula; ``"paper"`` divides the factor's by the number of
            output pixels (Eq. 7). The gradient of ``input`` is the exact adjoint in both.

    Raises:
        InputError: for an input that is no 4-d floating-point map, or a factor that is not positive and finite.

    Note:
        Where ``t / factor`` falls on a pixel the bilinear kernel has a kink; the factor's gradient there is the mean
        of its two one-sided derivatives, so that learning can leave 1 in either direction.

    Examples:
        >>> import torch
        >>> from autorf.ops import inflate
        >>> inflate(torch.tensor([[[[0.0, 1.0, 2.0]]]]), (1, 2))
        tensor([[[[0.0000, 0.5000, 1.0000, 1.5000, 2.0000]]]])
    """
    height, width = factor_pair(factor)
    _check_map(input)
    size = (inflated_side(input.shape[2], height), inflated_side(input.shape[3], width))
    return interpolate(input, factor, size, gradient=gradient)


def interpolate(input: Tensor, factor: Factor, size: Sequence[int], *, gradient: Gradient = "exact") -> Tensor:
    """Resize a map to ``size``, reading input coordinate ``t / factor`` for output coordinate ``t``.

    Undoes :func:`inflate` with ``factor = F / f``: ``F = 1`` returns to the size before inflation,
    ``F = (H_out - 1) / (H_s - 1)`` folds the network's final up-sampling into the same step.
    The last row and column are repeated where rounding overshoots.

    Args:
        input: ``(N, C, H, W)``.
        factor: one positive number for both axes, or two ``(height, width)``; gradients reach it.
        size: ``(height, width)`` of the output in pixels, both at least 1.
        gradient: as in :func:`inflate`; ``"paper"`` divides by the output's pixels (Eq. 11).

    Raises:
        InputError: as :func:`inflate`, or for a size below 1.

    Examples:
        >>> import torch
        >>> from autorf.ops import inflate, interpolate
        >>> map = torch.rand(1, 4, 9, 9)
        >>> interpolate(inflate(map, 2), 1 / 2, (9, 9)).allclose(map)
        True
    """
    _check_map(input)
    if not (is_exporting() and isinstance(factor, Tensor)):
        # In an exported program a tensor is no number yet.
        factor_pair(factor)
    # Of tracers and compilers, sides are objects of their own.
    whole = isinstance(size, Sequence) and all(hasattr(side, "__index__") for side in size)
    if not whole or isinstance(size, str | bytes) or len(size) != 2 or min(size) < 1:
        raise InputError(f"interpolate: size must be two positive integers (height, width), got {shown(size)}")
    if isinstance(size[0], int) and isinstance(size[1], int) and size[0] * size[1] > MOST_PIXELS:
        raise InputError(f"interpolate: a map of {size[0]:.4g} x {size[1]:.4g} has more than {MOST_PIXELS} pixels")
    if gradient not in ("exact", "paper"):
        raise InputError(f"gradient must be 'exact' or 'paper', got {gradient!r}")
    factors = torch.as_tensor(factor, dtype=torch.double, device=input.device)
    if gradient == "paper":
        factors = scale_gradient(factors, 1 / (size[0] * size[1]))
    factor_h, factor_w = factors.expand(2) if factors.numel() == 1 else factors
    return _resample(input, factor_h, factor_w, (size[0], size[1]))


def inflated_side(side: int, factor: float) -> int:
    """The inflated length ``round(factor (side - 1) + 1)`` of an axis of ``side`` pixels."""
    # A tracer of torch.jit shows sides as tensors.
    whole: Any = int(side) if torch.jit.is_tracing() else side
    in_integers = _inflated_in_integers(whole, factor) if type(whole) is torch.SymInt else None
    return round(factor * (whole - 1) + 1) if in_integers is None else in_integers


def _inflated_in_integers(side: Any, factor: float) -> int | None:
    """``round(factor (side - 1) + 1)`` of a side that a program leaves open: ONNX has no words for a rounded product.

    A float is a fraction ``numerator / 2^k``, so the product is one of whole numbers and nothing is lost. None where
    they would not fit into 64 bits.
    """
    numerator, denominator = factor.as_integer_ratio()
    if max(numerator, denominator) >= 2**63 // (4 * MOST_PIXELS):
        return None
    doubled = 2 * numerator * (side - 1) + denominator
    nearest = doubled // (2 * denominator)
    # Of two that are as near, Python takes the even one; halves come up where the fraction is that short.
    is_half: Any = 1 - torch.sym_min(doubled % (2 * denominator), 1)
    # Here the 1 is still to be added: what is even then is odd now.
    rounded: int = nearest - is_half * (1 - nearest % 2) + 1
    return rounded


def factor_pair(factor: Factor) -> tuple[float, float]:
    """``factor`` as two plain numbers ``(height, width)``.

    Raises:
        InputError: unless it holds one or two positive finite numbers.
    """
    if isinstance(factor, Tensor):
        values = factor.detach().double().flatten().tolist()
    else:
        given = factor if isinstance(factor, tuple | list) else (factor,)
        if not all(hasattr(value, "__float__") for value in given):
            raise InputError(f"factor must be one or two positive finite numbers, got {shown(factor)}")
        try:
            values = [float(value) for value in given]
        except (OverflowError, TypeError, ValueError, RuntimeError):
            raise InputError(f"factor must be one or two positive finite numbers, got {shown(factor)}") from None
    if len(values) not in (1, 2) or not all(0 < value < float("inf") for value in values):
        raise InputError(f"factor must be one or two positive finite numbers, got {shown(values)}")
    return values[0], values[-1]


def _resample(input: Tensor, factor_h: Tensor, factor_w: Tensor, size: tuple[int, int]) -> Tensor:
    # Separable resizing is two matrix products; half precision is too coarse for the weights, so it works in float32.
    dtype = torch.promote_types(input.dtype, torch.float32)
    with torch.autocast(input.device.type, enabled=False):
        rows = _bilinear_weights(factor_h, input.shape[2], size[0]).to(dtype)
        columns = _bilinear_weights(factor_w, input.shape[3], size[1]).to(dtype)
        map = input.to(dtype)
        # The product with rows is a small one for each channel: it goes where the map is narrower.
        wider = size[1] > input.shape[3]
        output = ((rows @ map) @ columns.T if wider else rows @ (map @ columns.T)).to(input.dtype)
    # In the input's memory layout: convolutions behind it then compute as they would have without it.
    channels_last = not input.is_contiguous() and input.is_contiguous(memory_format=torch.channels_last)
    return output.contiguous(memory_format=torch.channels_last) if channels_last else output


def _bilinear_weights(factor: Tensor, source: int, target: int) -> Tensor:
    """``(target, source)`` weights ``max(0, 1 - |t / factor - m|)``, the last pixel repeated beyond the edge."""
    position = torch.arange(target, device=factor.device, dtype=factor.dtype) / factor
    pixel = torch.arange(source + 1, device=factor.device, dtype=factor.dtype)
    triangle = 1 - (position.clamp(max=source)[:, None] - pixel).abs()
    # torch.maximum halves the gradient at a tie, which is the mean of the kernel's one-sided derivatives there.
    weights = torch.maximum(triangle, torch.zeros_like(triangle))
    return torch.cat([weights[:, : source - 1], weights[:, source - 1 :].sum(1, keepdim=True)], 1)


def scale_gradient(value: Tensor, scale: float) -> Tensor:
    """``value``, whose gradient is multiplied by ``scale``."""
    return value.detach() + (value - value.detach()) * scale


def _check_map(input: Tensor) -> None:
    check_tensor("inflate and interpolate", "input", input)
    # Of tracers and compilers, sides are objects of their own.
    empty = any(isinstance(length, int) and length == 0 for length in input.shape[1:])
    if input.dim() != 4 or not input.is_floating_point() or empty:
        raise InputError(f"expected a floating-point map (N, C, H, W), got {input.dtype} of shape {tuple(input.shape)}")
