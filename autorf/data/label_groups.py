"""Label groups and classes left out of the means, as a study file writes them and as scores need them."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from autorf.errors import InputError, near_names
from autorf.specification import ClassNumber

Members = tuple[str | ClassNumber, ...]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


Pairs = tuple[tuple[str, Members], ...]


def _pairs(value: object) -> object:
    """A mapping as pairs: data sets are compared and hashed. No group is None."""
    return (tuple(value.items()) or None) if isinstance(value, Mapping) else value


def _mapping(pairs: Pairs | None) -> dict[str, list[str | int]] | None:
    return None if pairs is None else {name: list(members) for name, members in pairs}


Groups = Annotated[
    Pairs | None,
    BeforeValidator(_pairs),
    PlainSerializer(_mapping, return_type=dict[str, list[str | int]] | None),
]
"""``{eyes: [left eye, right eye], overall: [2, 3, 4]}``: the classes of every group, by name or number."""


def numbered(members: Sequence[str | int], class_names: Sequence[str], place: str) -> tuple[int, ...]:
    """Classes by their number.

    Raises:
        ValueError: naming the place, a member that is no class, and near names.
    """
    return tuple(_number(member, class_names, place) for member in members)


def _number(member: str | int, class_names: Sequence[str], place: str) -> int:
    if isinstance(member, str):
        if member in class_names:
            return list(class_names).index(member)
        raise ValueError(f"{place}: names no class {member!r}{near_names(member, class_names)}")
    if not 0 <= member < len(class_names):
        raise ValueError(f"{place}: names no class {member}; legal are 0 to {len(class_names) - 1}")
    return member


def check_labels(
    class_names: Sequence[str], groups: Mapping[str, Sequence[int]] | None, left_out: Sequence[int]
) -> None:
    """Check what a data set says of its classes.

    Raises:
        InputError: for a group without a class or with an unknown one, a name that no objective could have, or means
            that would be over no class.
    """
    try:
        for name, members in (groups or {}).items():
            check_group(name, members)
            numbered(members, class_names, f"groups.{name}")
        numbered(left_out, class_names, "left_out")
    except ValueError as error:
        raise InputError(f"data: {error}") from None
    if len(set(left_out)) >= len(class_names):
        raise InputError("data: left_out: names every class, so that the means would be over none; keep one")


def check_group(name: str, members: Sequence[Any]) -> None:
    """Raise ``ValueError`` for a group that is empty, or whose name cannot be an objective's."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"groups: {name[:60]!r} is no name of a group: letters, digits and '_', a letter first, at most 40"
        )
    if not members:
        raise ValueError(f"groups.{name}: holds no class; list one or more of the data set's classes")
