"""The loop of a search with an executor that only pretends to train."""

import io
import json
import os
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TextIO

import pytest

from autorf import interruption
from autorf.driver import search as module
from autorf.driver.search import Outcome, search
from autorf.executors import Event
from autorf.store.store import open_store
from autorf.study.job import Job
from autorf.study.spec import parse_study
from tests.reports import epoch_report, trial_result
from tests.tiny import TINY


class Pretended:
    """One job at a time; its epochs' scores fall with the dilation's distance from 4."""

    capacity = 1

    def __init__(self) -> None:
        self.job: Job | None = None
        self.stopped, self.trained = False, 0

    def submit(self, job: Job) -> None:
        assert self.job is None
        self.job, self.stopped, self.done = job, False, job.reached

    def stop(self, row: int) -> None:
        assert self.job is not None
        assert self.job.row == row
        assert self.done in self.job.rungs
        self.stopped = True

    def cancel(self, row: int) -> None:
        raise AssertionError

    def wait(self, timeout: float) -> list[Event]:
        job = self.job
        assert job is not None
        if self.stopped or self.done == job.epochs:
            self.job = None
            return [
                Event(job.row, "pruned" if self.stopped else "done", trial_result(**self.scored(job), epochs=self.done))
            ]
        self.done += 1
        self.trained += 1
        return [Event(job.row, "epoch", epoch_report(self.done - 1, **self.scored(job)))]

    def close(self) -> None:
        self.job = None

    def scored(self, job: Job) -> dict[str, Any]:
        miou = 1 - abs(job.configuration.get("rate", 9) - 4) / 20 - 0.1 / self.done
        scores = {"miou": miou, "f1": miou, "pixel_accuracy": miou, "latency_ms": 10.0 - miou}
        return {**scores, "rf": [9, 9], "rnorm": 0.2}


def run(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    executor: Pretended | None = None,
    json_lines: TextIO | None = None,
) -> tuple[Outcome, int]:
    spaces = [{"method": "dilation", "rate": [1, 2, 3, 4, 5, 6, 7, 8, 9]}]
    spec = parse_study({**TINY, "search_space": spaces, "training": {"epochs": 9}, "search": settings}, "f")
    executor = executor or Pretended()
    monkeypatch.setattr(module, "take_first_steps", lambda *_: [])
    monkeypatch.setattr(module, "make", lambda *_, **__: executor)
    monkeypatch.setattr(module, "open_mirror", lambda *_: nullcontext(Silent()))
    return search(spec, "f", root, quiet=True, json_lines=json_lines), executor.trained


class Silent:
    """A mirror that mirrors nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def test_a_pruned_search_trains_a_third_and_keeps_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, epochs = run(tmp_path, monkeypatch, {"pruning": {}})
    records = open_store(tmp_path, "tiny").records()
    best = max(records, key=lambda record: record.value("miou"))
    assert (best.configuration["rate"], best.state) == (4, "complete")
    assert {record.result.epochs for record in records if record.state == "pruned"} == {1, 4}
    assert epochs <= 81 / 2.5
    assert (outcome.run, outcome.failed, outcome.end) == (9, 0, "every trial of the grid was run")
    again, trained = run(tmp_path, monkeypatch, {"pruning": {}})
    assert (again.run, trained, again.end) == (0, 0, outcome.end)


def test_a_budget_a_prior_and_what_it_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """rnorm of rate r is (11 + 8 r) / 48."""
    settings = {"prior": {"rnorm": 0.9}, "budget": {"trials": 3}, "objectives": ["miou", "latency_ms"]}
    outcome, _ = run(tmp_path, monkeypatch, settings)
    rates = [record.configuration["rate"] for record in open_store(tmp_path, "tiny").records()]
    assert rates == [1, 4, 5]
    assert outcome.end == "the budget of 3 trials is spent"
    assert outcome.saved is not None
    assert "number 2 of 9 to run, in the grid's own order it is number 4: 2 fewer" in outcome.saved
    more, _ = run(tmp_path, monkeypatch, {**settings, "budget": {"trials": 5}})
    assert (more.run, more.total) == (2, 5)


def test_a_prior_from_a_study_without_a_complete_trial_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autorf.errors import InputError
    from autorf.store.store import Store

    with pytest.raises(InputError, match=r"f: search\.prior\.from_study: no study 'tinny' under"):
        run(tmp_path, monkeypatch, {"prior": {"from_study": "tinny"}})
    Store(tmp_path / "other", "other")
    with pytest.raises(InputError, match=r"no study 'othr'.*did you mean other"):
        run(tmp_path, monkeypatch, {"prior": {"from_study": "othr"}})
    with pytest.raises(InputError, match="study 'other' has no complete trial yet"):
        run(tmp_path, monkeypatch, {"prior": {"from_study": "other"}})
    assert not (tmp_path / "tiny").exists()


class CleanedUp:
    """An object whose clean-up takes some time, in which Ctrl-C is pressed."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(1000))


class Interrupted(Pretended):
    """Meets Ctrl-C in the clean-up of an object, from where no exception gets out, during the second trial."""

    def wait(self, timeout: float) -> list[Event]:
        if self.trained == 12:
            CleanedUp()
        return super().wait(timeout)


@pytest.fixture
def python_ctrl_c() -> Iterator[None]:
    """Ctrl-C as a program of its own has it; in the background, shells have it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("python_ctrl_c")
def test_ctrl_c_in_the_clean_up_of_an_object_ends_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, monkeypatch, {}, Interrupted())
    states = [record.state for record in open_store(tmp_path, "tiny").records()]
    assert states == ["complete", *["waiting"] * 8]
    assert "Exception ignored" not in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    outcome, trained = run(tmp_path, monkeypatch, {})
    assert (outcome.run, outcome.total, trained) == (8, 9, 5 + 7 * 9)


@pytest.mark.usefixtures("python_ctrl_c")
def test_ctrl_c_ends_a_pause_and_a_second_one_is_raised_at_once() -> None:
    with interruption.kept():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruption.pause(1e9)
    with pytest.raises(KeyboardInterrupt), interruption.kept():
        os.kill(os.getpid(), signal.SIGINT)
    with interruption.kept():
        interruption.check()


def test_ctrl_c_that_a_program_handles_its_own_way_stays_its_own() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        with interruption.kept():
            os.kill(os.getpid(), signal.SIGINT)
            interruption.check()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [1]


def test_a_search_that_a_rule_ended_counts_what_it_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"sampler": "random", "budget": {"trials": 9}, "stop": {"no_improvement": 3, "noise": 0.0}}
    run(tmp_path, monkeypatch, settings)
    n = len(open_store(tmp_path, "tiny").records())
    assert n < 9
    lines = io.StringIO()
    again, _ = run(tmp_path, monkeypatch, settings, json_lines=lines)
    assert again.run == 0
    assert [json.loads(line)["total"] for line in lines.getvalue().splitlines()] == [n]
