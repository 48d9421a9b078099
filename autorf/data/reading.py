"""Pictures on disk as the source of a split: decoded once where they fit into memory, on every use where not."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from autorf.data.arrays import is_array_file
from autorf.data.decoding import Decoder
from autorf.data.opening import stored_size
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
        """Images ``(n, C, H, W)``, uint8 or float32, and masks ``(n, H, W)``, uint8."""
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
    fits = sum(_bytes(pairs, decoders[split]) for split, pairs in splits.items()) <= MEMORY_BOUND
    return {split: _read(pairs, decoders[split], keep=fits) for split, pairs in splits.items()}


def _bytes(pairs: Sequence[Pair], decoder: Decoder) -> int:
    """Of the decoded images and masks of a split."""
    height, width = decoder.image_size
    own = decoder.own_masks
    # The sizes of arrays are not worth a reading of each: they are taken for those of the images.
    sizes = [_stored(pair, decoder) if own and not is_array_file(pair.mask) else (height, width) for pair in pairs]
    return _channels(decoder) * _dtype(decoder).itemsize * len(pairs) * height * width + sum(h * w for h, w in sizes)


def _stored(pair: Pair, decoder: Decoder) -> tuple[int, int]:
    """Of a mask; its picture tells where it is of a data set's own kind."""
    return decoder.own_mask_size or stored_size(pair.mask if decoder.read_classes is None else pair.image)


def _channels(decoder: Decoder) -> int:
    if decoder.faces is not None and decoder.faces.landmarks.heat_map:
        return 4
    return 3 if decoder.channels is None else decoder.channels


def _dtype(decoder: Decoder) -> torch.dtype:
    """Of decoded images; 16 bits become floating-point numbers."""
    return torch.uint8 if decoder.kind in (None, "uint8") else torch.float32


def _read(pairs: Sequence[Pair], decoder: Decoder, *, keep: bool) -> SegmentationSet:
    count = len(pairs) if keep else 0
    images = torch.empty((count, _channels(decoder), *decoder.image_size), dtype=_dtype(decoder))
    masks: list[Tensor] = []
    sizes: list[tuple[int, int]] = []
    # Pillow decodes without holding the interpreter's lock.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for i, (image, mask) in enumerate(pool.map(decoder, pairs)):
            sizes.append((mask.shape[0], mask.shape[1]))
            if keep:
                images[i] = image
                masks.append(mask)
    source = _kept(decoder, images, masks) if keep else OnDisk(pairs, decoder)
    return SegmentationSet(source, decoder.image_size, decoder.ignore_index, sizes if decoder.own_masks else None)


def _kept(decoder: Decoder, images: Tensor, masks: list[Tensor]) -> Source:
    return OwnMasks(images, masks) if decoder.own_masks else InMemory(images, torch.stack(masks))
