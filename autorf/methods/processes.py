"""Processes that train one model together."""

from typing import Any

import torch
from torch import Tensor


def in_parallel() -> bool:
    """Whether there are several."""
    return (
        torch.distributed.is_available()
        and torch.distributed.is_initialized()
        and torch.distributed.get_world_size() > 1
    )


def summed(value: Tensor, device: torch.device) -> Tensor:
    """The sum of ``value`` over all processes, which must all ask for it; it travels by way of ``device``."""
    total = value.to(device, copy=True)
    torch.distributed.all_reduce(total)
    return total.cpu()


class _TakesPart(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, output: Tensor, parameter: Tensor) -> Tensor:
        ctx.save_for_backward(parameter)
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (parameter,) = ctx.saved_tensors
        return gradients[0], torch.zeros_like(parameter)


def taking_part(output: Tensor, parameter: Tensor) -> Tensor:
    """``output``, for whose gradient ``parameter`` counts as used, with a gradient of 0.

    ``DistributedDataParallel`` waits for the gradient of every parameter.
    """
    taken: Tensor = _TakesPart.apply(output, parameter)
    return taken
