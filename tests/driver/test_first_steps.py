"""The step that is taken of every kind of configuration before trial one."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import pytest
import torch

from autorf.driver import search as module
from autorf.driver.first_steps import NOTE, kind_of, take_first_steps, untried
from autorf.driver.plan import plan
from autorf.errors import InputError
from autorf.executors import Event, Failure
from autorf.executors.local import LocalExecutor, failure_reason
from autorf.executors.ray_worker import _job_from, config_of
from autorf.methods import LearnedDilation
from autorf.running import first_step, runner
from autorf.running.first_step import batch_sizes, check_scores
from autorf.store.store import open_store
from autorf.study.job import Job
from autorf.study.spec import StudySpec, parse_study
from autorf.training.spec import TrainingSpec
from tests.driver.driving import Silent
from tests.reports import trial_result
from tests.study.trained import Here
from tests.tiny import TINY

SPACES = [{"method": "dilation", "rate": [1, 2]}, {"method": "learned_dilation"}]
SHORT = {"epochs": 1, "batch_size": 24}


class Steps(Here):
    """Runs jobs in this process; a step that raises is told as executors do. ``answer`` answers first steps itself."""

    def __init__(self, answer: Callable[[Job], Event] | None = None) -> None:
        super().__init__()
        self.answer, self.done, self.closed = answer, list[Job](), False

    def wait(self, timeout: float) -> list[Event]:
        job = self.jobs[-1]
        self.done.append(job)
        if self.answer is not None and job.first_step:
            return [self.answer(self.jobs.pop())]
        try:
            return super().wait(timeout)
        except Exception as error:
            return [Event(job.row, "failed", Failure(failure_reason(error)))]

    def close(self) -> None:
        self.closed = True


def study(**parts: Any) -> StudySpec:
    return parse_study({**TINY, "search_space": SPACES, "training": SHORT, "search": {"controls": False}, **parts}, "f")


def run(root: Path, monkeypatch: pytest.MonkeyPatch, spec: StudySpec, executor: Steps | None = None) -> Steps:
    executor = executor or Steps()
    monkeypatch.setattr(module, "make", lambda *_: executor)
    monkeypatch.setattr(module, "open_mirror", lambda *_: nullcontext(Silent()))
    module.search(spec, "f", root, quiet=True)
    return executor


def steps_of(executor: Steps) -> list[str]:
    return [job.trial.method.method for job in executor.done if job.first_step]


def test_one_step_a_kind_is_taken_before_trial_one_and_never_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = run(tmp_path, monkeypatch, study())
    assert [job.first_step for job in executor.done] == [True, True, False, False, False]
    assert steps_of(executor) == ["dilation", "learned_dilation"]
    store = open_store(tmp_path, "tiny")
    assert len(store.notes()[NOTE]) == 2
    assert not list((store.folder / "trials").glob("first*"))
    again = run(tmp_path, monkeypatch, study(training={**SHORT, "seeds": [0, 1]}))
    assert steps_of(again) == []
    assert len(again.done) == 3


def test_an_interrupted_search_takes_no_first_step_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(Steps):
        def wait(self, timeout: float) -> list[Event]:
            if not self.jobs[-1].first_step:
                raise KeyboardInterrupt
            return super().wait(timeout)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, monkeypatch, study(), Stopped())
    assert steps_of(run(tmp_path, monkeypatch, study())) == []


def failed(reason: str, *, crashed: bool = False) -> Callable[[Job], Event]:
    return lambda job: Event(job.row, "failed", Failure(reason, crashed=crashed))


def test_a_step_that_fails_is_told_with_its_trial_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Steps(failed("out of memory: 12 GiB"))
    with pytest.raises(
        InputError, match=r"^f: dilation \(rate 1\) seed 0: the first step failed: out of memory: 12 GiB$"
    ):
        run(tmp_path, monkeypatch, study(), executor)
    assert not (tmp_path / "tiny").exists()
    assert executor.closed
    repaired = run(tmp_path, monkeypatch, study(training={**SHORT, "batch_size": 16}))
    assert len(steps_of(repaired)) == 2


def test_a_worker_that_dies_once_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaths = [True, False, False]

    def answer(job: Job) -> Event:
        if deaths.pop(0):
            return failed("killed", crashed=True)(job)
        return Event(job.row, "done", trial_result(epochs=job.epochs))

    executor = run(tmp_path, monkeypatch, study(), Steps(answer))
    assert steps_of(executor) == ["dilation", "learned_dilation", "dilation"]
    with pytest.raises(InputError, match="first step failed: killed"):
        run(tmp_path / "other", monkeypatch, study(), Steps(failed("killed", crashed=True)))


def test_batch_norm_behind_global_pooling_is_told_with_its_repair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pooling = {"name": "smp:DeepLabV3:mobilenet_v2"}
    space = [{"method": "dilation", "rate": [2], "targets": r"encoder\.features\.17\.conv\.1\.0"}]
    spec = study(model=pooling, search_space=space, training={"epochs": 1, "batch_size": 1})
    with pytest.raises(InputError, match=r"Expected more than 1 value .* give a larger training.batch_size \(of 48"):
        run(tmp_path, monkeypatch, spec)
    from autorf.data import load
    from autorf.driver.estimate import estimates

    trials = plan(spec, "f", tmp_path).examples
    with pytest.raises(InputError, match=r"give a larger training.batch_size"):
        estimates(spec, trials, load(spec.data))


def test_a_measured_step_of_a_search_is_no_search_that_heard_too_little(tmp_path: Path) -> None:
    from autorf.data import load
    from autorf.driver.estimate import estimates

    spec = study()
    trials = plan(spec, "f", tmp_path).examples
    assert any(isinstance(trial.method, LearnedDilation) for trial in trials)
    with catch_warnings():
        simplefilter("error")
        estimates(spec, trials, load(spec.data))


@pytest.mark.parametrize(
    ("n_train", "batch_size", "sizes"),
    [(48, 16, [16]), (50, 16, [16, 2]), (49, 16, [16]), (5, 16, [5]), (6, 1, [1]), (1, 4, [1])],
)
def test_the_smallest_batch_of_an_epoch_is_tried_too(n_train: int, batch_size: int, sizes: list[int]) -> None:
    assert batch_sizes(TrainingSpec(batch_size=batch_size), n_train) == sizes


def test_each_loss_is_a_kind(tmp_path: Path) -> None:
    """A loss may name a layer that the network lacks, or fail as the user's own does."""
    losses = ["cross_entropy", ["cross_entropy", {"name": "contextual", "layer": "head.output"}]]
    spec = study(search_space=[{"method": "dilation", "rate": [1, 2], "training.loss": losses}])
    assert len(untried(plan(spec, "f", tmp_path), [], ())) == 2


def test_each_image_size_and_batch_size_is_a_kind_and_each_rate_and_seed_is_not(tmp_path: Path) -> None:
    space = [{"method": "dilation", "rate": [1, 2], "training.batch_size": [8, 16], "training.lr": [1e-3, 1e-2]}]
    spec = study(search_space=space, training={**SHORT, "seeds": [0, 1]})
    planned = plan(spec, "f", tmp_path)
    sizes = [dict(trial.settings).get("training.batch_size", 24) for trial in untried(planned, [], ()).values()]
    assert sorted(sizes) == [8, 16, 24]
    tried = {kind_of(trial) for trial in planned.trials}
    assert untried(planned, [], tried) == {}


@pytest.mark.parametrize("backbone", ["resnet18", "test_resnet"])
def test_a_classifier_is_no_segmentation_model(tmp_path: Path, backbone: str) -> None:
    space = [{"method": "dilation", "rate": 1, "targets": ".*conv2"}]
    spec = study(model={"name": f"timm:{backbone}"}, search_space=space)
    with pytest.raises(InputError, match=f"use largefov:{backbone}, a segmentation head on it"):
        plan(spec, "f", tmp_path)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (torch.zeros(1, 5), r"gives \(1, 5\), no class scores \(N, 5, H, W\)"),
        (torch.zeros(1, 3, 8, 8), "one channel a class"),
        ({"masks": torch.zeros(1, 5, 8, 8)}, "returns a dict"),
        ([torch.zeros(1, 5, 8, 8)], "returns a list"),
    ],
)
def test_what_scores_no_pixel_is_told_in_one_line(output: Any, said: str) -> None:
    with pytest.raises(InputError, match=f"model.name: theirs .*{said}"):
        check_scores(output, "theirs", 5)
    check_scores({"out": torch.zeros(1, 5, 8, 8)}, "theirs", 5)


def test_want_of_memory_keeps_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_: Any, **__: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 7 bytes")

    monkeypatch.setattr(first_step, "step", step)
    with pytest.raises(InputError, match="first step failed: out of memory: DefaultCPUAllocator"):
        run(tmp_path, monkeypatch, study())


def test_a_worker_takes_a_step_and_trains_nothing(tmp_path: Path) -> None:
    spec = study(search_space=[{"method": "dilation", "rate": 1}])
    trials = {kind_of(trial): trial for trial in plan(spec, "f", tmp_path).trials}
    executor = LocalExecutor(1)
    try:
        assert take_first_steps(spec, "f", tmp_path, trials, executor) == list(trials)
    finally:
        executor.close()
    assert list(tmp_path.iterdir()) == []


def test_ray_is_told_which_jobs_are_first_steps(tmp_path: Path) -> None:
    spec = study()
    trial = plan(spec, "f", tmp_path).trials[0]
    job = Job(-1, "first-step-1", trial.configuration, 0, spec, tmp_path, first_step=True)
    for each in (job, replace(job, first_step=False)):
        assert _job_from(config_of(each), tmp_path).first_step is each.first_step


def test_a_first_step_changes_no_number_of_the_trial(tmp_path: Path) -> None:
    spec = study()
    trial = plan(spec, "f", tmp_path).trials[0]
    job = Job(0, "a", trial.configuration, 0, spec, tmp_path / "a")
    alone = runner.run(job, lambda _: None)
    runner.run(replace(job, first_step=True), lambda _: None)
    behind = runner.run(replace(job, folder=tmp_path / "b"), lambda _: None)
    assert behind.metrics == alone.metrics
