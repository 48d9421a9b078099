"""What a training function of one's own is searched with: its space, metric and classes, as study files have them."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from autorf.errors import InputError, shown
from autorf.methods import Method
from autorf.ops._arguments import kind_of, whole_number
from autorf.training.results import METRICS

Space = str | Mapping[str, Any] | Method
"""One entry of a search space: a built-in name or a path, a space written out, or a method as it is."""

Spaces = Space | Sequence[object]
"""One entry or several. A list of dictionaries whose values differ in type is a list of objects to a type checker."""


def check_function(function: str, train: Any) -> None:
    """Raise ``InputError`` unless ``train`` can be called with a trial."""
    if not callable(train):
        raise InputError(f"{function}: train must be a function that takes a trial, got {kind_of(train)}")
    try:
        inspect.signature(train).bind(object())
    except TypeError:
        raise InputError(
            f"{function}: train is called with the trial alone, train(trial); it takes {inspect.signature(train)}"
        ) from None
    except ValueError:
        # Some callables written in C have no signature.
        return


def written_spaces(function: str, space: Any) -> list[str | dict[str, Any]]:
    """Search spaces as a study file has them.

    Raises:
        InputError: for anything that is none.
    """
    entries = [space] if isinstance(space, str | Mapping | Method) else space
    if not isinstance(entries, Sequence) or not entries:
        raise InputError(
            f"{function}: space must be a search space or a list of them, such as {{'method': 'dilation', 'rate': "
            f"[1, 2, 4]}}, got {shown(space)}"
        )
    return [_written(function, entry) for entry in entries]


def _written(function: str, entry: Any) -> str | dict[str, Any]:
    if isinstance(entry, str):
        return entry
    if isinstance(entry, Mapping):
        return {str(key): list(value) if isinstance(value, tuple) else value for key, value in entry.items()}
    if isinstance(entry, Method):
        fields = entry.model_dump(mode="json", exclude_defaults=True, exclude={"method"})
        # What is a list already is one choice.
        return {"method": entry.method, **{key: [value] for key, value in fields.items()}}
    raise InputError(
        f"{function}: space: a name, {{'method': ...}} or a method such as autorf.Dilation(rate=2), got {shown(entry)}"
    )


def class_names(function: str, classes: Any) -> list[str] | None:
    """Names of classes that are given as such, or by their number.

    Raises:
        InputError: for anything else.
    """
    if classes is None:
        return None
    if isinstance(classes, str) or not isinstance(classes, Sequence):
        return list(map(str, range(whole_number(function, "classes", classes, least=2))))
    if not all(isinstance(each, str) for each in classes) or len(set(classes)) != len(classes) or len(classes) < 2:
        raise InputError(f"{function}: classes must be different names, at least two, got {shown(classes)}")
    return list(classes)


def check_metric(function: str, metric: Any) -> str:
    """The metric that is compared.

    Raises:
        InputError: for one that no comparison has.
    """
    if metric not in METRICS:
        raise InputError(f"{function}: metric {shown(metric)}: one of {', '.join(METRICS)}")
    return str(metric)
