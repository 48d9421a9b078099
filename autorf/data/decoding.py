"""One image file and one mask file: read, checked against each other, and brought to the wanted size."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autorf.data.image_files import read_rgb
from autorf.data.mask_files import LegalClasses, read_classes
from autorf.data.names import shown
from autorf.data.pairs import Pair
from autorf.data.picture_spec import Pictures
from autorf.errors import InputError

_DEFAULT = Pictures()

_COLOURS = Pictures(extra="drop", frame=0)
"""For pictures that are looked at and not trained on."""


@dataclass(frozen=True)
class Decoder:
    """How the files of a data set are read.

    Attributes:
        image_size: height and width in pixels of what is returned.
        n_classes: legal mask values are 0 to n_classes - 1 ...
        ignore_index: ... and this one.
        fit: ``resize`` (image bilinear, mask nearest) or ``crop`` from the middle.
        own_masks: leave masks at the size they are stored in.
        pictures: what is read of files that hold more than three colours of 8 bits, or can be read in two ways.
    """

    image_size: tuple[int, int]
    n_classes: int
    ignore_index: int | None = None
    fit: Literal["resize", "crop"] = "resize"
    own_masks: bool = False
    pictures: Pictures = _DEFAULT

    def __call__(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """Image ``(3, H, W)`` and mask ``(H, W)``, or ``(h, w)`` of its own size, both uint8.

        Raises:
            InputError: naming the file that is unreadable, of the wrong size or kind, or holds an illegal class.
        """
        image = read_rgb(pair.image, self.pictures)
        mask = Image.fromarray(read_classes(pair.mask, self.pictures, LegalClasses(self.n_classes, self.ignore_index)))
        self._check_size(pair, image, mask)
        kept = mask if self.own_masks else self._fitted(mask, Image.Resampling.NEAREST)
        classes = np.array(kept, np.uint8)
        return self._pixels(image), torch.from_numpy(classes)

    def picture(self, file: Path) -> Tensor:
        """The image ``(3, H, W)`` uint8 alone, of a picture whose mask nobody reads.

        Raises:
            InputError: naming a file that is unreadable, or too small to crop.
        """
        image = read_rgb(file, self.pictures)
        self._check_crop(file, image)
        return self._pixels(image)

    def _pixels(self, image: Image.Image) -> Tensor:
        pixels = np.array(self._fitted(image, Image.Resampling.BILINEAR), np.uint8)
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()

    def _check_size(self, pair: Pair, image: Image.Image, mask: Image.Image) -> None:
        if image.size != mask.size:
            turned = "; each is turned as its EXIF orientation says" if image.size == mask.size[::-1] else ""
            raise InputError(
                f"{shown(pair.mask, 110)}: is {_size(mask)} pixels, but its image {shown(pair.image, 110)} is "
                f"{_size(image)}; they must agree{turned}"
            )
        self._check_crop(pair.image, image)

    def _check_crop(self, file: Path, image: Image.Image) -> None:
        height, width = self.image_size
        if self.fit == "crop" and (image.height < height or image.width < width):
            raise InputError(
                f"{shown(file)}: is {_size(image)} pixels, too small to crop {height} x {width} (height x "
                f"width); reduce image_size or set fit: resize"
            )

    def _fitted(self, picture: Image.Image, resampling: Image.Resampling) -> Image.Image:
        height, width = self.image_size
        if self.fit == "resize":
            return picture.resize((width, height), resampling)
        top, left = (picture.height - height) // 2, (picture.width - width) // 2
        return picture.crop((left, top, left + width, top + height))


def read_image(file: Path, image_size: tuple[int, int]) -> Tensor:
    """The colours of one image without a mask, resized: ``(3, H, W)`` uint8; of several frames the first.

    Raises:
        InputError: naming a file that is no readable picture.
    """
    picture = read_rgb(file, _COLOURS).resize((image_size[1], image_size[0]), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture, np.uint8)).permute(2, 0, 1).contiguous()


def _size(picture: Image.Image) -> str:
    return f"{picture.height} x {picture.width}"
