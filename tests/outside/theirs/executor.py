"""A kind of executor: worker processes, one at a time."""

from pathlib import Path
from typing import Any

from autorf.executors import Executor
from autorf.executors.local import LocalExecutor


def make(spec: Any, folder: Path, jobs: int | None) -> Executor:
    (folder / "one_by_one").touch()
    return LocalExecutor(1)
