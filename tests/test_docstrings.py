"""The examples in the public docstrings run, every public name has one, and papers go by their names."""

import doctest
import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).parents[1]

ROOMS = ("autorf", "autorf.ops", "autorf.fields", "autorf.advice")
"""What users import from by name."""


def _names() -> Iterator[str]:
    for room in ROOMS:
        module = import_module(room)
        yield from (f"{room}.{name}" for name in module.__all__)


def _public(name: str) -> object:
    room, _, attribute = name.rpartition(".")
    return getattr(import_module(room), attribute)


def _has_example_of_its_own(name: str) -> bool:
    """A module has those of its names, and a result is made by the function that returns it."""
    return not isinstance(_public(name), ModuleType) and not is_dataclass(_public(name))


@pytest.mark.parametrize("name", [name for name in _names() if _has_example_of_its_own(name)])
def test_every_public_name_has_an_example_that_runs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    docstring = inspect.getdoc(_public(name)) or ""
    (example,) = [doctest.DocTestParser().get_doctest(docstring, {}, name, None, None)]
    assert example.examples, f"{name} has no example"
    results = doctest.DocTestRunner(verbose=False).run(example)
    assert results.failed == 0, capsys.readouterr().out


def _texts() -> Iterator[tuple[Path, str]]:
    """What is written for readers: code, pages and studies."""
    for pattern in ("autorf/**/*.py", "docs/**/*.md", "docs/**/*.py", "studies/*", "search_spaces/*", "*.md"):
        yield from ((path, path.read_text(encoding="utf-8")) for path in ROOT.glob(pattern) if path.is_file())


@pytest.mark.parametrize(
    "number", [r"METHODS(\.md| section)", r"\bpapers? [0-9]", r"\bissues? #?[0-9]", r"[Pp]aper:? \*?Pixel-wise"]
)
def test_papers_and_reasons_go_by_names_that_a_reader_can_find(number: str) -> None:
    assert [f"{path.relative_to(ROOT)}" for path, text in _texts() if re.search(number, text)] == []


def test_a_number_in_place_of_a_paper_would_be_seen() -> None:
    assert re.search(r"\bpapers? [0-9]", "Legal inflation factors (paper 000).")
