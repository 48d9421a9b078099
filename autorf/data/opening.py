"""One picture file as it is shown: opened or refused by name, within a stated size, turned as its camera says."""

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from autorf.data.names import check_file, shown
from autorf.data.picture_spec import Pictures
from autorf.errors import InputError, in_one_line

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Pillow's readers that are tried, whatever the file is called; others run programs or know no pixels."""

_ORIENTATION, _BITS_PER_SAMPLE, _SAMPLES_PER_PIXEL = 274, 258, 277
"""Tags of EXIF blocks and of TIFF files."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What shows a picture upright, by its EXIF orientation."""

TURNED: Mapping[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: lambda array: array[:, ::-1],
    3: lambda array: array[::-1, ::-1],
    4: lambda array: array[::-1],
    5: lambda array: array.swapaxes(0, 1),
    6: lambda array: np.rot90(array, -1),
    7: lambda array: np.rot90(array, 2).swapaxes(0, 1),
    8: lambda array: np.rot90(array, 1),
}
"""The same for arrays ``(H, W)`` or ``(H, W, C)``."""

# Pillow's bound and Python's warnings are the whole process's: one thread at a time changes them.
_PROCESS_WIDE = threading.RLock()


@dataclass(frozen=True)
class Picture:
    """A decoded page or frame, and what Pillow's mode does not tell of how its file stores it.

    Attributes:
        pixels: upright.
        format: of the file, whatever it is called.
        bits: a channel.
        channels: a pixel.
    """

    pixels: Image.Image
    format: str
    bits: int
    channels: int


def open_picture(
    file: Path, pictures: Pictures, *, low_bytes: bool = False, formats: tuple[str, ...] = FORMATS
) -> Picture:
    """The decoded page or frame of a file, upright.

    Args:
        file: to read.
        pictures: how.
        low_bytes: of a PNG of 16 bits and several channels, of which Pillow has one byte each: the lower one.
        formats: Pillow's readers that are tried.

    Raises:
        InputError: naming a file that is no readable picture, larger than allowed, or of several frames unasked.
    """
    check_file(file)
    with _readable(file), _opened(file, formats) as picture:
        _choose_frame(file, picture, pictures.frame)
        check_size(file, (picture.height, picture.width), pictures.max_megapixels)
        if low_bytes:
            _swap_bytes(picture)
        _load(picture)
        return Picture(_upright(picture), picture.format or "", *_depth(file, picture))


def stored_size(file: Path) -> tuple[int, int]:
    """Height and width in pixels as a picture is stored, before it is turned, from its header alone.

    Raises:
        InputError: naming a file that is no readable picture.
    """
    check_file(file)
    with _readable(file), _opened(file) as picture:
        return picture.height, picture.width


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # Pillow's readers raise anything on a damaged file
        reason = getattr(error, "strerror", None) or in_one_line(error, 100).replace(str(file), file.name)
        raise InputError(f"{shown(file)}: cannot be read as a picture: {reason}") from None


@contextmanager
def _unbounded() -> Iterator[None]:
    """Without Pillow's own bound, which warns at one size and refuses at another, and without its warnings."""
    with _PROCESS_WIDE, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bound, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = bound


@contextmanager
def _opened(file: Path, formats: tuple[str, ...] = FORMATS) -> Iterator[Image.Image]:
    with _unbounded():
        picture = Image.open(file, formats=formats)
    with picture:
        yield picture


def _choose_frame(file: Path, picture: Image.Image, frame: int | None) -> None:
    with _unbounded():
        count: int = getattr(picture, "n_frames", 1)
        if count == 1:
            return
        if frame is None:
            raise InputError(
                f"{shown(file)}: holds {count} pages or frames; save one, or choose with data.pictures.frame (0: the "
                "first of every such file)"
            )
        if frame >= count:
            raise InputError(
                f"{shown(file)}: holds {count} pages or frames, 0 to {count - 1}; correct data.pictures.frame: {frame}"
            )
        picture.seek(frame)


def check_size(file: Path, size: tuple[int, int], max_megapixels: float) -> None:
    """Raise ``InputError`` for a picture of more pixels, ``size`` high and wide, than are allowed."""
    height, width = size
    megapixels = height * width / 1e6
    if megapixels > max_megapixels:
        raise InputError(
            f"{shown(file)}: is {height} x {width}, {megapixels:.4g} megapixels, more than the {max_megapixels:g} "
            f"allowed; make it smaller, or set data.pictures.max_megapixels: {megapixels + 1:.0f}"
        )


def _load(picture: Image.Image) -> None:
    """Decode; pictures that Pillow would warn of, one at a time."""
    if picture.height * picture.width > (Image.MAX_IMAGE_PIXELS or 0):
        with _unbounded():
            picture.load()
    else:
        picture.load()


def _swap_bytes(picture: Image.Image) -> None:
    """Have a PNG of 16 bits be read in the other order of bytes: what Pillow takes for the upper one is the lower."""
    assert isinstance(picture, ImageFile.ImageFile)
    swapped: list[Any] = [(*tile[:3], str(tile[3]).replace(";16B", ";16L")) for tile in picture.tile]
    picture.tile = swapped


def _upright(picture: Image.Image) -> Image.Image:
    """Without Pillow's own turn, which also writes the EXIF block anew and fails where that is damaged."""
    try:
        with _unbounded():
            turn = _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # a damaged EXIF block: viewers show the picture as it is stored
        turn = None
    return picture if turn is None else picture.transpose(turn)


def _depth(file: Path, picture: Image.Image) -> tuple[int, int]:
    """Bits a channel and channels a pixel."""
    tags = getattr(picture, "tag_v2", None)
    if picture.format == "TIFF" and tags is not None:
        return max(_numbers(tags.get(_BITS_PER_SAMPLE, 1))), _numbers(tags.get(_SAMPLES_PER_PIXEL, 1))[0]
    return png_bits(file) if picture.format == "PNG" else 8, len(picture.getbands())


def _numbers(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def png_bits(file: Path) -> int:
    """A channel, by a PNG file's header."""
    with file.open("rb") as stream:
        return stream.read(25)[24]
