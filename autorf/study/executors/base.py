"""What a search asks of the place where trials run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from autorf.study.spec import StudySpec


@dataclass(frozen=True)
class Job:
    """One trial to run, self-contained.

    Attributes:
        row: the attempt's row in the store.
        key: the trial's key.
        configuration: canonical, see :class:`autorf.study.trial.Trial`.
        seed: of the trial.
        spec: the study.
        folder: the trial's own folder, for checkpoints and weights.
    """

    row: int
    key: str
    configuration: dict[str, Any]
    seed: int
    spec: StudySpec
    folder: Path


@dataclass(frozen=True)
class Event:
    """What a running trial says: an epoch's measurements, its final result, or why it failed."""

    row: int
    kind: Literal["epoch", "done", "failed"]
    payload: dict[str, Any]


class Executor(Protocol):
    """Runs jobs somewhere and tells what they report."""

    capacity: int

    def submit(self, job: Job) -> None:
        """Start ``job``; the caller keeps the number of unfinished jobs within ``capacity``."""

    def wait(self, timeout: float) -> list[Event]:
        """What happened since the last call; waits up to ``timeout`` seconds for something to happen."""

    def close(self) -> None:
        """Stop everything, unfinished jobs too."""
