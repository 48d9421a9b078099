"""The table of operator rules: how each operator of a captured graph moves the hulls of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from autorf.fields.hull import Field


@dataclass(frozen=True)
class Call:
    """One operator call of a captured graph.

    ``arguments`` are named as in the operator's schema, defaults filled in, with a :class:`Field` for every tensor.
    ``shapes`` are the outputs' shapes; ``shape`` the first one's.
    """

    operator: str
    arguments: dict[str, Any]
    shapes: tuple[tuple[int, ...], ...]

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first output."""
        return self.shapes[0]

    @property
    def fields(self) -> list[Field]:
        """Every tensor argument's field, those inside lists included."""
        fields: list[Field] = []
        for value in self.arguments.values():
            members = value if isinstance(value, (list, tuple)) else [value]
            fields.extend(member for member in members if isinstance(member, Field))
        return fields


Result = Field | list[Field]
Rule = Callable[[Call], Result]

RULES: dict[str, Rule] = {}
"""Rules by operator name without overload, such as ``"aten.conv2d"``; in-place forms share the rule of their twin."""

GEOMETRIC: set[str] = set()
"""Operators that make a row of the layer table: they change size, stride or field."""


class NoRule(Exception):  # noqa: N818
    """The rule knows its operator but not with these arguments; the message says which."""


def rule(*names: str, geometric: bool = False) -> Callable[[Rule], Rule]:
    """Register a function as the rule of operators, named with their namespace or, for short, within ``aten``."""

    def register(function: Rule) -> Rule:
        for name in names:
            full = name if "." in name else f"aten.{name}"
            assert full not in RULES, full
            RULES[full] = function
            if geometric:
                GEOMETRIC.add(full)
        return function

    return register


def pair(value: int | Sequence[int], n: int = 2) -> tuple[int, ...]:
    """One number for all of ``n`` axes, or one each."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * n if len(values) == 1 else values
