"""Processes that train one model together."""

from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

from autorf.errors import InputError

PATIENCE = 120.0
"""Seconds for which a process that is advanced waits for the others to be advanced for the first time."""

NOT_TOLD = (
    "call autorf.advance(model, step, total_steps) with the same step in every process, not in one alone: a search "
    "takes in what all of them heard"
)
"""What to do where a process was not advanced."""


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


_MET: list[Any] = []
"""The stores by which this process has met the others: one, unless processes were joined anew."""


def announce() -> None:
    """Tell the other processes that this one is advanced, without waiting for them."""
    store = _store()
    if store is not None:
        store.set(_key(torch.distributed.get_rank()), "advanced")


def meet() -> None:
    """Wait, the first time, until all processes have announced themselves.

    A collective operation that one of them never comes to would hang, and so would the one it has come to instead.

    Raises:
        InputError: when one stays away.
    """
    store = _store()
    if store is None or any(store is before for before in _MET):
        return
    try:
        keys = [_key(rank) for rank in range(torch.distributed.get_world_size())]
        store.wait(keys, timedelta(seconds=PATIENCE))
    except RuntimeError:
        raise InputError(f"advance: another process was not advanced: {NOT_TOLD}") from None
    _MET.append(store)


def _store() -> Any:
    ask = getattr(torch.distributed.distributed_c10d, "_get_default_store", None)
    return None if ask is None else ask()


def _key(rank: int) -> str:
    return f"autorf.advance.{rank}"


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
