"""Pictures on disk as the source of a split: mapped from the cache, held in memory, or decoded on every use."""

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autorf.data.arrays import is_array_file, stored_shape
from autorf.data.decoding import Decoder
from autorf.data.opening import stored_size
from autorf.data.pairs import Pair
from autorf.data.picture_cache import PictureCache, is_known
from autorf.data.segmentation_set import SegmentationSet
from autorf.data.sources import InMemory, OwnMasks, OwnSizes, Source

MEMORY_BOUND = 2**30
"""Bytes of decoded images and masks, all splits together, up to which a data set without a cache is held in memory."""

Size = tuple[int, int]


class OnDisk:
    """Images and masks that are decoded whenever they are read.

    Args:
        pairs: the files.
        decoder: how they are read.
        sizes: height and width in pixels of each image where these are of their own size.
    """

    def __init__(self, pairs: Sequence[Pair], decoder: Decoder, sizes: Sequence[Size] = ()) -> None:
        self.pairs, self.decoder, self._sizes = pairs, decoder, sizes

    def __len__(self) -> int:
        return len(self.pairs)

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Images ``(n, C, H, W)``, uint8 or float32, and masks ``(n, H, W)``, uint8."""
        decoded = [self.decoder(self.pairs[int(index)]) for index in indices]
        images, masks = zip(*decoded, strict=True)
        return torch.stack(images), torch.stack(masks)

    def size_of(self, index: int) -> Size:
        """Height and width of an image in pixels, of images that are of their own size."""
        return self._sizes[index]

    def window(self, index: int, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """A part of an image and its mask, of which the whole is decoded."""
        image, mask = self.decoder(self.pairs[index])
        return image[:, rows, columns].clone(), mask[rows, columns].clone()

    def mask(self, index: int) -> NDArray[np.uint8]:
        """One mask ``(H, W)``."""
        return self.decoder.classes(self.pairs[index].mask)


def read_splits(
    splits: Mapping[str, Sequence[Pair]],
    decoder: Decoder,
    *,
    own_masks: bool = False,
    cache: PictureCache | None = None,
) -> dict[str, SegmentationSet]:
    """Decode and check every file of every split; what the cache holds was checked when it was decoded.

    Args:
        splits: the files, by the split's name, ``train`` first.
        decoder: how they are read.
        own_masks: leave the masks of all splits but ``train`` at the size they are stored in.
        cache: where decoded pictures are kept; None for this process's memory, as far as that goes.

    Raises:
        InputError: for the first file that cannot be used.
    """
    if not is_known(decoder):
        cache = None
    decoders = {split: _of_split(decoder, split, own_masks=own_masks) for split in splits}
    mapped = None if cache is None else cache.found(splits, decoders)
    if mapped is None:
        kind = decoder.knowing_kind(splits["train"][0].image).kind
        decoders = {split: replace(of_split, kind=kind) for split, of_split in decoders.items()}
        n_bytes = sum(_bytes(pairs, decoders[split]) for split, pairs in splits.items())
        mapped = None if cache is None else cache.filled(splits, decoders, n_bytes)
    if mapped is None:
        return {split: _read(pairs, decoders[split], keep=n_bytes <= MEMORY_BOUND) for split, pairs in splits.items()}
    for split, source in mapped.items():
        for pair, size in zip(splits[split], source.index.image_sizes, strict=True):
            # Those of another patch size were decoded before.
            decoders[split].check_holds(pair.image, size)
    return {split: _set(mapped[split], decoders[split], mapped[split].index.mask_sizes) for split in splits}


def _of_split(decoder: Decoder, split: str, *, own_masks: bool) -> Decoder:
    # No patch is cut out of a picture that is only tested on: that may be of any size.
    least = (1, 1) if decoder.fit == "whole" and split == "test" else decoder.image_size
    return replace(decoder, own_masks=own_masks and split != "train", image_size=least)


def _set(source: Source, decoder: Decoder, mask_sizes: Sequence[Size]) -> SegmentationSet:
    whole = decoder.fit == "whole"
    kept = mask_sizes if whole or decoder.own_masks else None
    return SegmentationSet(source, decoder.image_size, decoder.ignore_index, kept, whole=whole)


def _bytes(pairs: Sequence[Pair], decoder: Decoder) -> int:
    """Of the decoded images and masks of a split."""
    height, width = decoder.image_size
    itemsize = 1 if decoder.kind is None else np.dtype(decoder.kind).itemsize
    if decoder.fit == "whole":
        return sum(itemsize * _numbers(p.image, _channels(decoder)) + _numbers(p.mask, 1) for p in pairs)
    # 16 bits that are resized become floating-point numbers; in memory they do in any case.
    itemsize = max(itemsize, 4) if itemsize > 1 else 1
    # The sizes of arrays are not worth a reading of each: they are taken for those of the images.
    own = (_stored(p, decoder) for p in pairs if decoder.own_masks and not is_array_file(p.mask))
    own_sizes = [math.prod(size) for size in own]
    masks = sum(own_sizes) + (len(pairs) - len(own_sizes)) * height * width
    return _channels(decoder) * itemsize * len(pairs) * height * width + masks


def _numbers(file: Path, channels: int) -> int:
    """How many numbers a picture holds."""
    return math.prod(stored_shape(file)) if is_array_file(file) else channels * math.prod(stored_size(file))


def _stored(pair: Pair, decoder: Decoder) -> tuple[int, int]:
    """Of a mask; its picture tells where it is of a data set's own kind."""
    return decoder.own_mask_size or stored_size(pair.mask if decoder.read_classes is None else pair.image)


def _channels(decoder: Decoder) -> int:
    if decoder.faces is not None and decoder.faces.landmarks.heat_map:
        return 4
    return 3 if decoder.channels is None else decoder.channels


def _read(pairs: Sequence[Pair], decoder: Decoder, *, keep: bool) -> SegmentationSet:
    images: list[Tensor] = []
    stacked = torch.empty(0)
    masks: list[Tensor] = []
    sizes: list[Size] = []
    # Pillow decodes without holding the interpreter's lock.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for i, (image, mask) in enumerate(pool.map(decoder, pairs)):
            sizes.append((mask.shape[0], mask.shape[1]))
            if not keep:
                continue
            masks.append(mask)
            if decoder.fit == "whole":
                images.append(image)
                continue
            if not i:
                # All at once: stacked in the end, they would be there twice.
                stacked = torch.empty((len(pairs), *image.shape), dtype=image.dtype)
            stacked[i] = image
    if not keep:
        return _set(OnDisk(pairs, decoder, sizes), decoder, sizes)
    if decoder.fit == "whole":
        return _set(OwnSizes(images, masks), decoder, sizes)
    source = OwnMasks(stacked, masks) if decoder.own_masks else InMemory(stacked, torch.stack(masks))
    return _set(source, decoder, sizes)
