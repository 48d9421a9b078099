"""Where a set of images reads from: memory, several sources joined, some images of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from autorf.data.cutting import whole_pictures
from autorf.data.mapped import Mapped


class Source(Protocol):
    """Where a set reads from."""

    def __len__(self) -> int:
        """How many images there are."""
        ...

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Images ``(n, C, H, W)``, uint8 or float32, and masks ``(n, H, W)``, uint8."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Images ``(N, C, H, W)``, uint8 or float32, and masks ``(N, H, W)``, uint8."""

    images: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """The chosen images and masks, copied."""
        chosen = torch.as_tensor(indices, dtype=torch.long)
        return self.images[chosen], self.masks[chosen]


@dataclass(frozen=True)
class Joined:
    """Several sources, one after the other."""

    sources: tuple[Source, ...]

    def __len__(self) -> int:
        return sum(len(source) for source in self.sources)

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Each chosen image and mask, from the source it is in."""
        pairs = [self._one(int(index)) for index in indices]
        images, masks = zip(*pairs, strict=True)
        return torch.cat(images), torch.cat(masks)

    def _one(self, index: int) -> tuple[Tensor, Tensor]:
        source, inner = self.place(index)
        return source.read([inner])

    def size_of(self, index: int) -> tuple[int, int]:
        """Of pictures at their own size."""
        source, inner = self.place(index)
        return whole_pictures(source).size_of(inner)

    def window(self, index: int, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """Of pictures at their own size."""
        source, inner = self.place(index)
        return whole_pictures(source).window(inner, rows, columns)

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Of pictures at their own size."""
        source, inner = self.place(index)
        return whole_pictures(source).mask(inner)

    def place(self, index: int) -> tuple[Source, int]:
        """The source that an image is in, and its index there."""
        for source in self.sources:
            if index < len(source):
                return source, index
            index -= len(source)
        raise IndexError(f"image {index} behind the last")


@dataclass(frozen=True)
class Chosen:
    """Some of a source's images, by their indices."""

    source: Source
    chosen: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.chosen)

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """As the source reads them."""
        return self.source.read([self.chosen[int(index)] for index in indices])

    def size_of(self, index: int) -> tuple[int, int]:
        """Of pictures at their own size."""
        return whole_pictures(self.source).size_of(self.chosen[index])

    def window(self, index: int, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """Of pictures at their own size."""
        return whole_pictures(self.source).window(self.chosen[index], rows, columns)

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Of pictures at their own size."""
        return whole_pictures(self.source).mask(self.chosen[index])


@dataclass(frozen=True)
class OwnMasks:
    """Images ``(N, C, H, W)``, uint8 or float32, and a mask ``(h, w)``, uint8, of its own size for each."""

    images: Tensor
    masks: Sequence[Tensor]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """The chosen images and masks, copied; the masks must be of one size."""
        chosen = torch.as_tensor(indices, dtype=torch.long)
        return self.images[chosen], torch.stack([self.masks[index] for index in chosen.tolist()])


@dataclass(frozen=True)
class OwnSizes:
    """Images ``(C, h, w)``, uint8 or float32, each of its own size, and masks ``(h, w)``, uint8, of theirs."""

    images: Sequence[Tensor]
    masks: Sequence[Tensor]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """The chosen images and masks, copied; they must be of one size."""
        chosen = [int(index) for index in indices]
        return torch.stack([self.images[i] for i in chosen]), torch.stack([self.masks[i] for i in chosen])

    def size_of(self, index: int) -> tuple[int, int]:
        """Height and width of an image in pixels."""
        return self.images[index].shape[1], self.images[index].shape[2]

    def window(self, index: int, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """A part of an image and its mask, copied."""
        return self.images[index][:, rows, columns].clone(), self.masks[index][rows, columns].clone()

    def mask(self, index: int) -> NDArray[np.uint8]:
        """One mask ``(h, w)``."""
        mask: NDArray[np.uint8] = self.masks[index].numpy()
        return mask


@dataclass(frozen=True)
class AtImageSize:
    """A source whose masks have their own size, with all of them at the images'."""

    source: Source
    image_size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.source)

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Images as they are, masks resized to the nearest pixel, as those of a training split are."""
        pairs = [self.source.read([int(index)]) for index in indices]
        images, masks = zip(*pairs, strict=True)
        return torch.cat(images), torch.cat([resized_masks(mask, self.image_size) for mask in masks])


def resized_masks(masks: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Masks ``(N, h, w)`` at another size, each pixel that of the nearest centre."""
    return functional.interpolate(masks[:, None], image_size, mode="nearest-exact")[:, 0]


def as_stored(source: Source, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
    """As a source reads them, 16 bits as they are where it has them so."""
    if isinstance(source, Chosen):
        return as_stored(source.source, [source.chosen[int(index)] for index in indices])
    return source.stored(indices) if isinstance(source, Mapped) else source.read(indices)


def decoded_bytes(source: Source) -> int | None:
    """What images and masks take where they are held decoded; None where each reading decodes."""
    if isinstance(source, Chosen | AtImageSize):
        return decoded_bytes(source.source)
    if isinstance(source, Joined):
        parts = [decoded_bytes(part) for part in source.sources]
        return None if None in parts else sum(part or 0 for part in parts)
    if isinstance(source, InMemory | OwnMasks | OwnSizes):
        return sum(part.nbytes for part in (*source.images, *source.masks))
    decoded: int | None = getattr(source, "decoded_bytes", None)
    return decoded
