"""One image file, one mask file: read, checked, and brought to the wanted size."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from autorf.data.pairs import Pair
from autorf.errors import InputError, in_one_line

_IMAGE_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
_MASK_MODES = ("1", "L", "P")


@dataclass(frozen=True)
class Decoder:
    """How the files of a data set are read.

    Attributes:
        image_size: height and width in pixels of what is returned.
        n_classes: legal mask values are 0 to n_classes - 1 ...
        ignore_index: ... and this one.
        fit: ``resize`` (image bilinear, mask nearest) or ``crop`` from the middle.
        own_masks: leave masks at the size they are stored in.
    """

    image_size: tuple[int, int]
    n_classes: int
    ignore_index: int | None = None
    fit: Literal["resize", "crop"] = "resize"
    own_masks: bool = False

    def __call__(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """Image ``(3, H, W)`` and mask ``(H, W)``, or ``(h, w)`` of its own size, both uint8.

        Raises:
            InputError: naming the file that is unreadable, of the wrong size or kind, or holds an illegal class.
        """
        image, mask = _image(pair.image), _mask(pair.mask)
        self._check_size(pair, image, mask)
        self._check_classes(pair.mask, np.asarray(mask, np.uint8))
        pixels = np.array(self._fitted(image, Image.Resampling.BILINEAR), np.uint8)
        kept = mask if self.own_masks else self._fitted(mask, Image.Resampling.NEAREST)
        classes = np.array(kept, np.uint8)
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), torch.from_numpy(classes)

    def _check_size(self, pair: Pair, image: Image.Image, mask: Image.Image) -> None:
        if image.size != mask.size:
            raise InputError(
                f"{pair.mask}: is {_size(mask)} pixels, but its image {pair.image} is {_size(image)}; they must agree"
            )
        height, width = self.image_size
        if self.fit == "crop" and (image.height < height or image.width < width):
            raise InputError(
                f"{pair.image}: is {_size(image)} pixels, too small to crop {height} x {width} (height x width); "
                f"reduce image_size or set fit: resize"
            )

    def _check_classes(self, file: Path, classes: NDArray[np.uint8]) -> None:
        legal = np.zeros(256, bool)
        legal[: self.n_classes] = True
        if self.ignore_index is not None:
            legal[self.ignore_index] = True
        present = np.bincount(classes.ravel(), minlength=256) > 0
        illegal = np.flatnonzero(present & ~legal)
        if illegal.size:
            ignored = "" if self.ignore_index is None else f", and {self.ignore_index} for ignored pixels"
            raise InputError(
                f"{file}: holds class {illegal[0]}; legal are 0 to {self.n_classes - 1}{ignored}"
                f"{_repair(np.flatnonzero(present).tolist(), self.ignore_index)}"
            )

    def _fitted(self, picture: Image.Image, resampling: Image.Resampling) -> Image.Image:
        height, width = self.image_size
        if self.fit == "resize":
            return picture.resize((width, height), resampling)
        top, left = (picture.height - height) // 2, (picture.width - width) // 2
        return picture.crop((left, top, left + width, top + height))


def stored_size(file: Path) -> tuple[int, int]:
    """Height and width in pixels of a picture on disk, from its header alone.

    Raises:
        InputError: naming a file that is no readable picture.
    """
    try:
        with Image.open(file) as picture:
            return picture.height, picture.width
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{file}: cannot be read as a picture: {in_one_line(error)}") from None


def read_image(file: Path, image_size: tuple[int, int]) -> Tensor:
    """One image without a mask, resized: ``(3, H, W)`` uint8.

    Raises:
        InputError: naming a file that is no readable picture.
    """
    picture = _image(file).resize((image_size[1], image_size[0]), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture, np.uint8)).permute(2, 0, 1).contiguous()


def _repair(classes: Sequence[int], ignore_index: int | None) -> str:
    if 255 in classes and len(classes) == 2:
        return "; a two-class mask holds 0 and 1, not 0 and 255"
    if 255 in classes and ignore_index is None:
        return "; if 255 marks pixels without a class, set ignore_index: 255"
    return "; correct the mask or the number of classes"


def _image(file: Path) -> Image.Image:
    picture = _open(file)
    if picture.mode not in _IMAGE_MODES:
        raise InputError(f"{file}: has pixels of kind {picture.mode!r}; save it with 8 bits a channel")
    upright = ImageOps.exif_transpose(picture)
    return upright.convert("RGBA" if "transparency" in upright.info else "RGB").convert("RGB")


def _mask(file: Path) -> Image.Image:
    picture = _open(file)
    if picture.mode in _MASK_MODES:
        return picture
    if picture.mode.startswith(("I", "F")):
        raise InputError(f"{file}: holds more than 8 bits a pixel; save the mask as 8-bit PNG, one class index a pixel")
    raise InputError(
        f"{file}: is a colour picture ({picture.mode}); map its colours to class indices and save it as 8-bit grey or "
        f"palette PNG"
    )


def _open(file: Path) -> Image.Image:
    try:
        with Image.open(file) as picture:
            picture.load()
            return picture.copy()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{file}: cannot be read as a picture: {in_one_line(error)}") from None


def _size(picture: Image.Image) -> str:
    return f"{picture.height} x {picture.width}"
