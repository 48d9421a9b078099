"""The smallest distillation: a second for all of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from autorf.data import load
from autorf.distillation.checks import Kept
from autorf.distillation.distill import stage_jobs
from autorf.distillation.images import stage_images
from autorf.distillation.run_stage import run_stage
from autorf.distillation.stage import StageJob, lengths
from autorf.executors import Event
from autorf.study.job import Job
from autorf.study.spec import StudySpec, parse_study
from autorf.training.results import EpochReport

MODEL: dict[str, Any] = {"name": "largefov:test_byobnet", "stage": 1, "channels": [4, 4], "head_norm": True}

STUDY: dict[str, Any] = {
    "name": "small",
    "data": {"name": "digits", "image_size": 24, "object_size": 12, "n_train": 20, "n_val": 4, "n_test": 4},
    "model": MODEL,
    "search_space": [{"method": "dilation", "rate": 1}],
    "training": {"batch_size": 4},
    "distill": {
        "teacher": {"model": {**MODEL, "channels": [12, 12]}, "epochs": 1},
        "supervised": {"epochs": 2},
        "unsupervised": {"epochs": 2},
        "unlabelled": {"labelled": 8},
        "top_k": 10,
    },
}


def study(**changes: Any) -> StudySpec:
    """The study with keys of its section ``distill`` changed."""
    return parse_study({**STUDY, "distill": {**STUDY["distill"], **changes}}, "small.yaml")


def jobs_of(spec: StudySpec, target: Path, kept: Kept | None = None) -> dict[str, StageJob]:
    """The stages of a study by their keys."""
    assert spec.distill is not None
    images = stage_images(load(spec.data), spec.data, spec.distill.unlabelled)
    steps = lengths(spec, spec.distill, len(images.splits.train), len(images.unlabelled or ()))
    return stage_jobs(spec, spec.distill, target, steps, kept or Kept(True, True))


def ignored(_: EpochReport) -> None:
    """Nobody listens."""


class Here:
    """An executor that runs stages in this process; ``watch`` is told of each before it begins."""

    capacity = 1

    def __init__(self, watch: Callable[[Job], None] = lambda _: None) -> None:
        self.watch = watch
        self.jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def wait(self, timeout: float) -> list[Event]:
        job = self.jobs.pop()
        self.watch(job)
        return [Event(job.row, "done", run_stage(job, ignored))]

    def close(self) -> None:
        pass
