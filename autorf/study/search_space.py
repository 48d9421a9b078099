"""A search space: a method, and for each of its fields a value, choices or a range."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Annotated, Any, get_args, get_origin

from pydantic import Field

from autorf.errors import InputError, near_names
from autorf.methods import METHODS, Method
from autorf.methods.base import LayerMethod
from autorf.specification import PositiveFloat, Specification, parse
from autorf.study.builtin import locate
from autorf.study.spec import read_yaml


class Range(Specification):
    """Evenly spaced values from ``low`` to ``high``.

    Attributes:
        low: the first value.
        high: the last value, at least ``low``.
        step: the distance between values; a grid needs it.
    """

    low: float
    high: float
    step: Annotated[PositiveFloat, Field(gt=0)]

    def choices(self) -> list[float]:
        """The values; whole numbers where all of ``low`` and ``step`` are."""
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        values = [self.low + self.step * index for index in range(max(count, 0))]
        whole = self.low.is_integer() and self.step.is_integer()
        return [int(value) for value in values] if whole else [round(value, 10) for value in values]


def read_spaces(entries: Sequence[str | Mapping[str, Any]], source: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Every entry of ``search_space:`` as its source and its plain values.

    Raises:
        InputError: for a file or built-in name that does not exist.
    """
    spaces: list[tuple[str, Mapping[str, Any]]] = []
    for index, entry in enumerate(entries):
        if isinstance(entry, str):
            path = locate("search_spaces", entry, field=f"{source}: search_space.{index}")
            spaces.append((str(path), read_yaml(path)))
        else:
            spaces.append((f"{source}: search_space.{index}", entry))
    return spaces


def configurations(space: Mapping[str, Any], source: str) -> list[Method]:
    """Every combination of a space's choices, each validated as a method.

    Raises:
        InputError: naming the source, the field and the value, for an unknown method or field, an empty list of
            choices, a repeated combination, or a value the method does not allow.
    """
    kind = _method_class(space, source)
    axes = {name: _choices(kind, name, value, source) for name, value in space.items() if name != "method"}
    combinations = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    found = [parse(kind, {"method": space["method"], **values}, source) for values in combinations]
    repeated = [method for index, method in enumerate(found) if method in found[:index]]
    if repeated:
        raise InputError(f"{source}: {settings(repeated[0])} occurs twice; give every choice once")
    return found


def settings(method: Method) -> dict[str, Any]:
    """The fields of ``method`` that differ from its defaults, without its name and targets: what a table shows."""
    hidden = {"method", "targets"} if isinstance(method, LayerMethod) else {"method", "start", "end"}
    return method.model_dump(mode="json", exclude_defaults=True, exclude=hidden)


def _method_class(space: Mapping[str, Any], source: str) -> type[Method]:
    name = space.get("method")
    if name not in METHODS:
        near = near_names(str(name), METHODS)
        raise InputError(f"{source}: method: unknown method {name!r}{near}; one of {', '.join(METHODS)}")
    return METHODS[str(name)]


def _choices(kind: type[Method], name: str, value: Any, source: str) -> list[Any]:
    if isinstance(value, Mapping):
        return parse(Range, value, f"{source}: {name} (a range)").choices()
    field = kind.model_fields.get(name)
    takes_list = field is not None and _takes_list(field.annotation)
    if not isinstance(value, list) or (takes_list and not any(isinstance(item, list) for item in value)):
        return [value]
    if not value:
        raise InputError(f"{source}: {name}: the grid is empty; list at least one value")
    return value


def _takes_list(annotation: Any) -> bool:
    if get_origin(annotation) is tuple:
        return True
    return any(_takes_list(inner) for inner in get_args(annotation))
