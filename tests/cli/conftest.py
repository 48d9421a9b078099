import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from autorf.cli import main
from tests.tiny import TINY


@dataclass
class Answer:
    code: int
    out: str
    err: str


class Shell:
    """Runs commands in this process, in a folder of their own."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.capture, self.monkeypatch = folder, capture, monkeypatch

    def run(self, *arguments: str) -> Answer:
        self.monkeypatch.chdir(self.folder)
        self.monkeypatch.setattr(sys, "argv", ["autorf", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        shown = self.capture.readouterr()
        return Answer(int(stopped.value.code or 0), shown.out, shown.err)

    def refused(self, *arguments: str) -> str:
        """The one line with which a command refuses, having written nothing."""
        before = sorted(self.folder.rglob("*"))
        answer = self.run(*arguments)
        assert answer.code == 2, answer
        lines = answer.err.strip().splitlines()
        assert len(lines) == 1, answer.err
        assert sorted(self.folder.rglob("*")) == before
        return lines[0]


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return Shell(tmp_path, capsys, monkeypatch)
