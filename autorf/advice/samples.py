"""The pictures and masks that a check looks at: a folder of each, or a split of a data set."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from autorf.data.image_files import read_rgb
from autorf.data.mask_files import LegalClasses, read_classes
from autorf.data.normalisation import IMAGENET, Normalisation
from autorf.data.opening import stored_size
from autorf.data.pairs import IMAGE_SUFFIXES, Pair, find_pairs
from autorf.data.picture_spec import Pictures
from autorf.errors import InputError, shown_place

if TYPE_CHECKING:
    from autorf.data.segmentation_set import SegmentationSet

Size = tuple[int, int]
_Member = TypeVar("_Member")

MOST_PICTURES = 200
"""Of a folder or a split: evenly spread ones are read of more."""

IGNORED = 255

_LENIENT = Pictures(extra="drop", frame=0, grey_palette="index", low_bits="sample")
"""For pictures that are looked at and not trained on."""


class Sample(NamedTuple):
    """One picture ``(C, H, W)``, bytes or numbers, and its mask ``(H, W)`` uint8; None without masks."""

    image: Tensor
    mask: NDArray[np.uint8] | None


class Samples:
    """Where a check gets its pictures from.

    Attributes:
        source: in words.
        names: of classes, by their value in masks; those without one are called by it.
        ignored: the value of pixels without a class.
        sizes: height and width of every picture that is read.
        notes: what was assumed.
        normalisation: of the pictures, as for training; it also knows how they are shown.
        channels: of every picture.
    """

    source: str
    names: Mapping[int, str]
    ignored: int | None
    sizes: Sequence[Size]
    notes: tuple[str, ...]
    normalisation: Normalisation
    channels: int

    @abstractmethod
    def read(self, index: int, size: Size | None) -> Sample:
        """One picture and mask, brought to a size unless that is None."""


@dataclass
class FolderSamples(Samples):
    """Files of a folder of pictures, with a folder of masks or none; see :class:`Samples`.

    Raises:
        InputError: for a folder that is missing or empty, or files without partners.
    """

    images: Path
    masks: Path | None = None
    names: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.source = f"{self.images}"
        self.ignored = None
        self.notes = ()
        self.normalisation, self.channels = IMAGENET, 3
        self._pairs = self._files()
        self.sizes = [stored_size(image) for image, _ in self._pairs]
        if self.masks is not None:
            self._tell_labels()

    def _files(self) -> list[tuple[Path, Path | None]]:
        if self.masks is None:
            if not self.images.is_dir():
                raise InputError(f"--images {shown_place(str(self.images))}: no such folder; give a folder of pictures")
            files = sorted(path for path in self.images.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
            if not files:
                raise InputError(f"--images {shown_place(str(self.images))}: no picture ({', '.join(IMAGE_SUFFIXES)})")
            return [(file, None) for file in _spread(files)]
        pairs: list[Pair] = find_pairs(self.images, self.masks, "pictures, and masks of the same names")
        return [(pair.image, pair.mask) for pair in _spread(pairs)]

    def _tell_labels(self) -> None:
        """Take 255 for no class, unless there is nothing else but 0."""
        labels = {int(label) for _, mask in self._pairs for label in np.unique(self._classes(mask))}
        if labels == {0, IGNORED}:
            self.notes = ("masks hold 0 and 255 only: 255 is taken for a class; a study wants it as 1",)
        elif IGNORED in labels:
            self.ignored = IGNORED
            self.notes = ("pixels of label 255 are taken for pixels without a class",)
        if 0 not in self.names:
            self.names = {**self.names, 0: "background"}
            self.notes = (*self.notes, "label 0 is taken for the background")

    def _classes(self, mask: Path | None) -> NDArray[np.uint8]:
        assert mask is not None
        return read_classes(mask, _LENIENT, LegalClasses(256))

    def read(self, index: int, size: Size | None) -> Sample:
        """See :class:`Samples`."""
        file, mask = self._pairs[index]
        image = read_rgb(file, _LENIENT)
        classes = None if mask is None else self._classes(mask)
        if classes is not None and classes.shape != (image.height, image.width):
            mask_size = f"{classes.shape[0]} x {classes.shape[1]}"
            raise InputError(f"{mask}: is {mask_size} pixels, but its image is {image.height} x {image.width}")
        pixels = torch.from_numpy(np.array(image, np.uint8)).permute(2, 0, 1)
        return resized(Sample(pixels, classes), size)


class SetSamples(Samples):
    """Images of a split of a data set, at the size that its study trains at; see :class:`Samples`."""

    def __init__(self, split: SegmentationSet, names: Sequence[str], source: str) -> None:
        self._split = split.at_image_size()
        self._chosen = _spread(range(len(split)))
        self.source = source
        self.names = dict(enumerate(names))
        self.ignored = split.ignore_index
        self.sizes = [split.image_size] * len(self._chosen)
        self.notes = ()
        self.normalisation, self.channels = split.normalisation, len(split.normalisation.mean)

    def read(self, index: int, size: Size | None) -> Sample:
        """See :class:`Samples`."""
        image, mask = self._split.unchanged([self._chosen[index]])
        return resized(Sample(image[0], mask[0].numpy().astype(np.uint8)), size)


def resized(sample: Sample, size: Size | None) -> Sample:
    """A sample at another size: the picture bilinear, the mask nearest."""
    image, mask = sample
    if size is None or tuple(image.shape[1:]) == size:
        return sample
    height, width = size
    labels = None if mask is None else Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
    return Sample(_resized(image, size), None if labels is None else np.asarray(labels, np.uint8))


def _resized(image: Tensor, size: Size) -> Tensor:
    if image.dtype == torch.uint8 and len(image) == 3:
        # As data sets do it.
        pixels = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(pixels, np.uint8)).permute(2, 0, 1)
    larger = functional.interpolate(image[None].float(), size, mode="bilinear", align_corners=False, antialias=True)[0]
    return larger if image.is_floating_point() else larger.round().to(image.dtype)


def usual_size(sizes: Sequence[Size]) -> Size:
    """The size of most pictures; of several, the largest."""
    counts = Counter(sizes)
    return max(counts, key=lambda size: (counts[size], size[0] * size[1]))


def _spread(members: Sequence[_Member]) -> list[_Member]:
    if len(members) <= MOST_PICTURES:
        return list(members)
    return [members[round(at)] for at in np.linspace(0, len(members) - 1, MOST_PICTURES)]
