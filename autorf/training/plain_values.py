"""Reports as the plain values that the storage holds, and back: what is no number never gets there."""

from collections.abc import Mapping
from math import isfinite
from typing import Any


class DamagedError(ValueError):
    """What was stored is not what a trial reports."""


def written(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` without those that are None, or a number that is not finite; inside lists and mappings None."""
    plain = {name: finite(value) for name, value in values.items()}
    return {name: value for name, value in plain.items() if value is not None}


def finite(value: Any) -> Any:
    """The same with None for every number that is not finite, which JSON and databases cannot hold."""
    if isinstance(value, Mapping):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value


_NUMBERS = (float, int)


def mapping(stored: object) -> dict[str, Any]:
    """``stored`` itself.

    Raises:
        DamagedError: where it holds no names and values.
    """
    if not isinstance(stored, dict):
        raise DamagedError(f"{str(stored)[:40]!r} holds no names and values")
    return stored


def is_number(value: object) -> bool:
    """Of JSON's own types, and no bool."""
    return type(value) in _NUMBERS


def number(values: Mapping[str, Any], name: str) -> float | None:
    """The value of that name; None where it is missing or not finite, as an earlier version may have stored it.

    Raises:
        DamagedError: for anything else.
    """
    value: float | None = values.get(name)
    if value is None:
        return None
    if not is_number(value):
        raise DamagedError(f"{name} is {value!r}, no number")
    return value if isfinite(value) else None


def whole(values: Mapping[str, Any], name: str) -> int:
    """The value of that name.

    Raises:
        DamagedError: where it is no whole number from 0.
    """
    value = values.get(name)
    if type(value) is not int or value < 0:
        raise DamagedError(f"{name} is {'missing' if value is None else f'{value!r}, no whole number'}")
    return value


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Those of ``values`` that are finite numbers; a newer version may have written more."""
    # Written out: a large study has tens of thousands of these.
    return {name: value for name, value in values.items() if type(value) in _NUMBERS and isfinite(value)}


def per_class(values: Mapping[str, Any], name: str) -> dict[str, float | None]:
    """Values by class name."""
    classes = mapping(values.get(name) or {})
    return {
        label: value if type(value) is float and isfinite(value) else number(classes, label)
        for label, value in classes.items()
    }
