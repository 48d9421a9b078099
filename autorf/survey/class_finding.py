"""Which values or colours of masks are the classes, which no class, and which are strays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autorf.data.mask_table import IGNORED
from autorf.data.names import shown
from autorf.errors import InputError
from autorf.survey.class_table import ClassTable, is_no_class
from autorf.survey.mask_contents import Rgb, Tally, colour_of, shown_code

MOST_CLASSES = 255
_MOST_COLOURS = 64
"""Colours without a table beyond which they are no classes but smooth edges or photographs."""

_STRAY_SHARE = 1e-4
"""Of all pixels: what is less, and in one mask alone, is no class."""

_ENOUGH_MASKS = 10
"""Masks from which on a value that only one of them holds is told from a class."""


@dataclass(frozen=True)
class Classes:
    """What masks hold, as a study file says it.

    Attributes:
        keys: of ``data``: ``classes``, and ``ignore_index``, or ``values`` or ``colors`` with what they leave out.
        names: of the classes, class 0 first.
        basis: where names and numbers are from, in words.
        strays: values or colours that are no class and left out, or whose files are.
        absent: classes that no mask holds.
        colours: of the classes, where the masks or a table have some.
    """

    keys: dict[str, Any]
    names: tuple[str, ...]
    basis: str
    strays: tuple[int, ...] = ()
    absent: tuple[str, ...] = ()
    colours: dict[int, Rgb] = field(default_factory=dict)


def find_classes(whole: Tally, tables: Sequence[ClassTable], n_masks: int) -> Classes:
    """The classes of masks.

    Args:
        whole: what the masks hold.
        tables: of names, the likelier first.
        n_masks: how many masks there are.

    Raises:
        InputError: where there is one class only, or more values or colours than classes can be.
    """
    if whole.kind == "colours":
        return _of_colours(whole, next((table for table in tables if table.colours), None))
    return _of_values(whole, tables, n_masks)


def _of_colours(whole: Tally, table: ClassTable | None) -> Classes:
    if table is not None and whole.pixels.keys() & table.colours.keys():
        names = {code: name for code, name in table.colours.items() if not is_no_class(name)}
        no_class = [code for code, name in table.colours.items() if is_no_class(name)]
        basis = f"names and colours are those of {table.file.name}"
    else:
        names = {code: f"colour_{code:06x}" for code in sorted(whole.pixels)}
        no_class, basis = [], "the colours that masks hold; call the classes what they are"
        _check_few(whole, names)
    strays = tuple(code for code in sorted(whole.pixels) if code not in names and code not in no_class)
    if len(strays) > _MOST_COLOURS:
        first = strays[0]
        raise InputError(
            f"{shown(whole.first[first])}: holds the colour {shown_code(first, 'colours')} at {whole.pixels[first]} "
            f"pixels, and masks {len(strays) - 1} more that are not in {table.file.name if table else 'a table'}; "
            "save masks without smooth edges, or complete the table"
        )
    _check_two(whole, names)
    keys: dict[str, Any] = {"classes": list(names.values())}
    keys["colors"] = {name: list(colour_of(code)) for code, name in names.items()}
    left_out = [*no_class, *strays]
    if left_out:
        keys["ignore_colors"] = [list(colour_of(code)) for code in left_out]
    absent = tuple(name for code, name in names.items() if code not in whole.pixels)
    colours = {number: colour_of(code) for number, code in enumerate(names)}
    return Classes(keys, tuple(names.values()), basis, strays, absent, colours)


def _check_few(whole: Tally, names: Mapping[int, str]) -> None:
    if len(names) > _MOST_COLOURS:
        rarest = min(whole.pixels, key=lambda code: whole.pixels[code])
        raise InputError(
            f"{shown(whole.first[rarest], 110)}: holds the colour {shown_code(rarest, 'colours')} at "
            f"{whole.pixels[rarest]} pixels, one of {len(names)} in all masks: too many for classes; put a "
            "class_dict.csv of name,red,green,blue in the folder, or save masks without smooth edges"
        )


def _of_values(whole: Tally, tables: Sequence[ClassTable], n_masks: int) -> Classes:
    strays = _strays(whole, n_masks)
    values = [value for value in sorted(whole.pixels) if value not in strays]
    if set(values) == {0, IGNORED}:
        keys: dict[str, Any] = {"classes": ["background", "foreground"]}
        keys["values"] = {"background": 0, "foreground": IGNORED}
        return Classes(keys, ("background", "foreground"), "masks hold 0 and 255", strays)
    ignored = IGNORED in values
    classes = [value for value in values if value != IGNORED]
    _check_two(whole, dict.fromkeys(classes, ""))
    if len(classes) > MOST_CLASSES:
        raise InputError(
            f"{shown(whole.first[classes[-1]])}: holds the value {classes[-1]}, and the masks {len(classes)} different "
            f"ones: classes are at most {MOST_CLASSES}; these may be masks of single objects"
        )
    largest = classes[-1]
    # Numbers from 0 with few gaps are classes of which this folder lacks some; others are ids.
    if classes[0] == 0 and largest < MOST_CLASSES and len(classes) > (largest + 1) / 2:
        return _of_numbers(whole, largest + 1, tables, strays, ignored=ignored)
    names = {value: f"value_{value}".replace("-", "minus_") for value in classes}
    keys = {"classes": list(names.values()), "values": {name: value for value, name in names.items()}}
    if ignored:
        keys["ignore_values"] = [IGNORED]
    return Classes(keys, tuple(names.values()), "the values that masks hold; call the classes what they are", strays)


def _of_numbers(
    whole: Tally, n_classes: int, tables: Sequence[ClassTable], strays: tuple[int, ...], *, ignored: bool
) -> Classes:
    table = next((table for table in tables if len(table.names) == n_classes), None)
    names = tuple(map(str, range(n_classes))) if table is None else table.names
    keys: dict[str, Any] = {"classes": n_classes if table is None else list(names)}
    if ignored:
        keys["ignore_index"] = IGNORED
    basis = "numbers of the masks; a list of names may stand here" if table is None else f"names of {table.file.name}"
    absent = tuple(names[number] for number in range(n_classes) if number not in whole.pixels)
    return Classes(keys, names, basis, strays, absent, _palette_colours(whole, n_classes))


def _palette_colours(whole: Tally, n_classes: int) -> dict[int, Rgb]:
    """The colours of a palette, where classes have different ones."""
    colours = {number: whole.palette[number] for number in range(n_classes) if number in whole.palette}
    return colours if len(set(colours.values())) == len(colours) > 1 else {}


def _strays(whole: Tally, n_masks: int) -> tuple[int, ...]:
    """Values apart from the others that one mask alone holds, at next to no pixels."""
    if n_masks < _ENOUGH_MASKS:
        return ()
    total = sum(whole.pixels.values())
    return tuple(
        value
        for value in sorted(whole.pixels)
        if whole.masks[value] == 1
        and value != IGNORED
        and value - 1 not in whole.pixels
        and whole.pixels[value] < _STRAY_SHARE * total
    )


def _check_two(whole: Tally, classes: Mapping[int, str]) -> None:
    if len(classes) < 2:
        code = next(iter(whole.pixels))
        what = "value" if whole.kind == "values" else "colour"
        raise InputError(
            f"{shown(whole.first[code])}: as all masks holds no class but the {what} "
            f"{shown_code(code, whole.kind)}; there are two classes at least: correct the masks"
        )
