"""Whether a split has anything to learn from, or to be measured on: a pixel with a label."""

from autorf.data.segmentation_set import SegmentationSet
from autorf.errors import InputError

_NAMES = {"train": "training", "val": "validation"}


def has_label(images: SegmentationSet, ignore_index: int | None) -> bool:
    """Whether a pixel of the split has a class; no more masks are read than it takes to see one."""
    if ignore_index is None:
        return len(images) > 0
    masks = (images.source.read([index])[1] for index in range(len(images)))
    return any(bool((mask != ignore_index).any()) for mask in masks)


def check_labelled(images: SegmentationSet, split: str, ignore_index: int | None) -> None:
    """Raise ``InputError`` for a split in which every pixel is ignored: it has no loss and no score."""
    if not has_label(images, ignore_index):
        raise InputError(
            f"data: none of the {len(images)} masks of the {_NAMES[split]} split has a labelled pixel, all are "
            f"{ignore_index}, the ignored value; correct the masks or data.ignore_index"
        )
