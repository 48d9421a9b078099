"""One image file and one mask file: read, checked against each other, and brought to the wanted size."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from autorf.data.arrays import read_numbers, with_channels
from autorf.data.face_images import FaceImages
from autorf.data.image_files import read_rgb
from autorf.data.mask_files import Classes, LegalClasses, read_mask
from autorf.data.mask_table import IGNORED, MaskTable
from autorf.data.names import shown
from autorf.data.normalisation import IMAGENET
from autorf.data.padding import filled_size, filled_up, kept_size
from autorf.data.pairs import Pair
from autorf.data.picture_spec import Pictures
from autorf.errors import InputError

Pixels = NDArray[Any]
"""``(H, W, C)``, uint8, uint16 or float32."""

Fit = Literal["resize", "crop", "pad", "whole"]
"""How pictures are brought to the image size: stretched, cut from the middle, filled up, or not at all."""

_DEFAULT = Pictures()

_BILINEAR = Image.Resampling.BILINEAR

_COLOURS = Pictures(extra="drop", frame=0)
"""For pictures that are looked at and not trained on."""


@dataclass(frozen=True)
class Decoder:
    """How the files of a data set are read.

    Attributes:
        image_size: height and width in pixels of what is returned.
        n_classes: legal mask values are 0 to n_classes - 1 ...
        ignore_index: ... and this one.
        fit: ``resize`` (image bilinear, mask nearest), ``crop`` from the middle, ``pad`` (see
            :mod:`autorf.data.padding`) with the mean colour and the mask value ``IGNORED``, or ``whole``: as they are,
            and none smaller than ``image_size``, which patches of them have.
        own_masks: leave masks at the size they are stored in.
        pictures: what is read of files that hold more than three colours of 8 bits, or can be read in two ways.
        channels: of images whose numbers are read as they are stored; None for red, green and blue of 8 bits.
        kind: of their numbers, the same in every file; None for any.
        table: what stands for the classes in masks; None where their numbers do.
        read_classes: what reads the file of a mask instead, for masks of a data set's own kind.
        faces: how pictures are prepared by the landmarks of their faces; None where they are not.
        ignored_beside_only: whether only pixels beside an aligned picture are ignored, and a mask holds none that are.
    """

    image_size: tuple[int, int]
    n_classes: int
    ignore_index: int | None = None
    fit: Fit = "resize"
    own_masks: bool = False
    pictures: Pictures = _DEFAULT
    channels: int | None = None
    kind: str | None = None
    table: MaskTable | None = None
    read_classes: Callable[[Path, Pictures], Classes] | None = None
    faces: FaceImages | None = None
    ignored_beside_only: bool = False

    def __call__(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """Image ``(C, H, W)``, uint8 or float32, and mask ``(H, W)``, or ``(h, w)`` of its own size, uint8.

        Raises:
            InputError: naming the file that is unreadable, of the wrong size or kind, or holds an illegal class.
        """
        image, mask = self.decoded(pair)
        return torch.from_numpy(numbers_of(image)), torch.from_numpy(mask)

    def decoded(self, pair: Pair) -> tuple[Pixels, Classes]:
        """As :meth:`__call__`, but 16 bits that no resizing has changed stay uint16: half of what float32 takes.

        Raises:
            InputError: see :meth:`__call__`.
        """
        pixels = self.pixels(pair.image)
        classes = self.classes(pair.mask)
        self.check_pair(pair, pixels, classes)
        self.check_crop(pair.image, pixels)
        if not self.own_masks:
            classes = self.fitted_classes(classes, pair.image)
        elif self.own_mask_size is not None:
            assert self.faces is not None, "only aligned masks have a size of their own"
            classes = self.faces.fitted_classes(pair.image, classes, self.own_mask_size)
        return self._fitted(pixels, pair.image), classes

    def check_pair(self, pair: Pair, pixels: Pixels, classes: Classes) -> None:
        """Raise ``InputError`` where an image ``(h, w, C)`` and its mask ``(h, w)`` differ in size."""
        if pixels.shape[:2] != classes.shape:
            turned = "; each is turned as its EXIF orientation says" if pixels.shape[1::-1] == classes.shape else ""
            raise InputError(
                f"{shown(pair.mask, 110)}: is {_size(classes)} pixels, but its image {shown(pair.image, 110)} is "
                f"{_size(pixels)}; they must agree{turned}"
            )

    @property
    def own_mask_size(self) -> tuple[int, int] | None:
        """Height and width that all masks have where they are not at the image size; None for those of their files."""
        return None if self.faces is None or self.faces.align is None else self.faces.align.mask_size

    def picture(self, file: Path) -> Tensor:
        """The image ``(C, H, W)`` alone, of a picture whose mask nobody reads.

        Raises:
            InputError: naming a file that is unreadable, or too small to crop.
        """
        pixels = self.pixels(file)
        self.check_crop(file, pixels)
        return self.fitted(pixels, file)

    def pixels(self, file: Path) -> Pixels:
        """An image file at its own size, upright: ``(h, w, C)``; with ``channels`` what the file stores, else uint8.

        Raises:
            InputError: naming a file that cannot be read, or holds something else.
        """
        if self.channels is None:
            return np.array(read_rgb(file, self.pictures), np.uint8)
        pixels = with_channels(read_numbers(file, self.pictures), self.channels, file)
        if self.kind not in (None, pixels.dtype.name):
            raise InputError(f"{shown(file)}: holds {pixels.dtype.name} numbers, and others {self.kind}; convert it")
        return pixels

    def classes(self, file: Path) -> Classes:
        """The classes of a mask file at its own size, upright: ``(h, w)`` uint8.

        Raises:
            InputError: naming a file that cannot be read, or holds an illegal class.
        """
        if self.read_classes is not None:
            return self.read_classes(file, self.pictures)
        legal = LegalClasses(self.n_classes, None if self.ignored_beside_only else self.ignore_index)
        return np.array(read_mask(file, self.pictures, legal, self.table), np.uint8)

    def fitted(self, pixels: Pixels, file: Path | None = None) -> Tensor:
        """The image ``(C, H, W)`` that a network sees of ``pixels (h, w, C)``, those of the picture ``file``."""
        return torch.from_numpy(numbers_of(self._fitted(pixels, file)))

    def _fitted(self, pixels: Pixels, file: Path | None) -> Pixels:
        """``(C, H, W)``; 16 bits are numbers from 0 to 1 only where they had to be resized."""
        if self.faces is not None and file is not None:
            pixels = self.faces.fitted(file, pixels, self.image_size)
        elif self.fit == "resize":
            pixels = resized(numbers_of(pixels), self.image_size)
        elif self.fit == "crop":
            pixels = self._middle(pixels)
        elif self.fit == "pad":
            pixels = filled_up(self._shrunk(numbers_of(pixels)), self.image_size, IMAGENET.filling(torch.uint8))
        return np.ascontiguousarray(np.moveaxis(pixels, 2, 0))

    def fitted_classes(self, classes: Classes, file: Path | None = None) -> Classes:
        """The mask ``(H, W)`` at the image size of ``classes (h, w)``, those of the picture ``file``."""
        if self.faces is not None and file is not None:
            return self.faces.fitted_classes(file, classes, self.image_size)
        if self.fit == "whole":
            return classes
        if self.fit == "crop":
            return np.ascontiguousarray(self._middle(classes))
        if self.fit == "pad":
            size = kept_size((classes.shape[0], classes.shape[1]), self.image_size)
            return filled_up(nearest(classes, size), self.image_size, IGNORED)
        return nearest(classes, self.image_size)

    def filled_size(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """The size at which the whole image has the scale of a picture of ``size``, where it holds more; else None."""
        return filled_size(size, self.image_size) if self.fit == "pad" else None

    def check_crop(self, file: Path, pixels: Pixels) -> None:
        """Raise ``InputError`` where ``pixels (h, w, C)`` of ``file`` are smaller than the part that is cut out."""
        self.check_holds(file, (pixels.shape[0], pixels.shape[1]))

    def check_holds(self, file: Path, size: tuple[int, int]) -> None:
        """Raise ``InputError`` where a file of that height and width is smaller than the part that is cut out of it."""
        height, width = self.image_size
        if self.fit in ("resize", "pad") or (size[0] >= height and size[1] >= width):
            return
        own = f"{shown(file)}: is {size[0]} x {size[1]} pixels"
        if self.fit == "crop":
            raise InputError(
                f"{own}, too small to crop {height} x {width} (height x width); reduce image_size or set fit: resize"
            )
        raise InputError(
            f"{own}, smaller than a patch of {height} x {width} (height x width); reduce data.patches.size, or leave "
            "the file out"
        )

    def knowing_kind(self, file: Path) -> Self:
        """The decoder that refuses other kinds of numbers than ``file`` holds, where numbers are read as stored.

        Raises:
            InputError: when the file cannot be read.
        """
        if self.channels is None or self.kind is not None:
            return self
        return replace(self, kind=self.pixels(file).dtype.name)

    def _shrunk(self, pixels: Pixels) -> Pixels:
        """Pixels at the size that they have in a larger image."""
        size = pixels.shape[0], pixels.shape[1]
        kept = kept_size(size, self.image_size)
        return pixels if kept == size else resized(pixels, kept)

    def _middle(self, pixels: NDArray[Any]) -> NDArray[Any]:
        height, width = self.image_size
        top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
        return pixels[top : top + height, left : left + width]


def numbers_of(pixels: Pixels) -> Pixels:
    """Pixels as a network counts them: bytes as they are, 16 bits as float32 from 0 to 1, others as float32."""
    return pixels.astype(np.float32) / np.float32(65535) if pixels.dtype == np.uint16 else pixels


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Pixels ``(h, w, C)``, bytes or float32, at another height and width: bilinear, shrunk without aliasing."""
    height, width = size
    if pixels.dtype == np.uint8 and pixels.shape[2] == 3:
        return np.array(Image.fromarray(pixels).resize((width, height), _BILINEAR), np.uint8)
    # Pillow knows further channels and other numbers one channel at a time; the filter is the same.
    channels = [
        np.array(Image.fromarray(np.ascontiguousarray(pixels[..., channel])).resize((width, height), _BILINEAR))
        for channel in range(pixels.shape[2])
    ]
    return np.stack(channels, axis=2)


def nearest(classes: Classes, size: tuple[int, int]) -> Classes:
    """Classes ``(h, w)`` at another height and width, each pixel that of the nearest."""
    height, width = size
    return np.array(Image.fromarray(classes).resize((width, height), Image.Resampling.NEAREST), np.uint8)


def read_image(file: Path, image_size: tuple[int, int]) -> Tensor:
    """The colours of one image without a mask, resized: ``(3, H, W)`` uint8; of several frames the first.

    Raises:
        InputError: naming a file that is no readable picture.
    """
    picture = read_rgb(file, _COLOURS).resize((image_size[1], image_size[0]), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture, np.uint8)).permute(2, 0, 1).contiguous()


def _size(pixels: NDArray[Any]) -> str:
    return f"{pixels.shape[0]} x {pixels.shape[1]}"
