"""What stands for the classes in masks that do not hold their numbers. Light to import, without torch."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

from autorf.specification import Specification, WholeNumber

IGNORED = 255
"""What pixels become that loss and metrics leave out."""

Level = Annotated[WholeNumber, Field(ge=0, le=255)]
MaskValue = Annotated[WholeNumber, Field(ge=-(2**31), lt=2**31)]
Rgb = tuple[Level, Level, Level]


def _pairs(value: object) -> object:
    """A mapping as pairs: data sets are compared and hashed."""
    return tuple(value.items()) if isinstance(value, Mapping) else value


def _mapping(pairs: tuple[tuple[str, Any], ...] | None) -> dict[str, Any] | None:
    return None if pairs is None else {name: list(v) if isinstance(v, tuple) else v for name, v in pairs}


_AS_MAPPING = PlainSerializer(_mapping, return_type=dict[str, Any] | None)

Values = Annotated[tuple[tuple[str, MaskValue], ...] | None, BeforeValidator(_pairs), _AS_MAPPING]
"""``{road: 7, car: 26}``: the mask value of every class."""

Colours = Annotated[tuple[tuple[str, Rgb], ...] | None, BeforeValidator(_pairs), _AS_MAPPING]
"""``{road: [128, 64, 128]}``: red, green and blue of every class."""


class MaskTable(Specification):
    """The values or colours of classes in masks, those of class 0 first, and of pixels that are left out.

    Attributes:
        values: of the classes; None for a table of colours.
        colours: of the classes; None for a table of values.
        ignored_values: of pixels without a class.
        ignored_colours: of pixels without a class.
        legal: the values in words, for messages; None for a table that a study file gives.
    """

    values: tuple[MaskValue, ...] | None = None
    colours: tuple[Rgb, ...] | None = None
    ignored_values: tuple[MaskValue, ...] = ()
    ignored_colours: tuple[Rgb, ...] = ()
    legal: str | None = None

    @property
    def classes(self) -> dict[int, int]:
        """The class that each value, or each colour as one number, stands for; :data:`IGNORED` for none."""
        if self.colours is not None:
            keys, ignored = [code_of(c) for c in self.colours], [code_of(c) for c in self.ignored_colours]
        else:
            keys, ignored = list(self.values or ()), list(self.ignored_values)
        return {key: number for number, key in enumerate(keys)} | dict.fromkeys(ignored, IGNORED)


def code_of(colour: Rgb) -> int:
    """A colour as one number.

    >>> code_of((1, 0, 2))
    65538
    """
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def ordered(pairs: tuple[tuple[str, Any], ...], class_names: tuple[str, ...], key: str) -> tuple[Any, ...]:
    """The values of a table in the classes' order.

    Raises:
        ValueError: where the names are not those of the classes, or two classes have one value.
    """
    table = dict(pairs)
    missing = [name for name in class_names if name not in table]
    unknown = [name for name in table if name not in class_names]
    if missing or unknown:
        fault = f"names {unknown[0]!r}, which classes does not" if unknown else f"lacks the class {missing[0]!r}"
        raise ValueError(f"{key}: {fault}; it has an entry for each of the {len(class_names)} classes")
    if len(set(table.values())) < len(table):
        raise ValueError(f"{key}: two classes have the same entry; each has its own")
    return tuple(table[name] for name in class_names)
