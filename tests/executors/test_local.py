import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from autorf.errors import InputError
from autorf.executors import Event, RunTrial, worker_count
from autorf.executors.base import ended
from autorf.executors.local import LocalExecutor, failure_reason
from autorf.study.job import Job
from autorf.study.spec import StudySpec
from tests.executors.fake_trials import dying_trial, failing_trial, sleeping_trial
from tests.reports import trial_result


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


@pytest.fixture
def job(tiny: StudySpec, tmp_path: Path) -> Job:
    training = tiny.training.model_copy(update={"epochs": 4})
    return Job(
        7,
        "key",
        {"method": "dilation", "rate": 2},
        0,
        tiny.model_copy(update={"training": training}),
        tmp_path,
        rungs=(2,),
    )


@pytest.fixture
def executor(request: pytest.FixtureRequest) -> Iterator[LocalExecutor]:
    trial: RunTrial = request.param
    made = LocalExecutor(1, trial)
    yield made
    made.close()


def until_end(executor: LocalExecutor, stop_at: int | None = None) -> list[Event]:
    events: list[Event] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (events and ended(events[-1])):
        for event in executor.wait(1.0):
            events.append(event)
            if event.kind == "epoch" and event.payload.epoch + 1 == stop_at:
                executor.stop(event.row)
    return events


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


@pytest.mark.parametrize("executor", [sleeping_trial], indirect=True)
def test_a_stop_at_a_rung_comes_before_the_next_epoch_and_the_next_job_goes_on_from_there(
    executor: LocalExecutor, job: Job
) -> None:
    executor.submit(job)
    events = until_end(executor, stop_at=2)
    assert kinds(events) == ["epoch", "epoch", "pruned"]
    assert events[-1].payload.epochs == 2
    executor.stop(job.row)
    executor.submit(job)
    events = until_end(executor)
    assert kinds(events) == ["epoch", "epoch", "done"]
    assert [event.payload.epoch for event in events[:2]] == [2, 3]


@pytest.mark.parametrize("executor", [dying_trial], indirect=True)
def test_a_killed_worker_is_a_failed_job_and_the_next_job_gets_a_new_worker(executor: LocalExecutor, job: Job) -> None:
    for _ in range(2):
        executor.submit(job)
        events = until_end(executor)
        assert kinds(events) == ["epoch", "failed"]
        assert "killed by SIGKILL" in events[-1].payload.reason
        assert events[-1].payload.crashed


@pytest.mark.parametrize("executor", [failing_trial], indirect=True)
def test_an_exception_is_a_failed_job_with_its_reason_and_traceback(executor: LocalExecutor, job: Job) -> None:
    executor.submit(job)
    (event,) = until_end(executor)
    assert event.payload.reason.startswith("disk full: No space left on device: 'checkpoint'")
    assert "failing_trial" in event.payload.traceback
    assert not event.payload.crashed


@pytest.mark.parametrize("executor", [sleeping_trial], indirect=True)
def test_a_worker_that_died_or_was_cancelled_is_replaced(executor: LocalExecutor, job: Job) -> None:
    executor.submit(job)
    first = until_end(executor)
    pid = executor._workers[0].process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    executor._workers[0].process.join()
    assert executor.wait(0) == []
    executor.submit(job)
    executor.cancel(job.row)
    assert executor.wait(0) == []
    (job.folder / "epochs").unlink(missing_ok=True)
    executor.submit(job)
    assert kinds(until_end(executor)) == kinds(first)


def test_ctrl_c_never_reaches_a_worker_not_even_while_it_starts() -> None:
    script = """
import signal
from pathlib import Path
from autorf.executors.local import LocalExecutor
from tests.reports import trial_result
from tests.executors.fake_trials import sleeping_trial

if __name__ == "__main__":
    executor = LocalExecutor(1, sleeping_trial)
    worker = executor._start().process
    lines = Path(f"/proc/{worker.pid}/status").read_text().splitlines()
    blocked = int(next(line for line in lines if line.startswith("SigBlk")).split()[1], 16)
    executor.close()
    print(bool(blocked >> (signal.SIGINT - 1) & 1), signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_a_job_is_pruned_only_when_it_did_not_reach_the_end(tiny: StudySpec) -> None:
    def reached(epochs: int) -> Any:
        from autorf.executors.local import _Link, _outcome

        job = Job(1, "key", {"method": "dilation", "rate": 2}, 0, tiny, Path())
        link = _Link(None, job)  # type: ignore[arg-type]
        return _outcome(job, link, lambda *_: trial_result(epochs=epochs)).kind

    assert (reached(1), reached(2)) == ("pruned", "done")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore"), "out of memory: CUDA out of"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory: DefaultCPUAllocator"),
        (FloatingPointError("the training loss became nan at step 3"), "the training loss became nan at step 3"),
        (InputError("photos/a.png: cannot be decoded"), "photos/a.png: cannot be decoded"),
        (KeyError("logits"), "KeyError: 'logits'"),
    ],
)
def test_a_failure_has_a_reason_of_one_line(error: Exception, reason: str) -> None:
    assert failure_reason(error).startswith(reason)
    assert "\n" not in failure_reason(error)
    assert ("--retry-failed" in failure_reason(error)) == reason.startswith("out of memory")


def test_a_full_disk_is_named_whoever_tells_of_it() -> None:
    told = OSError("evidence.safetensors could not be written: No space left on device")
    assert failure_reason(told) == "disk full: evidence.safetensors could not be written: No space left on device"


@pytest.mark.parametrize(("gpu", "said", "workers"), [(True, None, 1), (True, 3, 3), (False, None, 8), (False, 3, 3)])
def test_a_gpu_has_one_trial_at_a_time_unless_the_study_says_more(
    tiny: StudySpec, monkeypatch: pytest.MonkeyPatch, gpu: bool, said: int | None, workers: int
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    training = tiny.training.model_copy(update={"threads": 1})
    executor = tiny.executor.model_copy(update={"workers": said})
    assert worker_count(tiny.model_copy(update={"training": training, "executor": executor})) == workers
