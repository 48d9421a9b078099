"""What a search asks of the place where trials run."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, Self

from autorf.study.job import Job
from autorf.training.results import EpochReport, TrialResult


@dataclass(frozen=True)
class Failure:
    """Why a trial ended without a result.

    Attributes:
        reason: in one line.
        traceback: of the error, where there was one.
        crashed: whether its process died.
        lost_node: whether that was because the node it ran on did.
    """

    reason: str
    traceback: str | None = None
    crashed: bool = False
    lost_node: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The failure that :meth:`to_json` wrote."""
        return cls(**values)


Kind = Literal["epoch", "done", "failed", "pruned"]
Payload = EpochReport | TrialResult | Failure


@dataclass(frozen=True)
class Event:
    """What a running trial says.

    ``epoch`` carries an :class:`~autorf.training.results.EpochReport`, ``done`` the final
    :class:`~autorf.training.results.TrialResult`, ``pruned`` the one at the epochs reached when it was stopped,
    ``failed`` a :class:`Failure`.
    """

    row: int
    kind: Kind
    payload: Payload


def payload_from(kind: Kind, values: dict[str, Any]) -> Payload:
    """The payload of an event of this kind whose ``to_json`` gave ``values``."""
    if kind == "epoch":
        return EpochReport.from_json(values)
    return Failure.from_json(values) if kind == "failed" else TrialResult.from_json(values)


RunTrial = Callable[[Job, Callable[[EpochReport], None], Callable[[], bool]], TrialResult]
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
