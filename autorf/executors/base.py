"""What a search asks of the place where trials run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from autorf.study.job import Job


@dataclass(frozen=True)
class Event:
    """What a running trial says.

    ``epoch`` carries an epoch's measurements, ``done`` the final result, ``pruned`` the result at the epochs reached
    when it was stopped (``epochs``), ``failed`` the ``reason`` and where there is one the ``traceback``; ``crashed`` is
    set when the process died.
    """

    row: int
    kind: Literal["epoch", "done", "failed", "pruned"]
    payload: dict[str, Any]


RunTrial = Callable[[Job, Callable[[dict[str, Any]], None], Callable[[], bool]], dict[str, Any]]
"""``(job, report, stopped) -> result``: ``report`` takes each epoch's measurements, ``stopped`` is asked after each
epoch's checkpoint; the result's ``epochs`` says how far the trial came."""


def ended(event: Event) -> bool:
    """Whether the event is a job's last."""
    return event.kind != "epoch"


class Executor(Protocol):
    """Runs jobs somewhere and tells what they report."""

    capacity: int

    def submit(self, job: Job) -> None:
        """Start ``job``; the caller keeps the number of unfinished jobs within ``capacity``."""

    def stop(self, row: int) -> None:
        """Have that job end after its current epoch's checkpoint and answer ``pruned``; unknown rows are ignored."""

    def cancel(self, row: int) -> None:
        """End that job at once and say nothing more of it; unknown rows are ignored."""

    def wait(self, timeout: float) -> list[Event]:
        """What happened since the last call; waits up to ``timeout`` seconds for something to happen.

        Jobs whose rung was reported by the call before, and that were not stopped since, go on.
        """

    def close(self) -> None:
        """Stop everything, unfinished jobs too."""
