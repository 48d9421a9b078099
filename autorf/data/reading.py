"""Pictures on disk as the source of a split: decoded once where they fit into memory, on every use where not."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from autorf.data.decoding import Decoder, stored_size
from autorf.data.pairs import Pair
from autorf.data.segmentation_set import InMemory, OwnMasks, SegmentationSet, Source

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


def read_splits(
    splits: Mapping[str, Sequence[Pair]], decoder: Decoder, *, own_masks: bool = False
) -> dict[str, SegmentationSet]:
    """Decode and check every file of every split.

    Args:
        splits: the files, by the split's name.
        decoder: how they are read.
        own_masks: leave the masks of all splits but ``train`` at the size they are stored in.

    Raises:
        InputError: for the first file that cannot be used.
    """
    decoders = {split: replace(decoder, own_masks=own_masks and split != "train") for split in splits}
    mask_sizes = {split: _mask_sizes(pairs, decoders[split]) for split, pairs in splits.items()}
    needed = sum(_bytes(pairs, decoder, mask_sizes[split]) for split, pairs in splits.items())
    fits = needed <= MEMORY_BOUND
    return {
        split: SegmentationSet(
            _read(pairs, decoders[split], keep=fits), decoder.image_size, decoder.ignore_index, mask_sizes[split]
        )
        for split, pairs in splits.items()
    }


def _mask_sizes(pairs: Sequence[Pair], decoder: Decoder) -> list[tuple[int, int]] | None:
    return [stored_size(pair.mask) for pair in pairs] if decoder.own_masks else None


def _bytes(pairs: Sequence[Pair], decoder: Decoder, mask_sizes: Sequence[tuple[int, int]] | None) -> int:
    """Of the decoded images and masks of a split."""
    height, width = decoder.image_size
    masks = len(pairs) * height * width if mask_sizes is None else sum(h * w for h, w in mask_sizes)
    return 3 * len(pairs) * height * width + masks


def _read(pairs: Sequence[Pair], decoder: Decoder, *, keep: bool) -> Source:
    count = len(pairs) if keep else 0
    images = torch.empty((count, 3, *decoder.image_size), dtype=torch.uint8)
    masks: list[Tensor] = []
    # Pillow decodes without holding the interpreter's lock.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for i, (image, mask) in enumerate(pool.map(decoder, pairs)):
            if keep:
                images[i] = image
                masks.append(mask)
    if not keep:
        return OnDisk(pairs, decoder)
    return OwnMasks(images, masks) if decoder.own_masks else InMemory(images, torch.stack(masks))
