"""The executors' contract holds for worker processes, and a broken executor breaks it."""

from functools import partial
from pathlib import Path

import pytest

from autorf.executors import Event, Executor, RunTrial
from autorf.executors.local import LocalExecutor
from autorf.study.job import Job
from autorf.testing.executor_contract import EXECUTOR_CHECKS, ExecutorCase


@pytest.mark.parametrize("check", EXECUTOR_CHECKS)
def test_worker_processes_keep_the_executors_contract(check: str, tmp_path: Path) -> None:
    EXECUTOR_CHECKS[check](ExecutorCase(partial(LocalExecutor, 1), tmp_path))


class Broken(LocalExecutor):
    """Tells every event twice, is deaf to stops, and never closes in time."""

    def __init__(self, run_trial: RunTrial) -> None:
        super().__init__(1, run_trial)

    def stop(self, row: int) -> None:
        pass

    def wait(self, timeout: float) -> list[Event]:
        return [event for event in super().wait(timeout) for _ in range(2)]


class Forgetful:
    """Takes jobs and says nothing."""

    capacity = 1

    def submit(self, job: Job) -> None: ...
    def stop(self, row: int) -> None: ...
    def cancel(self, row: int) -> None: ...
    def close(self) -> None: ...

    def wait(self, timeout: float) -> list[Event]:
        return []


@pytest.mark.parametrize(
    ("make", "check", "broken"),
    [
        (Broken, "runs to the end", "expected 4 epochs and 'done'"),
        (Broken, "stop at a rung", "expected 2 epochs and 'pruned'"),
        (lambda _: Forgetful(), "runs to the end", "did not end within 0.1 seconds"),
    ],
)
def test_a_broken_executor_is_found_out(make: object, check: str, broken: str, tmp_path: Path) -> None:
    def executor(run_trial: RunTrial) -> Executor:
        made: Executor = make(run_trial)  # type: ignore[operator]
        return made

    patience = 0.1 if broken.startswith("did") else 60.0
    with pytest.raises(AssertionError, match=broken):
        EXECUTOR_CHECKS[check](ExecutorCase(executor, tmp_path, patience))
