"""What mask files hold, before anybody says what stands for the classes: how many pixels of which value or colour."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autorf.data.arrays import is_array_file, read_numbers
from autorf.data.image_files import read_rgb
from autorf.data.mask_files import LegalClasses, read_classes
from autorf.data.names import shown
from autorf.data.opening import open_picture
from autorf.data.picture_spec import Pictures
from autorf.errors import InputError

Rgb = tuple[int, int, int]
Kind = Literal["values", "colours"]

LENIENT = Pictures(extra="drop", frame=0, grey_palette="level", low_bits="sample")
"""For files that are looked at: what they say of themselves that a study would refuse is told in other words."""

_MOST_CODES = 2000
"""Different values of one mask beyond which it is no mask of classes."""


@dataclass(frozen=True)
class MaskContents:
    """What one mask file holds.

    Attributes:
        file: the mask.
        size: height and width in pixels.
        kind: whether its pixels are whole numbers or colours.
        counts: pixels by value, colours as one number (:func:`autorf.data.mask_table.code_of`).
        palette: the colour of each value, of a file that shows its values in colours.
    """

    file: Path
    size: tuple[int, int]
    kind: Kind
    counts: dict[int, int]
    palette: dict[int, Rgb] = field(default_factory=dict)


def mask_contents(file: Path) -> MaskContents:
    """Read one mask.

    Raises:
        InputError: naming a file that cannot be read, or is no mask: lossy, of fractions, or with too many values.
    """
    if is_array_file(file):
        return _of_array(file, read_numbers(file, LENIENT))
    picture = open_picture(file, LENIENT)
    if picture.format not in ("PNG", "BMP"):
        raise InputError(f"{shown(file)}: is a {picture.format} file, which keeps no exact classes; save it as PNG")
    mode = picture.pixels.mode
    if mode in ("RGB", "RGBA"):
        return _of_array(file, np.array(read_rgb(file, LENIENT)))
    if picture.bits > 8:
        return _of_array(file, read_numbers(file, LENIENT))
    # All 256 values are legal here: this is how a palette or few bits are read, whatever the classes are.
    values = read_classes(file, LENIENT, LegalClasses(256))
    palette = picture.pixels.getpalette("RGB") if mode == "P" else None
    return _counted(file, values, "values", _coloured_palette(palette))


def _of_array(file: Path, numbers: NDArray[Any]) -> MaskContents:
    if numbers.ndim == 3 and 1 in (numbers.shape[0], numbers.shape[2]):
        numbers = numbers[0] if numbers.shape[0] == 1 else numbers[..., 0]
    if numbers.ndim == 3 and numbers.shape[2] != 3 and numbers.shape[0] == 3:
        numbers = np.moveaxis(numbers, 0, -1)
    if numbers.ndim == 3 and numbers.shape[2] == 3 and numbers.dtype == np.uint8:
        return _counted(file, numbers.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1]), "colours", {})
    if numbers.ndim != 2 or numbers.dtype.kind not in "biu":
        shape = " x ".join(map(str, numbers.shape))
        raise InputError(f"{shown(file)}: holds {shape} of {numbers.dtype}; a mask has one whole number a pixel")
    return _counted(file, numbers.astype(np.uint8) if numbers.dtype == bool else numbers, "values", {})


def _counted(file: Path, codes: NDArray[Any], kind: Kind, palette: dict[int, Rgb]) -> MaskContents:
    if codes.dtype == np.uint8:
        # A table of 256 numbers is filled many times faster than pixels are sorted.
        totals = np.bincount(codes.ravel(), minlength=256)
        present, counts = np.flatnonzero(totals), totals[totals > 0]
    else:
        present, counts = np.unique(codes, return_counts=True)
    if len(present) > _MOST_CODES:
        raise InputError(
            f"{shown(file)}: holds {len(present)} different {kind}, such as {shown_code(int(present[1]), kind)} at "
            f"{int(counts[1])} pixels: it is no mask of classes; give masks with one value or colour a class"
        )
    height, width = codes.shape
    pixels = dict(zip(present.tolist(), counts.tolist(), strict=True))
    return MaskContents(
        file, (height, width), kind, pixels, {code: palette[code] for code in pixels if code in palette}
    )


def _coloured_palette(palette: Sequence[int] | None) -> dict[int, Rgb]:
    """The colours of a palette's entries; none where all are grey, for then the levels are the values."""
    colours: list[Rgb] = []
    for at in range(0, len(palette or ()) - 2, 3):
        assert palette is not None
        colours.append((palette[at], palette[at + 1], palette[at + 2]))
    return {} if all(r == g == b for r, g, b in colours) else dict(enumerate(colours))


def colour_of(code: int) -> Rgb:
    """The colour that is one number.

    >>> colour_of(65538)
    (1, 0, 2)
    """
    return code >> 16, code >> 8 & 255, code & 255


def shown_code(code: int, kind: Kind) -> str:
    """A value or colour for a message."""
    return str(code) if kind == "values" else str(list(colour_of(code)))


@dataclass
class Tally:
    """The masks of a data set together.

    Attributes:
        kind: of all of them.
        pixels: by value or colour.
        masks: how many hold it.
        first: the first that does.
        palette: the colours in which files show their values.
    """

    kind: Kind
    pixels: Counter[int]
    masks: Counter[int]
    first: dict[int, Path]
    palette: dict[int, Rgb]


def tally(contents: Sequence[MaskContents]) -> Tally:
    """The masks of a data set together.

    Raises:
        InputError: where some are colours and some numbers, naming one of each.
    """
    kinds = {kind: [each for each in contents if each.kind == kind] for kind in ("values", "colours")}
    if all(kinds.values()):
        colours, values = kinds["colours"], kinds["values"]
        raise InputError(
            f"{shown(colours[0].file, 80)}: is a colour mask and {shown(values[0].file, 80)} one of numbers "
            f"({len(colours)} and {len(values)}); masks are of one kind: convert the others"
        )
    whole = Tally(contents[0].kind, Counter(), Counter(), {}, {})
    for each in contents:
        whole.pixels.update(each.counts)
        whole.masks.update(each.counts.keys())
        for code in each.counts:
            whole.first.setdefault(code, each.file)
        for code, colour in each.palette.items():
            whole.palette.setdefault(code, colour)
    return whole
