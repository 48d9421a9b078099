import pytest

from autorf.store.store import Store
from autorf.study.spec import parse_study
from tests.cli.conftest import Shell
from tests.tiny import TINY


@pytest.fixture(autouse=True)
def _study(shell: Shell) -> None:
    Store(shell.folder / "runs" / "tiny", "tiny").register(parse_study(TINY, "tiny.yaml"), [])


def test_the_path_of_the_report_is_printed(shell: Shell) -> None:
    answer = shell.run("report", "tiny")
    assert (answer.code, answer.out) == (0, "runs/tiny/report.html\n")
    assert (shell.folder / "runs/tiny/report.html").read_text().startswith("<!doctype html>")
    assert shell.run("report", "tiny.yaml").code == 0


def test_a_study_that_is_not_there_is_answered_with_near_names(shell: Shell) -> None:
    assert "no study 'tinny'" in shell.refused("report", "tinny")
    assert "did you mean tiny" in shell.refused("report", "tinny")


def test_an_output_that_exists_needs_force(shell: Shell) -> None:
    (shell.folder / "mine.html").write_text("mine")
    assert "overwrite it with --force" in shell.refused("report", "tiny", "--output", "mine.html")
    assert shell.run("report", "tiny", "--output", "mine.html", "--force").code == 0
