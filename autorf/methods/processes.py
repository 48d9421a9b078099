"""Processes that train one model together."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

from autorf.errors import InputError

PATIENCE = 300.0
"""Seconds for which a process that is advanced waits for the others; NCCL itself waits for 600, gloo for 1800."""

NOT_TOLD = (
    "call autorf.advance(model, step, total_steps) with the same step in every process, not in one alone: a search "
    "takes in what all of them heard"
)
"""What to do where a process was not advanced."""


@dataclass(frozen=True)
class Meeting:
    """Processes that have met.

    Attributes:
        store: by which they met; another one where processes are joined anew.
        group: in which they add up what they heard: one of their own, so that whoever does not come to it is waited for
            no longer than ``PATIENCE``, and nothing else is taken for it; None for that of all other operations.
    """

    store: Any
    group: Any


_MEETINGS: list[Meeting] = []
"""Those of this process: one, unless processes were joined anew."""


def in_parallel() -> bool:
    """Whether there are several."""
    return (
        torch.distributed.is_available()
        and torch.distributed.is_initialized()
        and torch.distributed.get_world_size() > 1
    )


def summed(value: Tensor, step: float, device: torch.device) -> Tensor:
    """The sum of ``value`` over all processes, each of which must ask for it at the same ``step``.

    The processes meet in a group of their own, by way of gloo, whatever else they speak: where one stays away, the
    others end after ``PATIENCE`` seconds, under NCCL too. Where torch has no gloo the value travels by way of
    ``device``, in the group of all other operations, and torch's own time limit holds.

    Raises:
        InputError: where a process stays away, or is at another step.
    """
    meeting = _met()
    total = torch.cat([value.flatten(), value.new_tensor([step])])
    total = total if meeting.group is not None else total.to(device, copy=True)
    try:
        torch.distributed.all_reduce(total, group=meeting.group)
    except RuntimeError as error:
        raise _absent(f"has ended, or was not advanced for {PATIENCE:.0f} s") from error
    total = total.cpu()
    if abs(total[-1].item() - step * torch.distributed.get_world_size()) > 1e-6 * abs(step):
        raise _absent("was advanced to another step")
    return total[:-1].view_as(value)


def announce() -> None:
    """Tell the other processes that this one is advanced, without waiting for them."""
    store = _store()
    if store is not None:
        store.set(_key(torch.distributed.get_rank()), "advanced")


def _met() -> Meeting:
    """The meeting of all processes; the first time, wait until all of them have announced themselves.

    A collective operation that one of them never comes to would hang, and so would the one it has come to instead.

    Raises:
        InputError: when one stays away.
    """
    store = _store()
    for meeting in _MEETINGS:
        if meeting.store is store:
            return meeting
    if store is not None:
        try:
            keys = [_key(rank) for rank in range(torch.distributed.get_world_size())]
            store.wait(keys, timedelta(seconds=PATIENCE))
        except RuntimeError:
            raise _absent(f"was not advanced for {PATIENCE:.0f} s") from None
    _MEETINGS.append(Meeting(store, _own_group()))
    return _MEETINGS[-1]


def _own_group() -> Any:
    if not torch.distributed.is_gloo_available():
        return None
    return torch.distributed.new_group(backend="gloo", timeout=timedelta(seconds=PATIENCE))


def _absent(happened: str) -> InputError:
    return InputError(f"advance: another process {happened}: {NOT_TOLD}")


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
