"""The names that people give folders and files of images, masks and splits."""

import re
from typing import Literal, NamedTuple

Role = Literal["image", "mask"]

SPLITS = {
    "train": ("training", "train", "trn"),
    "val": ("validation", "valid", "val", "dev"),
    "test": ("testing", "test"),
}
"""What splits are called, the longest first: ``training`` begins with ``train``."""

_IMAGE_WORDS = {
    "image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "jpegimages", "leftimg8bit", "rgb",
    "input", "inputs", "frames", "scans",
}  # fmt: skip
_MASK_WORDS = {
    "mask", "masks", "label", "labels", "annot", "annots", "annotation", "annotations", "gt", "gtfine", "truth",
    "groundtruth", "segmentation", "segmentations", "segmentationclass", "segmentationclassaug", "seg", "segs",
    "target", "targets", "labelids",
}  # fmt: skip
_POOR_WORDS = {
    "color", "colour", "colored", "coloured", "vis", "viz", "overlay", "instance", "instances", "object", "objects",
}  # fmt: skip
"""Of masks that show classes to people, or tell objects apart: where there are others, those are meant."""

MASK_TAILS = (
    "_gtFine_labelTrainIds", "_gtFine_labelIds", "_labelTrainIds", "_labelIds", "_mask", "-mask", "_masks", ".mask",
    "_label", "-label", "_labels", "_gt", "-gt", "_GT", "_seg", "_segmentation", "_annotation", "_manual1", "_target",
    "_L", "_gtFine_color", "_color",
)  # fmt: skip
"""Ends of mask names that image names lack; the likelier first."""

IMAGE_TAILS = ("_leftImg8bit", "_image", "-image", "_img", "_rgb", "_sat", "_original", "_training", "_test")
"""Ends of image names that mask names lack."""


class SplitName(NamedTuple):
    """A folder's name that says a split: which one, how it is spelled, and the name with ``{split}`` in its place."""

    split: str
    spelling: str
    pattern: str


def split_in(name: str) -> SplitName | None:
    """The split that a folder's name says; None where it says none.

    >>> split_in("trainannot"), split_in("Validation"), split_in("terrain")
    (SplitName(split='train', spelling='train', pattern='{split}annot'), SplitName(split='val', \
spelling='Validation', pattern='{split}'), None)
    """
    for split, words in SPLITS.items():
        for word in words:
            if match := re.fullmatch(rf"(?:(.*[_\-. ]))?({word})([_\-. \d].*)?", name, re.IGNORECASE):
                before, spelling, after = (part or "" for part in match.groups())
                return SplitName(split, spelling, f"{before}{{split}}{after}")
            head, tail = name[: len(word)], name[len(word) :]
            if head.lower() == word and role_of(tail) is not None:
                return SplitName(split, head, f"{{split}}{tail}")
    return None


def role_of(name: str) -> Role | None:
    """Whether a folder's name, or its pattern, is one for images or for masks; None where it does not say.

    >>> role_of("Ground_Truth"), role_of("{split}_imgs"), role_of("berlin")
    ('mask', 'image', None)
    """
    words = set(re.split(r"[_\-. ]", name.lower().replace("{split}", "_")))
    if words & _MASK_WORDS:
        return "mask"
    return "image" if words & _IMAGE_WORDS else None


def is_poor(path: str) -> bool:
    """Whether masks of such a path are for people to look at, or tell objects apart and not classes.

    >>> is_poor("SegmentationObject"), is_poor("gt/_gtFine_color"), is_poor("SegmentationClass")
    (True, True, False)
    """
    words = re.split(r"[_\-. /]|(?<=[a-z])(?=[A-Z])", path)
    return any(word.lower() in _POOR_WORDS for word in words)
