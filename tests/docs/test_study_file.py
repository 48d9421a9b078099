"""The study file's page holds every key that the models read, with a meaning."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from autorf.methods import METHODS
from autorf.specification import Specification
from autorf.study.spec import StudySpec, parse_study
from docs.generator.meanings import meanings
from docs.generator.study_file import Key, models_in, page, parts
from docs.generator.types_in_words import UNBROKEN, type_in_words, value_in_words


def keys() -> dict[str, Key]:
    return {key.path: key for part in parts() for key in part.keys}


def test_every_key_has_a_meaning_and_a_type() -> None:
    listed = [key for part in parts() for key in part.keys]
    assert len(listed) > 130
    assert [key.path for key in listed if len(key.meaning) < 5 or not key.type] == []


def test_every_field_of_every_model_that_a_study_file_reaches_is_listed() -> None:
    def reachable(kind: type[Specification]) -> set[type[Specification]]:
        inner = {model for field in kind.model_fields.values() for model in models_in(field.annotation)}
        return {kind}.union(*(reachable(model) for model in inner))

    models = reachable(StudySpec).union(*(reachable(method) for method in METHODS.values()))
    fields = {name for model in models for name in model.model_fields}
    assert fields <= {key.path.rpartition(".")[2] for key in keys().values()}


@pytest.mark.parametrize(
    ("path", "type", "default"),
    [
        ("name", "text", "required"),
        ("training.lr", "number > 0", "`0.003`"),
        ("training.seeds", "list, each a whole number ≥ 0, < 2^31", "`[0]`"),
        ("training.schedule.kind", "`cosine`, `step`, `poly` or `constant`", "`cosine`"),
        ("search.budget.hours", "number > 0 or `null`", "`null`"),
        ("search_space[].rate", "whole number ≥ 1 or `null`", "required"),
        ("executor.workers", "whole number ≥ 1, ≤ 1024 or `null`", "`null`"),
    ],
)
def test_a_key_says_what_it_takes_and_what_it_is_without(path: str, type: str, default: str) -> None:
    key = keys()[path]
    assert (key.type.replace(UNBROKEN, " "), key.default) == (type, default)


def test_each_kind_of_data_and_each_method_has_a_section() -> None:
    kinds = {part.kind for part in parts()}
    assert {f"with `method: {name}`" for name in METHODS} <= kinds
    assert {"with `name: digits`", "with `name: folder`"} <= kinds
    assert "### data with `name: folder`" in page()


def test_a_default_as_shown_is_what_a_file_without_the_key_gets() -> None:
    values = {"name": "x", "data": {"name": "digits"}, "model": {"name": "largefov:resnet18"}}
    study = parse_study({**values, "search_space": ["dilation"]}, "x")
    for path, key in keys().items():
        section, _, rest = path.partition(".")
        if section in ("training", "search", "executor", "storage", "tracking") and rest in study.model_dump()[section]:
            value = study.model_dump(mode="json")[section][rest]
            assert key.default in (f"`{value_in_words(value)}`", "as below"), path


class Whole(Specification):
    """One line.

    Attributes:
        first, second: of two keys, over
            two lines.
        third: alone: with a colon in it.

    Note:
        fourth: this is no key.
    """

    kind: Literal["whole"] = "whole"
    first: int = 1
    second: Annotated[int, Field(ge=0)] = 2
    third: tuple[str | int, ...] = ()


class Derived(Whole):
    """Another.

    Attributes:
        third: said anew.
    """


def test_a_meaning_is_read_from_the_docstring_of_the_class_and_of_those_above_it() -> None:
    both = "of two keys, over two lines."
    assert meanings(Whole) == {"first": both, "second": both, "third": "alone: with a colon in it."}
    assert meanings(Derived) == {"first": both, "second": both, "third": "said anew."}


def test_a_type_without_a_name_in_the_schema_is_any_value() -> None:
    assert type_in_words({}) == "any value"
    assert type_in_words(Whole.model_json_schema()["properties"]["third"]) == "list, each (text or whole number)"
