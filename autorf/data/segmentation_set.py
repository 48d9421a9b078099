"""Images with a class for every pixel, ready for training."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from autorf.data.cutting import PatchCutter, whole_pictures
from autorf.data.normalisation import IMAGENET, Normalisation
from autorf.data.seeding import seeded
from autorf.data.sources import AtImageSize, Chosen, Source, as_stored, decoded_bytes
from autorf.data.spec import Augmentation, Half
from autorf.errors import InputError

if TYPE_CHECKING:
    from autorf.data.augmentation import JointAugmentation
    from autorf.data.class_spec import PictureAugmentation

FILL_INDEX = 255
"""The mask value of filled pixels where the data set itself ignores none."""


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
        return decoded_bytes(self.source)

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
            return as_stored(self.source, indices)
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
