"""A search space: a method, and for each of its fields, or of the study file's keys, a value, choices or a range."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, Self, get_args, get_origin

from pydantic import ValidationError, model_validator

from autorf.errors import InputError, shown, shown_place
from autorf.losses import LossSpec
from autorf.methods import METHODS, Method
from autorf.specification import Number, PositiveFloat, Specification, parse
from autorf.study.builtin import locate
from autorf.study.defaults import Defaults
from autorf.study.plain_yaml import read_yaml
from autorf.study.settings import IMAGE_SIZE, LOSS, axis_annotation, differing, is_setting
from autorf.study.spec import StudySpec

MOST_CONFIGURATIONS = 10_000
"""Of a space that is listed whole."""


class Range(Specification):
    """Values from ``low`` to ``high``.

    Attributes:
        low: the smallest value.
        high: the largest value, at least ``low``.
        step: the distance between values; a grid needs it. None: every value (every whole one of a whole-number field).
        log: draw evenly in the logarithm; needs ``low`` > 0 and no step.
    """

    low: Number
    high: Number
    step: PositiveFloat | None = None
    log: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} must not exceed high {self.high:g}")
        if self.step is not None and (self.high - self.low) / self.step >= MOST_CONFIGURATIONS:
            raise ValueError(f"a step of {self.step:g} makes more than {MOST_CONFIGURATIONS} values; give a larger one")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs low > 0 and no step")
        return self

    def choices(self) -> list[float]:
        """The values of a range with a step; whole numbers where all of ``low`` and ``step`` are."""
        assert self.step is not None
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        values = [self.low + self.step * index for index in range(count)]
        whole = self.low.is_integer() and self.step.is_integer()
        return [int(value) for value in values] if whole else [round(value, 10) for value in values]


@dataclass(frozen=True)
class Axis:
    """One field of a space: the choices it has, or the range it is drawn from.

    ``whole`` says whether a range holds whole numbers only.
    """

    name: str
    choices: tuple[Any, ...] = ()
    range: Range | None = None
    whole: bool = False

    def ends(self) -> tuple[Any, ...]:
        """Values to check before anything is drawn: every choice, or both ends of the range."""
        if self.range is None:
            return self.choices
        return tuple(int(end) if self.whole else end for end in (self.range.low, self.range.high))


@dataclass(frozen=True)
class Space:
    """One search space: a method's name, and its axes by name."""

    method: str
    axes: Mapping[str, Axis]
    source: str

    @property
    def finite(self) -> bool:
        """Whether the space can be listed whole."""
        return all(axis.range is None for axis in self.axes.values())

    def configurations(self) -> list[dict[str, Any]]:
        """Every combination of choices.

        Raises:
            InputError: for a range without a step, or a combination that occurs twice.
        """
        for axis in self.axes.values():
            if axis.range is not None:
                raise InputError(
                    f"{self.source}: {axis.name} (a range): a grid needs its step; add step, list the values, "
                    "or set search.sampler to random or tpe"
                )
        choices = [axis.choices for axis in self.axes.values()]
        count = math.prod(map(len, choices))
        if count > MOST_CONFIGURATIONS:
            raise InputError(
                f"{shown_place(self.source)}: {self.method}: {count:.3g} combinations; a grid lists at most "
                f"{MOST_CONFIGURATIONS}; list fewer values, or set search.sampler to random or tpe"
            )
        combinations = [
            {"method": self.method, **dict(zip(self.axes, values, strict=True))} for values in product(*choices)
        ]
        repeated = _repeated(combinations)
        if repeated:
            values = {name: value for name, value in repeated.items() if name != "method"}
            raise InputError(f"{self.source}: {values} occurs twice; give every choice once")
        return combinations


def _repeated(combinations: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The first combination that occurred before, or None."""
    seen: set[str] = set()
    for combination in combinations:
        # Choices may be lists, which cannot be hashed; a written 1.0 is 1.
        text = json.dumps({name: _whole(value) for name, value in combination.items()}, sort_keys=True)
        if text in seen:
            return combination
        seen.add(text)
    return None


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def read_spaces(
    entries: Sequence[str | Mapping[str, Any]],
    source: str,
    study: StudySpec | None = None,
    defaults: Defaults | None = None,
) -> list[Space]:
    """Every entry of ``search_space:``, checked field by field.

    Args:
        entries: built-in names, paths, or spaces written out.
        source: for messages.
        study: whose keys axes may name, and which their values must fit; None checks names alone.
        defaults: of the study's beginning, for fields that an entry leaves out.

    Raises:
        InputError: naming the source, the field and the value, for a file or built-in name that does not exist, an
            unknown method, field or key, an empty list of choices, or a value the field does not allow.
    """
    spaces: list[Space] = []
    for index, entry in enumerate(entries):
        if isinstance(entry, str):
            path = locate("search_spaces", entry, field=f"{source}: search_space.{index}")
            spaces.append(parse_space(read_yaml(path), str(path), study, defaults))
        else:
            spaces.append(parse_space(entry, f"{source}: search_space.{index}", study, defaults))
    return spaces


def parse_space(
    values: Mapping[str, Any], source: str, study: StudySpec | None = None, defaults: Defaults | None = None
) -> Space:
    """A space from plain values.

    Raises:
        InputError: see :func:`read_spaces`.
    """
    kind, method = _method_class(values, source), str(values["method"])
    axes = {name: _axis(kind, name, value, source, study) for name, value in values.items() if name != "method"}
    for name, value in (defaults or Defaults()).changed(method).items():
        axes.setdefault(name, Axis(name, (value,)))
    space = Space(method, axes, source)
    first = {name: axis.ends()[0] for name, axis in axes.items()}
    for name, axis in axes.items():
        for value in axis.ends():
            _check_values({"method": method, **first, name: value}, source, study)
    if not axes:
        _check_values({"method": method}, source, study)
    return space


def _check_values(configuration: Mapping[str, Any], source: str, study: StudySpec | None) -> None:
    _, settings = split(configuration, source)
    if study is not None:
        differing(study, settings, source)


def split(configuration: Mapping[str, Any], source: str) -> tuple[Method, dict[str, Any]]:
    """The method of a configuration, validated, and its dotted keys of the study file.

    Raises:
        InputError: naming the source, the field and the value.
    """
    kind = _method_class(configuration, source)
    method = parse(kind, {name: value for name, value in configuration.items() if not is_setting(name)}, source)
    return method, {name: value for name, value in configuration.items() if is_setting(name)}


def own_fields(method: Method) -> dict[str, Any]:
    """The fields of ``method`` that differ from its defaults, without its name and targets: what a table shows."""
    return method.model_dump(mode="json", exclude_defaults=True, exclude={"method", *method.place})


def _method_class(space: Mapping[str, Any], source: str) -> type[Method]:
    name = space.get("method")
    if not isinstance(name, str) or name not in METHODS:
        raise InputError(f"{source}: method: {METHODS.unknown(name)}")
    return METHODS[str(name)]


def _axis(kind: type[Method], name: str, value: Any, source: str, study: StudySpec | None) -> Axis:
    if "." in name:
        annotation = axis_annotation(name, source, study)
    else:
        field = kind.model_fields.get(name)
        annotation = None if field is None else field.annotation
    if isinstance(value, Mapping) and name != LOSS:
        return _range_axis(name, value, set(_leaves(annotation)), source)
    if name == IMAGE_SIZE:
        value = _sizes(value, source)
    if name == LOSS:
        value = [_written_loss(choice) for choice in (value if isinstance(value, list) else [value])]
    if not isinstance(value, list) or _is_one_value(annotation, value):
        return Axis(name, (value,))
    if not value:
        raise InputError(f"{source}: {name}: the grid is empty; list at least one value")
    return Axis(name, tuple(value))


def _written_loss(value: Any) -> Any:
    """A loss in its shortest form, as trials have it; what is none stays, to be told where it is checked."""
    try:
        return LossSpec.model_validate(value).written
    except ValidationError:
        return value


def _sizes(value: Any, source: str) -> Any:
    """Image sizes as an axis has them: a plain list of numbers means squares, but for two, which may be one size."""
    if not isinstance(value, list) or any(isinstance(item, list) for item in value):
        return value
    if not value:
        raise InputError(f"{source}: {IMAGE_SIZE}: the grid is empty; list at least one value")
    if len(value) == 2:
        first, second = value
        raise InputError(
            f"{source}: {IMAGE_SIZE}: {value} may be one size or two; write [[{first}, {second}]] for one, or "
            f"[[{first}, {first}], [{second}, {second}]] for two"
        )
    return [[side, side] for side in value]


def _range_axis(name: str, value: Mapping[str, Any], types: set[Any], source: str) -> Axis:
    span = parse(Range, value, f"{source}: {name} (a range)")
    if span.step is not None:
        return Axis(name, tuple(span.choices()))
    whole = int in types and float not in types
    if Any in types:
        # Nothing is known of a network's own argument but what is written.
        whole = all(isinstance(value[end], int) for end in ("low", "high"))
    elif types and not types & {int, float}:
        raise InputError(f"{source}: {name}: takes no numbers, so no range; list its choices")
    if whole and not (span.low.is_integer() and span.high.is_integer()):
        raise InputError(f"{source}: {name} (a range): low and high must be whole numbers, got {shown(dict(value))}")
    return Axis(name, range=span, whole=whole)


def drawn(axis: Axis, value: float) -> Any:
    """A value of a range as a configuration holds it: whole, or of six significant digits."""
    if axis.whole:
        return int(value)
    assert axis.range is not None
    rounded = float(f"{value:.6g}") if math.isfinite(value) else value
    return min(max(rounded, axis.range.low), axis.range.high)


def _is_one_value(annotation: Any, value: list[Any]) -> bool:
    """Whether a list is a single value of a field that takes lists, not its choices."""
    if not _takes_list(annotation) or any(isinstance(item, list) for item in value):
        return False
    # Such as none and balanced, where a list of weights could stand too.
    words = [item for leaf in _literals(annotation) for item in get_args(leaf)]
    return not value or not all(item in words for item in value)


def _literals(annotation: Any) -> list[Any]:
    """The literals among the types that a field may have."""
    if get_origin(annotation) is Literal:
        return [annotation]
    if get_origin(annotation) is tuple:
        return []
    return [literal for inner in get_args(annotation) for literal in _literals(inner)]


def _takes_list(annotation: Any) -> bool:
    if get_origin(annotation) is tuple:
        return True
    return any(_takes_list(inner) for inner in get_args(annotation))


def _leaves(annotation: Any) -> Iterable[Any]:
    inner = get_args(annotation)
    return [annotation] if not inner else [leaf for part in inner for leaf in _leaves(part)]
