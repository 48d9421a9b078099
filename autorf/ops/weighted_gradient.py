"""A layer that changes nothing but the gradient: some pixels count more than others.

Paper: Wei et al., *Learning adaptive receptive fields for deep image parsing networks*, 2018, Eq. 12.
"""

from typing import Any

import torch
from torch import Tensor

from autorf.errors import InputError


def weight_gradient(input: Tensor, weight: Tensor) -> Tensor:
    """Return ``input`` as it is; its gradient is multiplied by ``weight``.

    Args:
        input: ``(N, C, H, W)``.
        weight: ``(N, 1, H, W)``, not differentiated.

    Raises:
        InputError: when ``weight`` does not fit.
    """
    if input.dim() != 4 or weight.shape != (input.shape[0], 1, *input.shape[2:]):
        raise InputError(
            f"weight_gradient: an input of shape {tuple(input.shape)} needs a weight (N, 1, H, W), "
            f"got {tuple(weight.shape)}"
        )
    weighted: Tensor = _WeightGradient.apply(input, weight)
    return weighted


class _WeightGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return input.view_as(input)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (weight,) = ctx.saved_tensors
        return gradients[0] * weight.to(gradients[0].dtype), None
