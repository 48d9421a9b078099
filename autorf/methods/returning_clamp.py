"""A clamp that can be left again."""

from typing import Any

import torch
from torch import Tensor


class _ReturningClamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, low: Any, high: Any) -> Tensor:
        # No saved tensors: a part that activation checkpointing runs again shares the clamped value and saves none.
        ctx.beyond = input < low, input > high
        return input.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (below, above), (grad,) = ctx.beyond, grads
        # A step of descent goes against the gradient.
        outwards = (below & (grad > 0)) | (above & (grad < 0))
        return grad.masked_fill(outwards, 0), None, None


def returning_clamp(input: Tensor, low: float, high: float) -> Tensor:
    """``input.clamp(low, high)``, with the gradient kept beyond a bound wherever descent leads back inside.

    The gradient of ``clamp`` itself is zero there, so that a value that once left could never return.
    """
    if torch.jit.is_tracing() or not (input.requires_grad and torch.is_grad_enabled()):
        return input.clamp(low, high)
    # A compiler with dynamic=True takes numbers for unknowns, which an operator of our own cannot be given.
    bounds = (input.new_full((), low), input.new_full((), high)) if torch.compiler.is_compiling() else (low, high)
    clamped: Tensor = _ReturningClamp.apply(input, *bounds)
    return clamped
