"""What people and tools write into study files, in one bounded and strict reading."""

import time

import pytest

from autorf.errors import InputError
from autorf.study.plain_yaml import parse_yaml
from autorf.study.search_space import Range, parse_space
from autorf.study.spec import parse_study
from tests.tiny import TINY

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{above}: &{above} [{','.join([f'*{below}'] * 10)}]\n" for below, above in zip("abcdefg", "bcdefgh", strict=True)
)


def refusal(text: str) -> str:
    """Why a text is refused, at once and in one short line."""
    began = time.process_time()
    with pytest.raises(InputError) as refused:
        parse_yaml(text, "a.yaml")
    assert time.process_time() - began < 5
    line = str(refused.value)
    assert len(line) <= 290
    assert line.isprintable()
    assert line.startswith("a.yaml: ")
    return line


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("name: a\ndata: {}\nname: b\n", "name (line 3)"),
        ("training: {epochs: 1, lr: 2, epochs: 3}", "training.epochs"),
        ("search_space: [{rate: [1], rate: [2]}]", "search_space.0.rate"),
        ("{1: a, '1': b}", "1"),
    ],
)
def test_a_key_that_occurs_twice_is_named(text: str, key: str) -> None:
    assert f"{key}: this key occurs twice" in refusal(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "more than 20000 values"),
        ("a: &a [*a]", "an alias lies inside"),
        ("[" * 5000 + "]" * 5000, "20 deep"),
        ("{a: " * 5000, "20 deep"),
        ("x" * 2_000_000, "longer than"),
        (f"a: {'x' * 100_000}", "has 100000 characters"),
        (f"a: {'1' * 5000}", "beyond 64 bits"),
        (f"a: 0x{'f' * 5000}", "beyond 64 bits"),
        ("a: !!python/object:os.system x", "the tag"),
        ("a: !!binary aGk=", "the tag"),
        ("a: !mine {b: 1}", "the tag"),
        ("a: !!int many", "is no int"),
        ("a: [1", "no valid YAML"),
        ("a: *nothing", "undefined alias"),
        ("[a]: 1", "a key is a name"),
        ("a: 1\x07", "control character"),
        ('a: "red\\x1b[31m"', "control character"),
        ('a: "two\\nlines"', "control character"),
        ('"a\\u2028b": 1', "control character"),
    ],
)
def test_what_no_study_file_needs_is_refused_in_one_short_line(text: str, reason: str) -> None:
    assert reason in refusal(text)


def test_dates_are_texts_and_keys_are_as_they_are_written() -> None:
    assert parse_yaml("since: 2020-01-01\nno: 2001-99-99\n1: x", "f") == {
        "since": "2020-01-01",
        "no": "2001-99-99",
        "1": "x",
    }


def test_aliases_and_merged_keys_are_what_they_stand_for() -> None:
    text = "a: &a {rate: 1, axis: x}\nb: {<<: *a, rate: 2}\nc: [*a, *a]"
    assert parse_yaml(text, "f")["b"] == {"rate": 2, "axis": "x"}
    assert parse_yaml(text, "f")["c"] == [{"rate": 1, "axis": "x"}] * 2


@pytest.mark.parametrize(
    ("override", "key"),
    [
        (f"training.epochs=[{'a, ' * 5000}a]", "training.epochs"),
        (f"name={'x' * 3000}", "name"),
        (f"data.name={'x' * 3000}", "data"),
        (f"{'x' * 3000}=1", "xxx"),
        (".".join("a" * 3000) + "=1", "--set"),
        (f"model.paths=[{'[a], ' * 500}[b]]", "model.paths"),
        (f"training.seeds=[{'0, ' * 3000}0]", "training"),
        ("training.epochs=99999999999999999999", "training.epochs"),
        ("training.batch_size=10000000000", "training.batch_size"),
        ("data.image_size=[1000000, 1000000]", "data.image_size"),
    ],
)
def test_a_long_or_huge_value_is_one_short_line_that_names_its_key(override: str, key: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_study(TINY, "tiny.yaml", (override,))
    assert key in str(refused.value)
    assert len(str(refused.value)) <= 290


def test_a_password_in_a_value_that_is_cut_is_not_shown() -> None:
    url = "postgresql+psycopg://user:topsecretword@host/" + "x" * 200
    with pytest.raises(InputError) as refused:
        parse_study(TINY, "tiny.yaml", (f"training.epochs={url}",))
    assert "tops" not in str(refused.value)


def test_a_range_or_grid_without_an_end_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="more than 10000 values"):
        Range(low=1, high=1e308, step=1)
    axes = {f"training.{name}": list(range(1, 60)) for name in ("batch_size", "lr", "weight_decay")}
    space = parse_space({"method": "dilation", "rate": 1, **axes}, "f")
    with pytest.raises(InputError, match=r"2.05e\+05 combinations"):
        space.configurations()


def test_a_method_that_is_no_name_is_unknown() -> None:
    with pytest.raises(InputError, match="unknown method"):
        parse_space({"method": ["dilation"]}, "f")
