"""Trainings outside a study's storage: each keeps its result in its own folder, so that it is run once."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from autorf.driver.loop import TrialSource
from autorf.errors import InputError
from autorf.executors import Event, Failure
from autorf.files import lock, write_atomically
from autorf.store.record import Record
from autorf.study.job import Job
from autorf.study.trial import Trial
from autorf.training.results import EpochReport, TrialResult

_RESULT = "result.json"


class KeptTrainings(TrialSource):
    """The jobs that have no result yet, each run once; a result is kept in its job's folder.

    Args:
        jobs: in the order in which they run, each with a row of its own.
        needs: by a job's key those of the jobs whose results it needs; it begins when they are there.

    Attributes:
        reason: why a training failed, if one did.
    """

    def __init__(self, jobs: Sequence[Job], needs: Mapping[str, Sequence[str]] | None = None) -> None:
        self._jobs = {job.row: job for job in jobs if not result_path(job).is_file()}
        self._needs = needs or {}
        self._missing = {job.key for job in self._jobs.values()}
        self.records = [
            Record(row, job.key, job.configuration, job.seed, "waiting", 1, self.trial(job))
            for row, job in self._jobs.items()
        ]
        self._waiting = list(self.records)
        self.reason: str | None = None

    def trial(self, job: Job) -> Trial | None:
        """The trial that a display names; None where the job is of none."""
        return job.trial

    def next(self) -> Record | None:
        """The first training that waits and has what it needs."""
        for record in self._waiting:
            if self._missing.isdisjoint(self._needs.get(record.key, ())):
                self._waiting.remove(record)
                return record
        return None

    def job(self, record: Record) -> Job:
        """The job of a training."""
        return self._jobs[record.row]

    def epoch(self, record: Record, measured: EpochReport) -> Record:
        """Nothing is kept of an epoch but the worker's own checkpoint."""
        return replace(record, history=(*record.history, measured))

    def end(self, record: Record, event: Event) -> Record:
        """Keep the result; a training that failed is not repeated, and those that need it are not begun."""
        if isinstance(event.payload, TrialResult):
            write_atomically(result_path(self.job(record)), json.dumps(event.payload.to_json()))
            self._missing.discard(record.key)
            return replace(record, state="complete", result=event.payload)
        assert isinstance(event.payload, Failure), "an epoch is no end"
        self.reason = event.payload.reason
        return replace(record, state="failed", reason=self.reason)


def result_path(job: Job) -> Path:
    """The file that keeps a job's result."""
    return job.folder / _RESULT


def result_of(job: Job) -> TrialResult:
    """The result that a job has left."""
    stored: Any = json.loads(result_path(job).read_text())
    return TrialResult.from_json(stored)


@contextmanager
def held(folder: Path, otherwise: str) -> Iterator[None]:
    """Keep other processes out of a folder, which is made; ends with the process, however it dies.

    Raises:
        InputError: ``otherwise``, where another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor, wait=False)
        yield
    except BlockingIOError:
        raise InputError(otherwise) from None
    finally:
        os.close(descriptor)
