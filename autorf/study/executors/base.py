"""What a search asks of the place where trials run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from autorf.study.spec import StudySpec
from autorf.study.trial import training_of


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
        rungs: numbers of epochs after which the trial waits until what it reported was seen: a stop that answers it
            comes before the next epoch.
        reached: how many epochs earlier attempts finished; the checkpoints are expected to say so too.
        with_val: train on the validation split too, as ``autorf retrain --with-val`` does; nothing is held out then.
    """

    row: int
    key: str
    configuration: dict[str, Any]
    seed: int
    spec: StudySpec
    folder: Path
    rungs: tuple[int, ...] = ()
    reached: int = 0
    with_val: bool = False

    @property
    def epochs(self) -> int:
        """How many epochs make the trial complete."""
        return training_of(self.spec.training, self.configuration).epochs


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
