"""Pictures on disk as the source of a split: decoded once where they fit into memory, on every use where not."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from autorf.data.decoding import Decoder
from autorf.data.pairs import Pair
from autorf.data.segmentation_set import InMemory, SegmentationSet, Source

MEMORY_BOUND = 2**30
"""Bytes of decoded images and masks, all splits together, up to which a data set is held in memory."""


class OnDisk:
    """Images and masks that are decoded whenever they are read."""

    def __init__(self, pairs: Sequence[Pair], decoder: Decoder) -> None:
        self.pairs = pairs
        self.decoder = decoder

    def __len__(self) -> int:
        return len(self.pairs)

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Images ``(n, 3, H, W)`` and masks ``(n, H, W)``, both uint8."""
        decoded = [self.decoder(self.pairs[int(index)]) for index in indices]
        images, masks = zip(*decoded, strict=True)
        return torch.stack(images), torch.stack(masks)


def read_splits(splits: Mapping[str, Sequence[Pair]], decoder: Decoder) -> dict[str, SegmentationSet]:
    """Decode and check every file of every split.

    Raises:
        InputError: for the first file that cannot be used.
    """
    height, width = decoder.image_size
    fits = sum(len(pairs) for pairs in splits.values()) * 4 * height * width <= MEMORY_BOUND
    sources = {split: _read(pairs, decoder, keep=fits) for split, pairs in splits.items()}
    return {
        split: SegmentationSet(source, decoder.image_size, decoder.ignore_index) for split, source in sources.items()
    }


def _read(pairs: Sequence[Pair], decoder: Decoder, *, keep: bool) -> Source:
    count = len(pairs) if keep else 0
    kept = InMemory(
        torch.empty((count, 3, *decoder.image_size), dtype=torch.uint8),
        torch.empty((count, *decoder.image_size), dtype=torch.uint8),
    )
    # Pillow decodes without holding the interpreter's lock.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for i, (image, mask) in enumerate(pool.map(decoder, pairs)):
            if keep:
                kept.images[i], kept.masks[i] = image, mask
    return kept if keep else OnDisk(pairs, decoder)
