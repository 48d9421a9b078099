"""A share of the odd pictures of ``benchmarks/fuzz_pictures.py``: every kind of oddity, twice."""

import runpy
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def fuzz() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "fuzz_pictures.py"))


def test_odd_pictures_are_read_as_painted_or_refused_in_one_line(fuzz: dict[str, Any], tmp_path: Path) -> None:
    given = list(fuzz["answers"](2 * len(fuzz["ODDITIES"]), seed=1, folder=tmp_path))
    assert [f"{each.given}: {each.problem}" for each in given if not each.ok] == []
    codes = [each.code for each in given]
    assert codes.count(0) > 10
    assert codes.count(2) > 10


def test_the_fuzz_sees_a_picture_that_is_read_otherwise(
    fuzz: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autorf.data.mask_files._grey_levels", lambda pixels: None)
    monkeypatch.setattr("autorf.data.opening._TURNS", {})
    wrong = [each for each in fuzz["answers"](len(fuzz["ODDITIES"]), seed=4, folder=tmp_path) if not each.ok]
    assert {each.problem.split(":")[0].split(",")[0] for each in wrong} & {
        "silently other classes",
        "silently other colours",
    }
