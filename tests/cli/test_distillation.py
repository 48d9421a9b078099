"""``autorf distill`` as a user meets it."""

import json

import pytest
import yaml

from autorf.distillation import distill as module
from tests.cli.conftest import Shell
from tests.distillation.small import STUDY, Here


@pytest.fixture
def small(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    (shell.folder / "small.yaml").write_text(yaml.safe_dump(STUDY))
    monkeypatch.setattr(module, "make_executor", lambda *_: Here())
    return shell


def test_the_table_is_printed_again_as_json_and_the_page_shows_all_side_by_side(small: Shell) -> None:
    done = small.run("distill", "small.yaml", "--quiet")
    assert done.code == 0, done.err
    assert [line.split("  ")[0].strip() for line in done.out.splitlines()[3:7]] == [
        "teacher", "student alone", "distilled", "+ unlabelled",
    ]  # fmt: skip
    assert "(1 seed, 4 steps against 10): too few to say more." in done.out
    folder = small.folder / "runs" / "small" / "distilled"
    html = (folder / "report.html").read_text()
    assert all(f"<figcaption>{title}</figcaption>" in html for title in ("image", "truth", "teacher", "distilled"))
    again = small.run("distill", "small.yaml", "--format", "json")
    assert json.loads(again.out) == json.loads((folder / "table.json").read_text())


def test_bad_input_is_one_line(small: Shell) -> None:
    assert "tiny.yaml: has no section distill" in small.run("distill", "tiny.yaml").err
    assert "distill.temperature" in small.refused("distill", "small.yaml", "--set", "distill.temperature=-1")
    assert "training.threshold: one output channel" in small.refused(
        "distill", "small.yaml", "--set", "training.threshold=0.5"
    )
