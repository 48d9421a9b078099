"""Batches in an order that depends on seed and epoch only."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from autorf.data import SegmentationSet
from autorf.training.device import pins_memory
from autorf.training.parallel import ALONE, Shard, own_shard
from autorf.training.spec import steps_per_epoch

SMALL = 2**30
"""Bytes of decoded images up to which copying them takes less than a step does."""

_MOST_WORKERS = 8


class EpochBatches(Sampler[list[int]]):
    """Index lists of ``batch_size``, shuffled by seed and epoch; Lightning calls ``set_epoch``.

    Of several processes, each gets an equal part of every shuffled batch, so that all take the same steps, and in a
    given order its own block of the split, so that each image is seen once. In the given order a batch ends early
    where masks that keep their own size change it, and whole pictures are alone.
    """

    def __init__(
        self, images: SegmentationSet, batch_size: int, seed: int, *, shuffle: bool, shard: Shard = ALONE
    ) -> None:
        self.images, self.batch_size, self.seed, self.shuffle, self.shard = images, batch_size, seed, shuffle, shard
        self.length = len(images)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and augmentation come next."""
        self.epoch = epoch
        self.images.set_epoch(epoch)

    def __len__(self) -> int:
        if not self.shuffle:
            return len(self._in_order())
        return steps_per_epoch(self.length, self.batch_size, self.shard.processes)

    def __iter__(self) -> Iterator[list[int]]:
        if not self.shuffle:
            yield from self._in_order()
            return
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.length, generator=generator).tolist()
        rank, processes = self.shard
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            batch = order[start : start + self.batch_size]
            yield batch[: len(batch) // processes * processes][rank::processes]

    def _in_order(self) -> list[list[int]]:
        """This process's block of the split, in batches of masks of one size."""
        most = 1 if self.images.whole else max(1, self.batch_size // self.shard.processes)
        sizes = self.images.mask_sizes
        batches: list[list[int]] = []
        for index in self.shard.of(self.length):
            alike = batches and (sizes is None or sizes[batches[-1][-1]] == sizes[index])
            if alike and len(batches[-1]) < most:
                batches[-1].append(index)
            else:
                batches.append([index])
        return batches


class PeriodBatches(Sampler[list[int]]):
    """The batches of all epochs one behind the other, cut into periods of so many steps; Lightning takes each for an
    epoch, at whose end it validates.

    Args:
        epochs: the batches of each epoch, in its order and with its augmentation.
        steps: of a period.
    """

    def __init__(self, epochs: EpochBatches, steps: int) -> None:
        self.epochs, self.steps, self.period = epochs, steps, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the period that comes next."""
        self.period = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        number, first = divmod(self.period * self.steps, len(self.epochs))
        left = self.steps
        while left:
            # Which images a batch holds is asked before their tensors are made, so the augmentation is this epoch's.
            self.epochs.set_epoch(number)
            batches = list(self.epochs)[first : first + left]
            yield from batches
            left -= len(batches)
            number, first = number + 1, 0


class Batch(NamedTuple):
    """Which images a batch holds, in which epoch: all that a process needs to make it."""

    epoch: int
    indices: list[int]


class _OfEpochs(Sampler[Batch]):
    """The batches of an order, each with its epoch: processes that prepare batches hear of no epoch otherwise."""

    def __init__(self, order: EpochBatches | PeriodBatches, images: SegmentationSet) -> None:
        self.order, self.images = order, images

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, or period, that comes next; Lightning calls it."""
        self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        # The order has chosen the images' epoch by the time that it gives a batch.
        return (Batch(self.images.epoch, indices) for indices in self.order)


class _Batched(Dataset[tuple[Tensor, Tensor]]):
    """Answers a batch's indices with its tensors."""

    def __init__(self, images: SegmentationSet) -> None:
        self.images = images

    def __getitem__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        self.images.set_epoch(batch.epoch)
        return self.images.stored(batch.indices)


class _BatchLoader(DataLoader[tuple[Tensor, Tensor]]):
    """Draws its first batches when they are asked for, not when the round begins.

    Lightning begins a resumed training's first round before it tells the sampler the epoch, and does not begin it
    again. Processes that prepare batches would be handed the first epoch's, order and augmentation, by then.
    """

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:  # type: ignore[override] # a generator does nothing yet
        yield from super().__iter__()


def loader(
    images: SegmentationSet, batch_size: int, seed: int, *, shuffle: bool, period: int | None = None, workers: int = 0
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches ``(image (N, C, H, W), mask (N, h, w))`` of this process's shard of a split, as they are stored: bytes
    for the most part, which :meth:`autorf.data.SegmentationSet.numbers` makes numbers of on the device.

    Args:
        images: the split.
        batch_size: of all processes together.
        seed: of the order.
        shuffle: anew for every epoch; otherwise in the split's order.
        period: of how many steps each round is; None for one over the whole split.
        workers: processes that prepare batches, which are the same whatever their number; 0 for this one.
    """
    epochs = EpochBatches(images, batch_size, seed, shuffle=shuffle, shard=own_shard())
    order = epochs if period is None else PeriodBatches(epochs, period)
    return _BatchLoader(
        _Batched(images),
        sampler=_OfEpochs(order, images),
        batch_size=None,
        num_workers=workers,
        # Of a fork every process has the images without a copy; it lives as long as the loader.
        multiprocessing_context="fork" if workers else None,
        persistent_workers=workers > 0,
        pin_memory=pins_memory(),
        # Without one of its own, every round takes a number of those that the training draws its options by.
        generator=torch.Generator().manual_seed(seed),
    )


def usual_workers(images: SegmentationSet, cores: int, trials: int) -> int:
    """How many processes prepare a trial's batches where nobody says.

    Args:
        images: the training split.
        cores: that this process may use.
        trials: that run on them at once.
    """
    decoded = images.decoded_bytes
    if decoded is not None and decoded <= SMALL:
        return 0
    # A core of each trial's share is for the training itself.
    return max(0, min(cores // max(1, trials) - 1, _MOST_WORKERS))
