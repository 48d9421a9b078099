"""The classes in a mask file, whatever a PNG optimiser made of it, or why they cannot be told."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autorf.data.arrays import is_array_file, read_numbers
from autorf.data.image_files import is_transparent, read_rgb
from autorf.data.mask_table import MaskTable
from autorf.data.names import check_file, shown
from autorf.data.opening import Picture, open_picture
from autorf.data.picture_spec import Pictures
from autorf.errors import InputError

Classes = NDArray[np.uint8]
"""``(H, W)``."""

_AS_PNG = "save the mask as 8-bit PNG, one class index a pixel"


@dataclass(frozen=True)
class LegalClasses:
    """The values that a mask may hold: 0 to ``n_classes`` - 1, and ``ignore_index`` where there is one.

    Where there are ``values``, those instead, which ``words`` may name.
    """

    n_classes: int
    ignore_index: int | None = None
    values: tuple[int, ...] | None = None
    words: str | None = None

    def illegal(self, classes: Classes) -> list[int]:
        """The values in ``classes`` that are not legal, the smallest first."""
        legal = np.zeros(256, bool)
        if self.values is not None:
            legal[[value for value in self.values if 0 <= value <= 255]] = True
            return [int(value) for value in np.flatnonzero(_present(classes) & ~legal)]
        legal[: self.n_classes] = True
        if self.ignore_index is not None:
            legal[self.ignore_index] = True
        return [int(value) for value in np.flatnonzero(_present(classes) & ~legal)]

    def check(self, file: Path, classes: Classes, hint: str = "") -> None:
        """Raise ``InputError`` for a value that is not legal, naming the file, the value, the range and a repair."""
        illegal = self.illegal(classes)
        if illegal:
            if self.values is not None:
                raise InputError(
                    _not_in_table(file, illegal[0], int((classes == illegal[0]).sum()), hint or self.words)
                )
            ignored = "" if self.ignore_index is None else f", and {self.ignore_index} for ignored pixels"
            repair = hint or self._repair(np.flatnonzero(_present(classes)).tolist())
            raise InputError(
                f"{shown(file)}: holds class {illegal[0]}; legal are 0 to {self.n_classes - 1}{ignored}; {repair}"
            )

    def _repair(self, present: list[int]) -> str:
        if 255 in present and len(present) == 2:
            return "a two-class mask holds 0 and 1, not 0 and 255"
        if 255 in present and self.ignore_index is None:
            return "if 255 marks pixels without a class, set ignore_index: 255"
        return "correct the mask or the number of classes"


def read_classes(file: Path, pictures: Pictures, legal: LegalClasses) -> Classes:
    """The class of every pixel of a mask file, ``(H, W)`` uint8, upright.

    Raises:
        InputError: naming a file that cannot be read, is no mask, holds an illegal class, or can be read in two ways.
    """
    picture = open_picture(file, pictures)
    _check_kind(file, picture, pictures)
    pixels = picture.pixels
    if pixels.mode == "P":
        return _of_palette(file, pixels, pictures, legal)
    if picture.bits < 8:
        return _of_low_bits(file, picture, pictures, legal)
    classes = np.asarray(pixels.getchannel("L") if pixels.mode == "LA" else pixels, np.uint8)
    legal.check(file, classes)
    return classes


def _check_kind(file: Path, picture: Picture, pictures: Pictures) -> None:
    pixels = picture.pixels
    if picture.format != "PNG":
        raise InputError(f"{shown(file)}: is a {picture.format} file by its content, and masks are PNG; {_AS_PNG}")
    if picture.bits > 8:
        raise InputError(f"{shown(file)}: holds more than 8 bits a pixel; {_AS_PNG}")
    if pixels.mode not in ("1", "L", "LA", "P"):
        raise InputError(
            f"{shown(file)}: is a colour picture ({pixels.mode}); map its colours to class indices and save it as "
            "8-bit grey or palette PNG"
        )
    if pictures.extra == "refuse" and is_transparent(pixels):
        raise InputError(
            f"{shown(file)}: has transparent pixels, and a class has no transparency; {_AS_PNG}, or set "
            "data.pictures.extra: drop to read the classes alone"
        )


def _of_palette(file: Path, pixels: Image.Image, pictures: Pictures, legal: LegalClasses) -> Classes:
    indices = np.asarray(pixels, np.uint8)
    levels = None if pictures.grey_palette == "index" else _grey_levels(pixels)
    if levels is None:
        legal.check(file, indices)
        return indices
    classes = levels[indices]
    if not legal.illegal(indices):
        if pictures.grey_palette == "refuse" and not legal.illegal(classes):
            _check_no_ramp(file, indices, classes, levels)
        hint = "if its palette's entries are, set data.pictures.grey_palette: index"
        legal.check(file, classes, f"its palette is grey, whose levels are the classes; {hint}")
    legal.check(file, classes)
    return classes


def _grey_levels(pixels: Image.Image) -> Classes | None:
    """The levels that a palette shows, one for each entry; None where an entry is a colour."""
    entries = np.array(pixels.getpalette("RGB"), np.uint8).reshape(-1, 3)
    # Pixels behind the palette's end are black.
    levels = np.zeros(256, np.uint8)
    levels[: len(entries)] = entries[:, 0]
    return levels if (entries == entries[:, :1]).all() else None


def _check_no_ramp(file: Path, indices: Classes, classes: Classes, levels: Classes) -> None:
    """Refuse an even ramp from black to white, such as those two alone: people paint classes with it by number."""
    last = int(levels.argmax())
    ramp = np.round(np.linspace(0, 255, last + 1)).astype(np.uint8)
    if last and np.array_equal(levels[: last + 1], ramp) and not np.array_equal(indices, classes):
        both = f"both the entries' numbers (to {indices.max()}) and levels (to {classes.max()})"
        raise InputError(
            f"{shown(file)}: has a palette from black to white, of which {both} are legal classes; set "
            "data.pictures.grey_palette: index or level"
        )


def _of_low_bits(file: Path, picture: Picture, pictures: Pictures, legal: LegalClasses) -> Classes:
    step = 255 // (2**picture.bits - 1)
    pixels = np.asarray(picture.pixels, np.uint8)
    # Pillow gives the numbers of one bit, and the levels of two and four.
    samples = pixels if picture.bits == 1 else pixels // step
    levels = samples * np.uint8(step)
    rule = pictures.low_bits
    if rule == "pillow":
        rule = "sample" if picture.bits == 1 else "level"
    if rule == "refuse":
        rule = _only_legal(file, picture.bits, samples, levels, legal)
    other = "level" if rule == "sample" else "sample"
    hint = f"it is grey with {picture.bits} bits a pixel: save it with 8, or set data.pictures.low_bits: {other}"
    classes = samples if rule == "sample" else levels
    legal.check(file, classes, hint)
    return classes


def _only_legal(
    file: Path, bits: int, samples: Classes, levels: Classes, legal: LegalClasses
) -> Literal["sample", "level"]:
    """The one reading whose classes are legal; where there is nothing but class 0, both are the same."""
    if legal.illegal(levels) or not samples.any():
        return "sample"
    if legal.illegal(samples):
        return "level"
    numbers = f"{bits} bits a pixel, and its numbers (to {samples.max()}) and levels (to {levels.max()})"
    raise InputError(
        f"{shown(file)}: is grey with {numbers} are both legal classes; set data.pictures.low_bits: sample or level"
    )


def _present(classes: Classes) -> NDArray[np.bool_]:
    # Pillow counts in place; numpy would take eight bytes a pixel.
    return np.array(Image.fromarray(classes).histogram()) > 0


def read_mask(file: Path, pictures: Pictures, legal: LegalClasses, table: MaskTable | None) -> Classes:
    """The class of every pixel of a mask file, ``(H, W)`` uint8, upright, whatever stands for it in the file.

    Args:
        file: PNG, TIFF or ``.npy``.
        pictures: how picture files are read.
        legal: the classes.
        table: what stands for them; None where their numbers do.

    Raises:
        InputError: naming a file that cannot be read, or holds what stands for no class.
    """
    if table is not None and table.colours is not None:
        return _of_colours(file, pictures, table)
    if table is not None:
        legal = LegalClasses(legal.n_classes, values=tuple(table.classes), words=table.legal)
    if not is_array_file(file) and not _is_deep(file):
        classes = read_classes(file, pictures, legal)
        return classes if table is None else _looked_up(file, classes.astype(np.int64), table.classes)
    numbers = _one_number_a_pixel(file, read_numbers(file, pictures))
    if table is not None:
        return _looked_up(file, numbers, table.classes, table.legal)
    identity = {number: number for number in range(legal.n_classes)}
    if legal.ignore_index is not None:
        identity[legal.ignore_index] = legal.ignore_index
    return _looked_up(file, numbers, identity, f"legal are 0 to {legal.n_classes - 1}")


def _is_deep(file: Path) -> bool:
    check_file(file)
    with file.open("rb") as stream:
        start = stream.read(25)
    return start[:8] == b"\x89PNG\r\n\x1a\n" and len(start) == 25 and start[24] == 16


def _one_number_a_pixel(file: Path, numbers: NDArray[Any]) -> NDArray[np.int64]:
    if numbers.ndim == 3 and 1 in (numbers.shape[0], numbers.shape[2]):
        numbers = numbers[0] if numbers.shape[0] == 1 else numbers[..., 0]
    if numbers.ndim != 2 or numbers.dtype.kind not in "biu":
        shape = " x ".join(map(str, numbers.shape))
        raise InputError(f"{shown(file)}: holds {shape} of {numbers.dtype}; a mask has one whole number a pixel")
    return numbers.astype(np.int64)


def _looked_up(file: Path, numbers: NDArray[np.int64], classes: Mapping[int, int], legal: str | None = None) -> Classes:
    """The class of every number."""
    present, places, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    for number, count in zip(present.tolist(), counts.tolist(), strict=True):
        if number not in classes:
            raise InputError(_not_in_table(file, number, count, legal))
    return np.array([classes[number] for number in present.tolist()], np.uint8)[places].reshape(numbers.shape)


def _not_in_table(file: Path, number: int, count: int, hint: str | None = None) -> str:
    repair = hint or "it is not in data.values; add it there, or to data.ignore_values"
    return f"{shown(file)}: holds the value {number} at {count} pixels; {repair}"


def _of_colours(file: Path, pictures: Pictures, table: MaskTable) -> Classes:
    colours = read_numbers(file, pictures) if is_array_file(file) else np.array(_lossless(file, pictures))
    if colours.ndim == 3 and colours.shape[2] != 3 and colours.shape[0] == 3:
        colours = np.moveaxis(colours, 0, -1)
    if colours.ndim != 3 or colours.shape[2] != 3 or colours.dtype != np.uint8:
        shape = " x ".join(map(str, colours.shape))
        raise InputError(f"{shown(file)}: holds {shape} of {colours.dtype}; a colour mask has three bytes a pixel")
    codes = colours.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    classes = table.classes
    present, counts = np.unique(codes, return_counts=True)
    unknown = [at for at, code in enumerate(present.tolist()) if code not in classes]
    if unknown:
        code, others = int(present[unknown[0]]), len(unknown) - 1
        colour = [code >> 16, code >> 8 & 255, code & 255]
        more = f", and {others} more colours at {int(counts[unknown[1:]].sum())} pixels," if others else ""
        raise InputError(
            f"{shown(file)}: holds the colour {colour} at {int(counts[unknown[0]])} pixels{more} not in data.colors; "
            "add it there, or to data.ignore_colors"
        )
    return _looked_up(file, codes, classes)


def _lossless(file: Path, pictures: Pictures) -> Image.Image:
    picture = open_picture(file, pictures)
    if picture.format not in ("PNG", "BMP"):
        raise InputError(f"{shown(file)}: is a {picture.format} file, which keeps no exact colours; save it as PNG")
    return read_rgb(file, pictures)
