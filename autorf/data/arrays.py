"""Pictures and masks as the numbers that their files hold: TIFF, NumPy arrays, and PNG of 16 bits."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autorf.data.names import check_file, shown
from autorf.data.opening import TURNED, check_size, open_picture, png_bits
from autorf.data.picture_spec import Pictures
from autorf.errors import InputError, in_one_line

TIFF, NPY = (".tif", ".tiff"), ".npy"

KINDS = ("uint8", "uint16", "float32")
"""Of numbers that images may hold; others of floating point are taken as float32."""

_ORIENTATION = 274


def is_array_file(file: Path) -> bool:
    """Whether a file's numbers are read as they are stored, and not as a picture shows them."""
    return file.suffix.lower() in (*TIFF, NPY)


def stored_shape(file: Path) -> tuple[int, ...]:
    """The shape of what an array file holds, without reading that.

    Raises:
        InputError: naming a file that cannot be read.
    """
    check_file(file)
    try:
        if file.suffix.lower() == NPY:
            return tuple(np.load(file, allow_pickle=False, mmap_mode="r").shape)
        import tifffile

        with tifffile.TiffFile(file) as tiff:
            return tuple(tiff.series[0].shape)
    except Exception as error:  # readers raise anything on a damaged file
        raise InputError(f"{shown(file)}: cannot be read as numbers: {in_one_line(error, 100)}") from None


def read_numbers(file: Path, pictures: Pictures) -> NDArray[Any]:
    """What a file holds, ``(H, W)``, ``(H, W, C)`` or, of files of bands, ``(C, H, W)``; pictures upright.

    Raises:
        InputError: naming a file that cannot be read, or is larger than allowed.
    """
    check_file(file)
    try:
        return _numbers(file, pictures)
    except InputError:
        raise
    except Exception as error:  # readers raise anything on a damaged file
        raise InputError(f"{shown(file)}: cannot be read as numbers: {in_one_line(error, 100)}") from None


def _numbers(file: Path, pictures: Pictures) -> NDArray[Any]:
    suffix = file.suffix.lower()
    if suffix == NPY:
        array = np.load(file, allow_pickle=False, mmap_mode="r")
        _check_size(file, array.shape, pictures)
        return np.array(array)
    if suffix in TIFF:
        return _tiff(file, pictures)
    with file.open("rb") as stream:
        is_png = stream.read(8) == b"\x89PNG\r\n\x1a\n"
    if is_png and png_bits(file) > 8:
        return _deep_png(file, pictures)
    pixels = open_picture(file, pictures).pixels
    return np.array(pixels.convert("RGB") if pixels.mode in ("P", "PA", "CMYK", "YCbCr") else pixels)


def _tiff(file: Path, pictures: Pictures) -> NDArray[Any]:
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        series = tiff.series[0]
        _check_size(file, series.shape, pictures)
        array = series.asarray()
        tag = tiff.pages.first.tags.get(_ORIENTATION)
        turn = 1 if tag is None else int(tag.value)
        first = array.ndim == 3 and series.axes.endswith("YX")
    if turn == 1:
        return array
    upright = TURNED[turn](np.moveaxis(array, 0, -1) if first else array)
    return np.moveaxis(upright, -1, 0) if first else upright


def _deep_png(file: Path, pictures: Pictures) -> NDArray[Any]:
    """Of 16 bits a channel, of which Pillow has eight where there are several channels."""
    high = np.array(open_picture(file, pictures).pixels)
    if high.dtype != np.uint8:
        return high.astype(np.uint16)
    low = np.array(open_picture(file, pictures, low_bytes=True).pixels)
    return high.astype(np.uint16) << 8 | low


def _check_size(file: Path, shape: tuple[int, ...], pictures: Pictures) -> None:
    """Refuse by the largest two sides: which are height and width is not known yet."""
    sides = sorted(shape)[-2:]
    if len(sides) == 2:
        check_size(file, (sides[0], sides[1]), pictures.max_megapixels)


def with_channels(array: NDArray[Any], channels: int, file: Path) -> NDArray[Any]:
    """Numbers ``(H, W, C)``, of :data:`KINDS`, whichever end the channels are at; where both fit, they are the last.

    Raises:
        InputError: naming a file with other channels, numbers of another kind, or some that are not finite.
    """
    shape = " x ".join(map(str, array.shape))
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or channels not in (array.shape[2], array.shape[0]):
        raise InputError(
            f"{shown(file)}: holds {shape} numbers, and data.channels says {channels}: height x width x channels, or "
            "channels first; every file has as many channels"
        )
    if array.shape[2] != channels:
        array = np.moveaxis(array, 0, -1)
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
        if not math.isfinite(float(array.sum(dtype=np.float64))):
            raise InputError(f"{shown(file)}: holds nan or infinite numbers; fill them")
    if array.dtype.name not in KINDS:
        raise InputError(f"{shown(file)}: holds {array.dtype.name}; images hold {', '.join(KINDS)}")
    return np.ascontiguousarray(array)
