import io

import pytest
from rich.console import Console
from rich.table import Table

from autorf.cli import piped


def test_a_pipe_is_as_wide_as_its_widest_table(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(piped, "Console", lambda: Console(file=file))
    table, setting, key = Table(), 60 * "loss ", "4063fee3049b"
    for column in ("setting", "key"):
        table.add_column(column, no_wrap=True)
    table.add_row(setting, key)
    console = piped.console_for(table)
    assert console.width > len(setting)
    console.print(table)
    assert key in file.getvalue()
    assert setting.strip() in file.getvalue()
    assert piped.console_for(Table()).width == piped.PIPE_WIDTH
