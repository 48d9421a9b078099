"""What a search relies on in any place where trials run, as checks that a third party's executor can run too.

With pytest, one test for each check::

    @pytest.mark.parametrize("check", EXECUTOR_CHECKS)
    def test_my_executor(check, tmp_path):
        EXECUTOR_CHECKS[check](ExecutorCase(lambda run_trial: MyExecutor(run_trial), tmp_path))

The trials train nothing: :func:`counting_trial` counts its epochs in a file, as a checkpoint would.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autorf.executors.base import Event, Executor, Failure, RunTrial, ended
from autorf.study.job import Job
from autorf.study.spec import StudySpec, parse_study
from autorf.testing.case import expect
from autorf.training.results import EpochReport, Field, TrialResult

__all__ = ["EXECUTOR_CHECKS", "ExecutorCase", "check_executor", "counting_trial", "failing_trial"]

EPOCHS = 4
"""Of a trial."""

_METRICS, _FIELD = {"miou": 0.5, "f1": 0.5, "pixel_accuracy": 0.5}, Field((3.0, 3.0), 0.1)

_STUDY = {
    "name": "contract",
    "data": {"name": "digits", "image_size": 32, "object_size": 16, "n_train": 4, "n_val": 2, "n_test": 0},
    "model": {"name": "largefov:resnet18"},
    "search_space": [{"method": "dilation", "rate": 1}],
    "training": {"epochs": EPOCHS},
}


@dataclass(frozen=True)
class ExecutorCase:
    """An executor to check.

    Attributes:
        make: a new executor, of at least one trial at once, that runs trials by the function it is given.
        folder: an empty folder in which trials keep their files.
        patience: how many seconds events may take.
    """

    make: Callable[[RunTrial], Executor]
    folder: Path
    patience: float = 120.0

    @contextmanager
    def running(self, run_trial: RunTrial) -> Iterator[Executor]:
        """An executor, closed in the end."""
        executor = self.make(run_trial)
        try:
            yield executor
        finally:
            executor.close()

    def job(self, row: int, rungs: tuple[int, ...] = (), key: str | None = None) -> Job:
        """An attempt at a trial of :data:`EPOCHS` epochs; of the same ``key`` it goes on where the last one stopped."""
        key = key or f"key{row}"
        return Job(row, key, {"method": "dilation", "rate": 1}, 0, self.spec, self.folder / key, rungs)

    @property
    def spec(self) -> StudySpec:
        """The study that the trials belong to."""
        return parse_study(_STUDY, "the executors' contract")

    def events(
        self, executor: Executor, rows: set[int], react: Callable[[Event], None] = lambda event: None
    ) -> dict[int, list[Event]]:
        """What the trials of ``rows`` say until each has ended; ``react`` sees every event."""
        events: dict[int, list[Event]] = {row: [] for row in rows}
        deadline = time.monotonic() + self.patience
        while not all(row_events and ended(row_events[-1]) for row_events in events.values()):
            expect(time.monotonic() < deadline, f"trials did not end within {self.patience:g} seconds: {events}")
            for event in executor.wait(1.0):
                expect(event.row in events, f"an event of row {event.row}, which was not asked for: {event}")
                events[event.row].append(event)
                react(event)
        return events


def counting_trial(
    job: Job, report: Callable[[EpochReport], None], stopped: Callable[[], bool], seconds: float = 0.1
) -> TrialResult:
    """Epochs of ``seconds`` that are counted in a file of the trial's folder."""
    job.folder.mkdir(parents=True, exist_ok=True)
    file = job.folder / "epochs"
    epoch = int(file.read_text()) if file.exists() else 0
    while epoch < EPOCHS:
        time.sleep(seconds)
        report(EpochReport(epoch=epoch, loss=1.0, metrics=_METRICS, field=_FIELD, seconds=seconds))
        epoch += 1
        file.write_text(str(epoch))
        if stopped():
            break
    return TrialResult(metrics=_METRICS, field=_FIELD, epochs=epoch, seconds=0.1)


def failing_trial(job: Job, report: Callable[[EpochReport], None], stopped: Callable[[], bool]) -> TrialResult:
    """Fails before its first epoch."""
    raise FloatingPointError("the loss became nan")


def check_runs_to_the_end(case: ExecutorCase) -> None:
    """A trial's epochs are told in order, once each, and then its result."""
    with case.running(counting_trial) as executor:
        expect(executor.capacity >= 1, f"the capacity is {executor.capacity}")
        executor.submit(case.job(1))
        events = case.events(executor, {1})[1]
    _expect_epochs(events, range(EPOCHS), "done")
    _expect_result(events[-1], EPOCHS)


def check_one_after_another(case: ExecutorCase) -> None:
    """What ended makes room for the next trial."""
    with case.running(counting_trial) as executor:
        for row in (1, 2, 3):
            executor.submit(case.job(row))
            _expect_epochs(case.events(executor, {row})[row], range(EPOCHS), "done")


def check_stop_at_a_rung(case: ExecutorCase) -> None:
    """A trial that is stopped when it reported a rung trains no further epoch, and can be continued."""
    with case.running(counting_trial) as executor:
        executor.submit(case.job(1, rungs=(2,)))
        events = case.events(executor, {1}, lambda event: executor.stop(1) if _is_epoch(event, 1) else None)[1]
        _expect_epochs(events, range(2), "pruned")
        _expect_result(events[-1], 2)
        executor.submit(case.job(2, key="key1"))
        _expect_epochs(case.events(executor, {2})[2], range(2, EPOCHS), "done")


def check_passes_a_rung(case: ExecutorCase) -> None:
    """A trial that nobody stops goes on past its rungs."""
    with case.running(counting_trial) as executor:
        executor.submit(case.job(1, rungs=(1, 2, 3)))
        _expect_epochs(case.events(executor, {1})[1], range(EPOCHS), "done")


def check_cancel(case: ExecutorCase) -> None:
    """Nothing more is heard of a trial that was cancelled, and another one can run."""
    with case.running(counting_trial) as executor:
        executor.submit(case.job(1, rungs=(1,)))
        deadline = time.monotonic() + case.patience
        while not any(_is_epoch(event, 0) for event in executor.wait(1.0)):
            expect(time.monotonic() < deadline, "no epoch was told")
        executor.cancel(1)
        executor.submit(case.job(2))
        _expect_epochs(case.events(executor, {2})[2], range(EPOCHS), "done")


def check_unknown_rows(case: ExecutorCase) -> None:
    """Stopping or cancelling a row that is not there does nothing."""
    with case.running(counting_trial) as executor:
        executor.stop(99)
        executor.cancel(98)
        executor.submit(case.job(1))
        _expect_epochs(case.events(executor, {1})[1], range(EPOCHS), "done")


def check_failure(case: ExecutorCase) -> None:
    """A trial that raises is told as failed, with a reason of one line and its traceback, and the next one runs."""
    with case.running(failing_trial) as executor:
        for row in (1, 2):
            executor.submit(case.job(row))
            events = case.events(executor, {row})[row]
            expect([event.kind for event in events] == ["failed"], f"a trial that raises said {events}")
            failure = events[0].payload
            assert isinstance(failure, Failure), f"a trial that raises said {failure}"
            reason = failure.reason
            expect("the loss became nan" in reason and "\n" not in reason, f"the reason is {reason!r}")
            expect("failing_trial" in str(failure.traceback), "the traceback is missing")


def check_waits_no_longer_than_asked(case: ExecutorCase) -> None:
    """``wait`` returns after its timeout where nothing happens, with no events."""
    with case.running(counting_trial) as executor:
        began = time.monotonic()
        expect(executor.wait(0.2) == [], "events without a trial")
        expect(time.monotonic() - began < 5, "wait(0.2) took more than five seconds")


def check_close(case: ExecutorCase) -> None:
    """``close`` ends what still runs."""
    with case.running(counting_trial) as executor:
        executor.submit(case.job(1, rungs=(1,)))
        deadline = time.monotonic() + case.patience
        while not executor.wait(1.0):
            expect(time.monotonic() < deadline, "no epoch was told")
    file = case.folder / "key1" / "epochs"
    reached = file.read_text() if file.exists() else "0"
    time.sleep(1.0)
    expect((file.read_text() if file.exists() else "0") == reached, "a trial went on after close")


EXECUTOR_CHECKS: dict[str, Callable[[ExecutorCase], None]] = {
    "runs to the end": check_runs_to_the_end,
    "one after another": check_one_after_another,
    "stop at a rung": check_stop_at_a_rung,
    "passes a rung": check_passes_a_rung,
    "cancel": check_cancel,
    "unknown rows": check_unknown_rows,
    "failure": check_failure,
    "wait": check_waits_no_longer_than_asked,
    "close": check_close,
}
"""Every check by what it is about."""


def check_executor(make: Callable[[RunTrial], Executor], folder: Path) -> None:
    """Run every check of ``EXECUTOR_CHECKS``, each in a folder of its own; arguments as in :class:`ExecutorCase`.

    Raises:
        AssertionError: naming the first broken promise.
    """
    for name, check in EXECUTOR_CHECKS.items():
        check(ExecutorCase(make, folder / name.replace(" ", "_")))


def _is_epoch(event: Event, number: int) -> bool:
    return isinstance(event.payload, EpochReport) and event.payload.epoch == number


def _expect_result(event: Event, epochs: int) -> None:
    reached = event.payload.epochs if isinstance(event.payload, TrialResult) else None
    expect(reached == epochs, f"after {epochs} epochs the result says {event.payload}")


def _expect_epochs(events: list[Event], epochs: range, end: str) -> None:
    kinds = [event.kind for event in events]
    expect(kinds == [*["epoch"] * len(epochs), end], f"expected {len(epochs)} epochs and {end!r}, got {events}")
    numbers = [event.payload.epoch for event in events if isinstance(event.payload, EpochReport)]
    expect(numbers == list(epochs), f"expected the epochs {list(epochs)}, got {numbers}")
