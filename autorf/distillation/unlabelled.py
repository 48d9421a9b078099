"""Images without labels: pictures of a folder, or those of a split whose masks nobody reads."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autorf.data.decoding import Decoder
from autorf.data.mapped import Mapped
from autorf.data.names import check_file, on_disk, shown
from autorf.data.pairs import IMAGE_SUFFIXES
from autorf.data.reading import MEMORY_BOUND, OnDisk
from autorf.data.segmentation_set import SegmentationSet
from autorf.data.sources import AtImageSize, Chosen, InMemory, Joined, OwnMasks, Source
from autorf.errors import InputError


@dataclass(frozen=True)
class WithoutLabels:
    """The images of a source; its masks stay unread, and all pixels of those that it gives are 0."""

    source: Source

    def __len__(self) -> int:
        return len(self.source)

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Images ``(n, C, H, W)`` as the source has them, and masks ``(n, H, W)`` uint8 of zeros."""
        images = _images(self.source, [int(index) for index in indices])
        return images, torch.zeros(len(images), *images.shape[2:], dtype=torch.uint8)


def _images(source: Source, indices: Sequence[int]) -> Tensor:
    if isinstance(source, InMemory | OwnMasks):
        return source.images[torch.tensor(indices, dtype=torch.long)]
    if isinstance(source, Chosen):
        return _images(source.source, [source.chosen[index] for index in indices])
    if isinstance(source, AtImageSize):
        return _images(source.source, indices)
    if isinstance(source, Joined):
        places = [source.place(index) for index in indices]
        return torch.cat([_images(part, [index]) for part, index in places])
    if isinstance(source, Mapped):
        return source.images_of(indices)
    if isinstance(source, OnDisk):
        return torch.stack([source.decoder.picture(source.pairs[index].image) for index in indices])
    # A source of others gives image and mask together; of the latter nothing is kept.
    return source.read(indices)[0]


@dataclass(frozen=True)
class PictureFiles:
    """Pictures that are decoded whenever they are read; they have no masks, and those that are given are 0."""

    files: Sequence[Path]
    decoder: Decoder

    def __len__(self) -> int:
        return len(self.files)

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Images ``(n, C, H, W)`` and masks ``(n, H, W)`` uint8 of zeros."""
        images = torch.stack([self.decoder.picture(self.files[int(index)]) for index in indices])
        return images, torch.zeros(len(images), *images.shape[2:], dtype=torch.uint8)


def without_labels(images: SegmentationSet) -> SegmentationSet:
    """The same images as an unlabelled set, without augmentation."""
    return images.with_source(WithoutLabels(images.source))


def split_labels(images: SegmentationSet, labelled: int) -> tuple[SegmentationSet, SegmentationSet]:
    """A part of ``labelled`` images, and the others without their labels; drawn at random once and for all.

    Raises:
        InputError: where no image would be left in one of them.
    """
    total = len(images)
    if not 1 <= labelled < total:
        raise InputError(
            f"distill.unlabelled.labelled: {labelled} of {total} training images are to keep their labels; give 1 to "
            f"{total - 1}, so that both parts hold images"
        )
    order = np.random.default_rng(total).permutation(total)
    kept, others = (tuple(np.sort(part).tolist()) for part in (order[:labelled], order[labelled:]))
    return (
        images.with_source(Chosen(images.source, kept)),
        images.with_source(WithoutLabels(Chosen(images.source, others))),
    )


def folder_pictures(folder: Path, decoder: Decoder, like: SegmentationSet) -> SegmentationSet:
    """The pictures of a folder as an unlabelled set, in the order of their names; decoded once where memory holds them.

    Args:
        folder: of the pictures; those in folders inside it are left out.
        decoder: how they are brought to the image size.
        like: a set of the same image size, whose normalisation they have.

    Raises:
        InputError: for a folder that is missing, empty, or holds a file that is no readable picture.
    """
    files = picture_files(folder)
    height, width = decoder.image_size
    source: Source = PictureFiles(files, decoder)
    # As bytes of three colours, or as they are stored: four bytes a number at most.
    values = 3 if decoder.channels is None else 4 * decoder.channels
    if values * len(files) * height * width <= MEMORY_BOUND:
        images, masks = source.read(range(len(files)))
        source = InMemory(images, masks)
    return like.with_source(source)


def picture_files(folder: Path) -> list[Path]:
    """The picture files of a folder by name.

    Raises:
        InputError: for a folder that is missing, or holds none.
    """
    there = on_disk(folder)
    if not os.path.isdir(there):  # noqa: PTH112 (Path's own raises for a path that is too long)
        raise InputError(f"distill.unlabelled.folder: {shown(folder)}: is no folder; give one of pictures")
    files = sorted(
        file for file in there.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
    )
    if not files:
        raise InputError(
            f"distill.unlabelled.folder: {shown(folder)}: holds no picture ({', '.join(IMAGE_SUFFIXES)}); give a "
            "folder of pictures, or leave unlabelled and unsupervised out"
        )
    for file in files:
        check_file(file)
    return files
