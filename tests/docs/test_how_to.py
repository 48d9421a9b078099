"""The how-tos show files that the tests run, name entry points that are there, and their own code runs."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from autorf.methods import METHODS
from autorf.study.spec import StudySpec
from tests.outside.package import HERE, THEIRS

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "how_to").glob("*.md"))
ADDED = [page for page in PAGES if page.stem.startswith("add_")]
GROUPS = {"method": "methods", "network": "models", "data_set": "data", "figure": "figures", "executor": "executors"}


def blocks(page: Path, language: str) -> list[str]:
    """The page's code in a language, without files that it shows."""
    fenced = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [code for code in fenced if "--8<--" not in code]


def test_there_is_a_page_for_each_thing_that_can_be_added() -> None:
    assert {re.sub("add_an?_", "", page.stem) for page in ADDED} == set(GROUPS)


@pytest.mark.parametrize("page", ADDED, ids=lambda page: page.stem)
def test_a_page_shows_the_file_behind_each_entry_point_it_names(page: Path) -> None:
    group = f"autorf.{GROUPS[re.sub('add_an?_', '', page.stem)]}"
    (line,) = blocks(page, "toml")
    points = tomllib.loads(line)["project"]["entry-points"][group]
    assert {f"{name} = {value}" for name, value in points.items()} == set(THEIRS[group])
    shown = set(re.findall(r'--8<-- "(.+)"', page.read_text(encoding="utf-8")))
    assert shown == {f"tests/outside/{value.split(':')[0].replace('.', '/')}.py" for value in points.values()}
    assert all((ROOT / path).is_file() for path in shown)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_s_own_code_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setattr(METHODS, "_own", dict(METHODS._own))
    code = blocks(page, "python")
    assert code, f"{page.stem} has nothing that checks what was added"
    for block in code:
        exec(compile(block, str(page), "exec"), {"__name__": "how_to"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_s_part_of_a_study_file_has_keys_that_study_files_have(page: Path) -> None:
    for text in blocks(page, "yaml"):
        assert set(yaml.safe_load(text)) <= set(StudySpec.model_fields)


def test_every_file_that_a_page_names_is_there() -> None:
    named = {
        (page.name, path)
        for page in (ROOT / "docs").rglob("*.md")
        for path in re.findall(r"`((?:\w+/)+\w+\.(?:py|md))`", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 15
    assert {
        (page, path) for page, path in named if not any((at / path).is_file() for at in (ROOT, ROOT / "autorf"))
    } == set()
