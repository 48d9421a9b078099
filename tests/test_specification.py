"""Values given in a call are refused in one line too, as those of a file are."""

import copy
import importlib
import pickle
import pkgutil
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

import autorf
from autorf.errors import InputError
from autorf.methods import Dilation, Inflation, LearnedDilation
from autorf.specification import Specification


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: Dilation(targets="x", rate=0),
            r"^Dilation: rate: a dilation must be a positive integer, at most .* .got 0.$",
        ),
        (lambda: LearnedDilation(targts="x"), "^LearnedDilation: targts: unknown key; did you mean targets"),
        (lambda: Inflation(factor="x", low=-1), "^Inflation: factor: must be .*; low: must be greater than 0, got -1$"),
        (lambda: Inflation(start="a"), "^Inflation: start and end go together"),
    ],
)
def test_a_call_with_wrong_values_is_refused_in_one_line(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_specifications_are_copied_and_pickled_as_ever():
    method = Dilation(targets="x", rate=2)
    assert pickle.loads(pickle.dumps(method)) == copy.deepcopy(method) == method
    assert method.model_copy(update={"rate": 3}).rate == 3


def _specifications(kind: type[Specification] = Specification) -> Iterator[type[Specification]]:
    for package in pkgutil.walk_packages(autorf.__path__, "autorf."):
        if not package.name.endswith("__main__"):
            importlib.import_module(package.name)
    for below in kind.__subclasses__():
        if below.__module__.startswith("autorf."):
            yield below
            yield from _specifications(below)


def _read(annotation: Any, metadata: list[Any], value: object) -> object:
    return TypeAdapter(Annotated[(annotation, *metadata)] if metadata else annotation).validate_python(value)


def test_true_is_a_number_nowhere():
    wrong = []
    for kind in set(_specifications()):
        for name, field in kind.model_fields.items():
            try:
                value = _read(field.annotation, field.metadata, True)
            except (ValidationError, InputError):
                continue
            if value is not True or "Literal[1" in str(field.annotation):
                wrong.append(f"{kind.__name__}.{name}: {value!r}")
    assert wrong == []
