"""Picture files with one class each: read, brought to the image size, and changed at random for training."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self, cast, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import RandomResizedCrop

from autorf.data.augmentation import JointAugmentation
from autorf.data.class_pairs import ClassPair
from autorf.data.class_spec import PictureAugmentation
from autorf.data.image_files import read_rgb
from autorf.data.names import shown
from autorf.data.normalisation import IMAGENET, Normalisation
from autorf.data.opening import stored_size
from autorf.data.picture_spec import Pictures
from autorf.data.segmentation_set import SegmentationSet
from autorf.data.sources import Chosen, Joined, Source
from autorf.data.spec import Augmentation
from autorf.errors import InputError

MEMORY_BOUND = 2**30
"""Bytes of decoded pictures, all splits together, up to which they are held in memory."""

Crop = tuple[tuple[float, float], tuple[float, float]]
"""A random part of a picture: the range of its share of the area, and that of its width over its height."""

_BILINEAR = Image.Resampling.BILINEAR


def drawn_box(picture: Image.Image | Tensor, crop: Crop) -> tuple[int, int, int, int]:
    """Top, left, height and width in pixels of a random part; drawn from torch's generator."""
    scale, ratio = crop
    top, left, rows, columns = RandomResizedCrop.get_params(cast(Any, picture), list(scale), list(ratio))
    return top, left, rows, columns


@runtime_checkable
class LabelledPictures(Protocol):
    """Pictures whose classes are known without reading them, and of which random parts can be read.

    Attributes:
        labels: ``(n,)`` int16, their classes.
    """

    labels: Tensor

    def cropped(self, crop: Crop | None) -> Source:
        """The same pictures, of each a random part."""
        ...


@dataclass(frozen=True)
class PictureDecoder:
    """How a picture becomes what a network sees.

    Attributes:
        image_size: height and width in pixels of what is returned.
        side: the shorter side in pixels that a picture has before its middle is cut out; None stretches it.
        pictures: how files are read.
        banner: rows in pixels at the bottom of every picture that are no part of it.
        crop: the random part of the picture that is taken instead, by ``resized_crop`` and ``aspect``; drawn from
            torch's generator. None for none.
    """

    image_size: tuple[int, int]
    side: int | None
    pictures: Pictures
    banner: int = 0
    crop: Crop | None = None

    def __call__(self, file: Path) -> Tensor:
        """``(3, H, W)`` uint8.

        Raises:
            InputError: naming a file that cannot be read as a picture.
        """
        picture = read_rgb(file, self.pictures)
        if self.banner:
            if picture.height <= self.banner:
                raise InputError(
                    f"{shown(file)}: is {picture.height} pixels high, and the banner that is cut off {self.banner}; "
                    "take the picture from the archive anew"
                )
            picture = picture.crop((0, 0, picture.width, picture.height - self.banner))
        pixels = np.array(self._fitted(picture), np.uint8)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))

    def _fitted(self, picture: Image.Image) -> Image.Image:
        height, width = self.image_size
        if self.crop is not None:
            top, left, rows, columns = drawn_box(picture, self.crop)
            box = (left, top, left + columns, top + rows)
            return picture.resize((width, height), _BILINEAR, box=box)
        if self.side is None:
            return picture.resize((width, height), _BILINEAR)
        factor = self.side / min(picture.size)
        larger = picture.resize((round(factor * picture.width), round(factor * picture.height)), _BILINEAR)
        left, top = (larger.width - width) // 2, (larger.height - height) // 2
        return larger.crop((left, top, left + width, top + height))


@dataclass(frozen=True)
class ClassFiles:
    """Pictures that are decoded whenever they are read, or were once.

    Attributes:
        files: of the pictures.
        labels: ``(n,)`` int16, their classes.
        decoder: how they are read.
        decoded: ``(n, 3, H, W)`` uint8 as the decoder gives them without a random crop, where they are kept.
    """

    files: tuple[Path, ...]
    labels: Tensor
    decoder: PictureDecoder
    decoded: Tensor | None = None

    def __len__(self) -> int:
        return len(self.files)

    @property
    def decoded_bytes(self) -> int | None:
        """What is held in memory; None where each reading decodes."""
        return self.decoded.nbytes if self.decoded is not None and self.decoder.crop is None else None

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Pictures ``(n, 3, H, W)`` uint8, and their classes as masks of one pixel, ``(n, 1, 1)`` int16."""
        chosen = torch.as_tensor(indices, dtype=torch.long)
        masks = self.labels[chosen].view(-1, 1, 1)
        if self.decoded is not None and self.decoder.crop is None:
            return self.decoded[chosen], masks
        return torch.stack([self.decoder(self.files[index]) for index in chosen.tolist()]), masks

    def cropped(self, crop: Crop | None) -> Self:
        """The same pictures, of each a random part."""
        return replace(self, decoder=replace(self.decoder, crop=crop))


class PictureChanges(JointAugmentation):
    """Random changes of a picture alone: its class stays as it is."""

    def changed(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """``image`` ``(C, H, W)`` changed, ``mask`` ``(1, 1)`` as it is; drawn from torch's generator."""
        return self.of_kind[image.dtype](tv_tensors.Image(image)).as_subclass(Tensor), mask


class ClassSet(SegmentationSet):
    """Pictures of one split with one class each.

    An item is a picture ``(3, H, W)``, float32, normalised, and its class as a mask of one pixel, ``(1, 1)`` int64.

    Args:
        source: what the pictures are read from.
        image_size: height and width in pixels of the pictures in ``source``.
        normalisation: of the pictures.
        draws: whether the source itself draws random numbers, which are then seeded for every picture and epoch.
    """

    def __init__(
        self,
        source: Source,
        image_size: tuple[int, int],
        *,
        normalisation: Normalisation = IMAGENET,
        draws: bool = False,
    ) -> None:
        super().__init__(source, image_size, None, normalisation=normalisation, draws=draws)

    def with_augmentation(self, augmentation: Augmentation | PictureAugmentation, seed: int) -> Self:
        """The same pictures, changed at random; the draw depends on ``seed``, the epoch and the picture's index."""
        assert isinstance(augmentation, PictureAugmentation)
        drawn = super().with_augmentation(Augmentation(), seed)
        crop = augmentation.resized_crop
        drawn.source = _cropped(self.source, None if crop is None else (crop, augmentation.aspect))
        drawn.draws = self.draws or crop is not None
        if not augmentation.of_image.is_identity:
            drawn.augment = PictureChanges(augmentation.of_image, self.image_size, self.normalisation, 0, seed)
        return drawn

    def mask(self, index: int) -> Tensor:
        """The class of a picture as a mask of one pixel, which no change of the picture moves; no file is read."""
        return labels_of(self.source, [index])[0].long()

    def at_image_size(self) -> Self:
        """The same pictures: a class has no size."""
        return self


def _cropped(source: Source, crop: Crop | None) -> Source:
    """A source whose files are read by random parts, or whole again."""
    match source:
        case LabelledPictures():
            return source.cropped(crop)
        case Chosen():
            return replace(source, source=_cropped(source.source, crop))
        case Joined():
            return Joined(tuple(_cropped(part, crop) for part in source.sources))
        case _:
            return source


def labels_of(source: Source, indices: Sequence[int]) -> Tensor:
    """The classes of pictures as masks of one pixel, ``(n, 1, 1)``, without reading them where they are known."""
    match source:
        case LabelledPictures():
            return source.labels[torch.as_tensor(indices)].view(-1, 1, 1)
        case Chosen():
            return labels_of(source.source, [source.chosen[index] for index in indices])
        case Joined():
            places = [source.place(index) for index in indices]
            return torch.cat([labels_of(part, [inner]) for part, inner in places])
        case _:
            return source.read(indices)[1]


def class_sets(splits: Mapping[str, Sequence[ClassPair]], decoder: PictureDecoder) -> dict[str, ClassSet]:
    """The pictures of every split; each file is decoded once where all of them fit into memory, else only its header.

    Raises:
        InputError: naming the first file that cannot be read.
    """
    height, width = decoder.image_size
    keep = 3 * height * width * sum(map(len, splits.values())) <= MEMORY_BOUND
    return {split: ClassSet(_files(pairs, decoder, keep=keep), decoder.image_size) for split, pairs in splits.items()}


def _files(pairs: Sequence[ClassPair], decoder: PictureDecoder, *, keep: bool) -> ClassFiles:
    files = tuple(pair.image for pair in pairs)
    labels = torch.tensor([pair.label for pair in pairs], dtype=torch.int16)
    # Pillow decodes without holding the interpreter's lock.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        if not keep:
            for _ in pool.map(stored_size, files):
                pass
            return ClassFiles(files, labels, decoder)
        return ClassFiles(files, labels, decoder, _stacked(pool.map(decoder, files), len(files), decoder.image_size))


def _stacked(pictures: Iterable[Tensor], count: int, size: tuple[int, int]) -> Tensor:
    # All at once: stacked in the end, they would be there twice.
    stacked = torch.empty((count, 3, *size), dtype=torch.uint8)
    for index, picture in enumerate(pictures):
        stacked[index] = picture
    return stacked
