"""Batches in an order that depends on seed and epoch only."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from autorf.data import SegmentationSet


class EpochBatches(Sampler[list[int]]):
    """Index lists of ``batch_size``, shuffled by seed and epoch; Lightning calls ``set_epoch``."""

    def __init__(self, images: SegmentationSet, batch_size: int, seed: int, *, shuffle: bool) -> None:
        self.images, self.batch_size, self.seed, self.shuffle = images, batch_size, seed, shuffle
        self.length = len(images)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and augmentation come next."""
        self.epoch = epoch
        self.images.set_epoch(epoch)

    def __len__(self) -> int:
        whole, rest = divmod(self.length, self.batch_size)
        # A last batch of one image breaks batch norm; in training it is left out, other images come first next time.
        return whole + (rest > (1 if self.shuffle else 0) or whole == 0)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.length, generator=generator) if self.shuffle else torch.arange(self.length)
        for start in list(range(0, self.length, self.batch_size))[: len(self)]:
            yield order[start : start + self.batch_size].tolist()


class _Batched(Dataset[tuple[Tensor, Tensor]]):
    """Answers an index list with a batch."""

    def __init__(self, images: SegmentationSet) -> None:
        self.images = images

    def __getitem__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        return self.images.tensors(indices)


def loader(images: SegmentationSet, batch_size: int, seed: int, *, shuffle: bool) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches ``(image (N, 3, H, W), mask (N, H, W))`` of a split, in this process."""
    order = EpochBatches(images, batch_size, seed, shuffle=shuffle)
    return DataLoader(_Batched(images), sampler=order, batch_size=None)
