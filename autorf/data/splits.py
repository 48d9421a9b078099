"""A data set's splits, checked and ready."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from autorf.data.segmentation_set import SegmentationSet
from autorf.data.sources import Joined
from autorf.tasks import SEGMENTATION, Task


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
