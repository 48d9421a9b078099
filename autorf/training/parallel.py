"""One training in several processes: who this one is, and what all of them add up to."""

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from autorf.errors import InputError

T = TypeVar("T")


class Shard(NamedTuple):
    """The part of a data-parallel training that a process has; the whole, where there is one process.

    Attributes:
        rank: of the process; 0 writes files and reports.
        processes: of the training.
    """

    rank: int = 0
    processes: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def of(self, length: int) -> range:
        """This process's block of ``length`` things; the blocks of all processes hold each once, in order."""
        return range(length * self.rank // self.processes, length * (self.rank + 1) // self.processes)


ALONE = Shard()


def own_shard() -> Shard:
    """The part that this process has."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return Shard(torch.distributed.get_rank(), torch.distributed.get_world_size())
    return ALONE


def summed(value: Tensor) -> Tensor:
    """The sum of ``value`` over all processes, which must all ask for it."""
    if own_shard().processes > 1:
        value = value.clone()
        torch.distributed.all_reduce(value)
    return value


def whole_batch(part: Tensor) -> Tensor:
    """The parts ``(n, ...)`` of a batch of all processes, one behind the other; this process's keeps its gradient.

    All processes must ask for it, with parts of one shape.
    """
    shard = own_shard()
    parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(shard.processes)]
    torch.distributed.all_gather(parts, part.detach().contiguous())
    parts[shard.rank] = part
    return torch.cat(parts)


def joined(items: list[T]) -> list[T]:
    """The lists of all processes one behind the other, in the first process; empty in the others.

    All processes must ask for it.
    """
    shard = own_shard()
    if shard.processes == 1:
        return items
    parts: list[list[T]] | None = [[] for _ in range(shard.processes)] if shard.first else None
    torch.distributed.gather_object(items, parts)
    return [item for part in parts or [] for item in part]


def check_shards(processes: int, batch_size: int, n_train: int, n_val: int) -> None:
    """Raise ``InputError`` where a batch or a split cannot be shared among so many processes."""
    if batch_size % processes:
        raise InputError(
            f"training.batch_size: {batch_size} images cannot be shared equally by {processes} processes; "
            f"give a multiple of {processes}"
        )
    for name, images in (("training", n_train), ("validation", n_val)):
        if images < processes:
            raise InputError(f"{processes} processes a trial cannot share the {images} images of the {name} split")
