"""Images with a class for every pixel, ready for training."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from autorf.data.cutting import PatchCutter, whole_pictures
from autorf.data.mapped import Mapped
from autorf.data.normalisation import IMAGENET, Normalisation
from autorf.data.seeding import seeded
from autorf.data.spec import Augmentation, Half
from autorf.errors import InputError
from autorf.tasks import SEGMENTATION, Task

if TYPE_CHECKING:
    from autorf.data.augmentation import JointAugmentation
    from autorf.data.class_spec import PictureAugmentation

FILL_INDEX = 255
"""The mask value of filled pixels where the data set itself ignores none."""


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


class SegmentationSet(Dataset[tuple[Tensor, Tensor]]):
    """Images and masks of one split.

    An item is an image ``(C, H, W)``, float32, normalised, mostly of three colours, and its mask ``(H, W)``, int64,
    with values 0 to n_classes - 1 or the ignore index. ``H, W`` is the image size, or the augmentation's crop; a mask
    that is scored at its own size has that.

    Args:
        source: what the images are read from.
        image_size: height and width in pixels of the images in ``source``.
        ignore_index: the mask value that loss and metrics leave out, if any.
        mask_sizes: height and width in pixels of each mask where masks keep their own size; None for the image size.
        normalisation: of the images.
        draws: whether the source itself draws random numbers, which are then seeded for every image and epoch.
        whole: whether images keep their own sizes, which are those of their masks; each is a batch of its own then.

    Attributes:
        augment: what changes every image at random; None for nothing.
    """

    def __init__(
        self,
        source: Source,
        image_size: tuple[int, int],
        ignore_index: int | None,
        mask_sizes: Sequence[tuple[int, int]] | None = None,
        *,
        normalisation: Normalisation = IMAGENET,
        draws: bool = False,
        whole: bool = False,
    ) -> None:
        self.source = source
        self.image_size = image_size
        self.ignore_index = ignore_index
        self.mask_sizes = mask_sizes
        self.normalisation = normalisation
        self.draws, self.whole = draws, whole
        self.epoch = self.seed = 0
        self._cutter: PatchCutter | None = None
        self.augment: JointAugmentation | None = None

    def with_augmentation(self, augmentation: "Augmentation | PictureAugmentation", seed: int) -> Self:
        """The same images, changed at random; the draw depends on ``seed``, the epoch and the image's index only."""
        assert isinstance(augmentation, Augmentation), "pictures with a class each are a set of their own"
        changed = copy.copy(self)
        fill = FILL_INDEX if self.ignore_index is None else self.ignore_index
        changed.augment, changed.seed = None, seed
        if not augmentation.is_identity:
            # It loads torchvision, which whoever only asks for a data set's classes should not wait for.
            from autorf.data.augmentation import JointAugmentation

            changed.augment = JointAugmentation(augmentation, self.image_size, self.normalisation, fill, seed)
        return changed

    def in_patches(self, cutter: PatchCutter) -> Self:
        """Patches of the same pictures, ``per_image`` of each, drawn anew for every epoch; each an item of its own."""
        changed = copy.copy(self)
        changed._cutter, changed.whole, changed.mask_sizes = cutter, False, None
        return changed

    def half(self, which: Half) -> Self:
        """One half of the same images; which images it holds depends on their number only.

        Raises:
            InputError: for fewer than two images.
        """
        total = len(self.source)
        if total < 2:
            raise InputError(f"data.half: a training split of {total} image has no halves; leave it out")
        order = np.random.default_rng(total).permutation(total)
        middle = total // 2
        chosen = np.sort(order[:middle] if which == "a" else order[middle:])
        part = copy.copy(self)
        part.source = Chosen(self.source, tuple(chosen.tolist()))
        return part

    def with_source(self, source: Source) -> Self:
        """Other images, treated alike but for the augmentation, which there is none of."""
        changed = copy.copy(self)
        changed.source, changed.mask_sizes, changed.augment = source, None, None
        return changed

    def at_image_size(self) -> Self:
        """The same images, their masks at the image size too; pictures of their own sizes stay as they are."""
        if self.mask_sizes is None or self.whole:
            return self
        changed = copy.copy(self)
        changed.source, changed.mask_sizes = AtImageSize(self.source, self.image_size), None
        return changed

    def set_epoch(self, epoch: int) -> None:
        """Choose the augmentation's draw; call it before every epoch, so that a resumed training draws the same."""
        self.epoch = epoch

    @property
    def decoded_bytes(self) -> int | None:
        """What images and masks take where they are held decoded; None where each reading decodes."""
        return _decoded_bytes(self.source)

    def __len__(self) -> int:
        return len(self.source) * (1 if self._cutter is None else self._cutter.per_image)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        images, masks = self.tensors([index % len(self)])
        return images[0], masks[0]

    def mask(self, index: int) -> Tensor:
        """The mask of an item, as :meth:`__getitem__` has it."""
        return self[index][1]

    def tensors(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """A batch without a DataLoader: images ``(n, C, H, W)`` float32 and masks ``(n, H, W)`` int64.

        Masks of their own size must be of one size to be one batch.
        """
        return self.numbers(*self.stored(indices))

    def stored(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """A batch before :meth:`numbers`, of which it is a quarter or less: that is what is sent to a device.

        Returns:
            Images ``(n, C, H, W)``, uint8, uint16 or float32, changed at random, and masks ``(n, H, W)``, uint8.
        """
        if self.augment is None and self._cutter is None and not self.draws:
            return _as_stored(self.source, indices)
        images, masks = self.unchanged(indices)
        if self.augment is not None:
            changed = [
                self.augment(image, mask, self.epoch, int(index))
                for image, mask, index in zip(images, masks, indices, strict=True)
            ]
            images, masks = (torch.stack(part) for part in zip(*changed, strict=True))
        return images, masks

    def numbers(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """What :meth:`stored` gave, on whatever device it is now, as :meth:`tensors` has it."""
        return self.normalisation(images), masks.long()

    def unchanged(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Images, uint8 or float32, and masks, uint8, as :meth:`stored` has them before augmentation."""
        if self._cutter is not None:
            pictures = whole_pictures(self.source)
            patches = [self._cutter.patch(pictures, self.seed, self.epoch, int(index)) for index in indices]
            images, masks = zip(*patches, strict=True)
            return torch.stack(images), torch.stack(masks)
        if not self.draws:
            return self.source.read(indices)
        pairs = []
        for index in indices:
            with seeded(self.seed, self.epoch, int(index)):
                pairs.append(self.source.read([int(index)]))
        images, masks = zip(*pairs, strict=True)
        return torch.cat(images), torch.cat(masks)


def _as_stored(source: Source, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
    """As a source reads them, 16 bits as they are where it has them so."""
    if isinstance(source, Chosen):
        return _as_stored(source.source, [source.chosen[int(index)] for index in indices])
    return source.stored(indices) if isinstance(source, Mapped) else source.read(indices)


def _decoded_bytes(source: Source) -> int | None:
    if isinstance(source, Chosen | AtImageSize):
        return _decoded_bytes(source.source)
    if isinstance(source, Joined):
        parts = [_decoded_bytes(part) for part in source.sources]
        return None if None in parts else sum(part or 0 for part in parts)
    if isinstance(source, InMemory | OwnMasks | OwnSizes):
        return sum(part.nbytes for part in (*source.images, *source.masks))
    decoded: int | None = getattr(source, "decoded_bytes", None)
    return decoded


@dataclass(frozen=True)
class Splits:
    """A data set, checked and ready.

    Attributes:
        train: the training split, augmented.
        val: the validation split: everything that chooses looks at this one.
        test: the test split, where the data set has one with labels.
        n_classes: number of classes, background included.
        ignore_index: the mask value that loss and metrics leave out; None where no pixel is left out.
        class_names: one for each class.
        image_size: height and width in pixels of training images, and of validation and test images too unless those
            are whole pictures; masks may have a size of their own.
        label_groups: classes whose F1 is also reported merged, by the name of the group.
        left_out: classes that mIoU and the mean F1 leave out.
        task: what its images have a class for: every pixel, or the whole as a mask of one pixel.
    """

    train: SegmentationSet
    val: SegmentationSet
    test: SegmentationSet | None
    n_classes: int
    ignore_index: int | None
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    label_groups: Mapping[str, tuple[int, ...]] | None = None
    left_out: tuple[int, ...] = ()
    task: Task = SEGMENTATION

    def val_joined(self) -> Self:
        """The same data set, its validation images among the training images too."""
        source = Joined((self.train.source, self.val.at_image_size().source))
        return replace(self, train=self.train.with_source(source))

    @property
    def n_val_areas(self) -> float:
        """How many images of :attr:`image_size` have as many pixels as the validation images."""
        if not self.val.whole:
            return len(self.val)
        height, width = self.image_size
        return sum(h * w for h, w in self.val.mask_sizes or ()) / (height * width)

    def tested(self) -> Self:
        """The same data set, its test split in the place of the validation split."""
        assert self.test is not None
        return replace(self, val=self.test)
