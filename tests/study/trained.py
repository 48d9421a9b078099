"""A small study whose trials are trained in this process, and what retrains in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from autorf.executors import Event
from autorf.running.runner import run
from autorf.store.store import Store
from autorf.study.job import Job
from autorf.study.spec import parse_study
from autorf.study.trial import grid
from autorf.training.results import EpochReport
from tests.reports import changed
from tests.tiny import TINY

STUDY: dict[str, Any] = {
    **TINY,
    "data": {**TINY["data"], "n_train": 32, "n_test": 8},
    "search_space": [{"method": "learned_dilation", "start": 4}, {"method": "dilation", "rate": [1, 2]}],
}
LEARNED, MANUAL, UNFINISHED = 0, 1, 2


def train_study(root: Path) -> list[str]:
    """Train the learned trial and the first manual one, in that order of success; returns all keys."""
    spec = parse_study(STUDY, "tiny.yaml")
    store = Store(root / "tiny", "tiny")
    store.register(spec, grid(spec, "tiny.yaml"))
    for value in (0.9, 0.1):
        record = store.claim()
        assert record is not None
        folder = store.folder / "trials" / record.key
        result = run(Job(record.row, record.key, record.configuration, record.seed, spec, folder), lambda _: None)
        store.complete(record, changed(result, miou=value), value)
    return [record.key for record in store.records()]


class Here:
    """An executor that runs its jobs in this process; ``watch`` sees every event first."""

    capacity = 1

    def __init__(self, watch: Callable[[Event], None] = lambda _: None) -> None:
        self.watch = watch
        self.jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def wait(self, timeout: float) -> list[Event]:
        events: list[Event] = []

        def report(epoch: EpochReport) -> None:
            events.append(Event(job.row, "epoch", epoch))
            self.watch(events[-1])

        job = self.jobs.pop()
        result = run(job, report)
        return [*events, Event(job.row, "done", result)]

    def close(self) -> None:
        pass
