"""The loop alone, with a source and an executor that note what is asked of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autorf.driver.listeners import Listener, Listeners
from autorf.driver.loop import TrialLoop, TrialSource
from autorf.executors import Event, Failure
from autorf.store.record import Record
from autorf.store.store import TakenOverError
from autorf.study.job import Job
from autorf.study.spec import parse_study
from autorf.training.results import EpochReport
from tests.reports import epoch_report, trial_result
from tests.tiny import TINY

SPEC = parse_study(TINY, "f")


class Noting(Listener):
    """Writes down what it hears."""

    def __init__(self, log: list[str], name: str = "") -> None:
        self.log, self.name = log, name

    def started(self, record: Record) -> None:
        self.log.append(f"{self.name}started {record.key}")

    def epoch(self, record: Record, measured: EpochReport) -> None:
        self.log.append(f"{self.name}epoch {record.key} {len(record.history)}")

    def finished(self, record: Record) -> None:
        self.log.append(f"{self.name}finished {record.key} {record.state}")

    def lost(self, record: Record) -> None:
        self.log.append(f"{self.name}lost {record.key}")


class Source(TrialSource):
    """So many trials; ``taken`` are another driver's once they report."""

    def __init__(
        self, log: list[str], keys: Sequence[str], taken: Sequence[str] = (), pruned: Sequence[str] = ()
    ) -> None:
        self.log, self.taken, self.pruned = log, taken, pruned
        self.left = [Record(row, key, {"method": "dilation"}, 0, "running", 1) for row, key in enumerate(keys)]

    def next(self) -> Record | None:
        return self.left.pop(0) if self.left else None

    def job(self, record: Record) -> Job:
        return Job(record.row, record.key, record.configuration, record.seed, SPEC, Path(record.key))

    def epoch(self, record: Record, measured: EpochReport) -> Record:
        if record.key in self.taken:
            raise TakenOverError(f"{record.key} was taken over")
        return replace(record, history=(*record.history, measured))

    def goes_on(self, record: Record, measured: EpochReport) -> bool:
        return record.key not in self.pruned

    def end(self, record: Record, event: Event) -> Record | None:
        if event.kind == "failed":
            self.left.append(record)
            return None
        return replace(record, state="pruned" if event.kind == "pruned" else "complete")

    def give_back(self, records: Sequence[Record]) -> None:
        self.log.append(f"back {' '.join(record.key for record in records)}")


class Executor:
    """Tells each trial's story, one event a wait; ``crashes`` fail so often before they train."""

    capacity = 2

    def __init__(self, log: list[str], crashes: dict[str, int] | None = None) -> None:
        self.log, self.crashes = log, crashes or {}
        self.stories: dict[int, list[str]] = {}

    def submit(self, job: Job) -> None:
        assert len(self.stories) < self.capacity
        crashes = self.crashes.pop(job.key, 0)
        self.stories[job.row] = ["failed"] if crashes else ["epoch", "epoch", "done"]

    def stop(self, row: int) -> None:
        self.stories[row] = ["pruned"]

    def cancel(self, row: int) -> None:
        self.log.append(f"cancel {row}")
        # A word that was under way.
        self.stories[row] = ["done"]

    def wait(self, timeout: float) -> list[Event]:
        row = next(iter(self.stories))
        kind: Any = self.stories[row].pop(0)
        if not self.stories[row]:
            del self.stories[row]
        payloads = {"epoch": epoch_report(), "failed": Failure("its worker died", crashed=True)}
        return [Event(row, kind, payloads.get(kind, trial_result()))]

    def close(self) -> None:
        self.log.append("close")


def test_what_happens_is_told_to_every_listener_in_order_and_a_crashed_trial_runs_again() -> None:
    log: list[str] = []
    both = Listeners(Noting(log), Noting(log, "2: "))
    TrialLoop(Executor(log, {"a": 1}), Source(log, ["a", "b"]), both).run()
    first = [line for line in log if not line.startswith("2: ")]
    assert first == [
        "started a", "started b", "started a", "epoch b 1", "epoch b 2", "finished b complete",
        "epoch a 1", "epoch a 2", "finished a complete", "close",
    ]  # fmt: skip
    assert [line.removeprefix("2: ") for line in log if line.startswith("2: ")] == first[:-1]


def test_a_trial_that_does_not_go_on_is_stopped() -> None:
    log: list[str] = []
    TrialLoop(Executor(log), Source(log, ["a"], pruned=["a"]), Noting(log)).run()
    assert log == ["started a", "epoch a 1", "finished a pruned", "close"]


def test_a_trial_that_another_driver_took_over_is_cancelled_and_nothing_more_of_it_heard(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log: list[str] = []
    TrialLoop(Executor(log), Source(log, ["a", "b"], taken=["a"]), Noting(log)).run()
    assert log[:4] == ["started a", "started b", "lost a", "cancel 0"]
    assert "finished a complete" not in log
    assert log[-2:] == ["finished b complete", "close"]
    assert "a was taken over" in capsys.readouterr().err


class Lapsed(Source):
    """Leases that are another driver's by the time they are renewed."""

    renew_seconds = 0.0

    def renew(self, record: Record) -> None:
        if record.key in self.taken:
            raise TakenOverError(f"{record.key} was taken over")
        self.log.append(f"renewed {record.key}")


def test_every_running_trial_is_renewed_and_one_that_cannot_be_is_given_up() -> None:
    log: list[str] = []
    executor = Executor(log)
    # A word of a trial that was given up earlier; nothing else happens before the leases are renewed.
    executor.stories[9] = ["epoch"]
    executor.capacity = 3
    TrialLoop(executor, Lapsed(log, ["a", "b"], taken=["b"]), Noting(log)).run()
    assert log[:5] == ["started a", "started b", "renewed a", "lost b", "cancel 1"]
    assert log[-1] == "close"


def test_a_loop_that_ends_early_closes_the_executor_before_it_gives_back_what_ran() -> None:
    log: list[str] = []

    class Broken(Executor):
        def wait(self, timeout: float) -> list[Event]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TrialLoop(Broken(log), Source(log, ["a", "b", "c"]), Noting(log)).run()
    assert log == ["started a", "started b", "close", "back a b", "close"]
