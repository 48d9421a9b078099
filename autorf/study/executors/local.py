"""Worker processes on this machine."""

import multiprocessing
import os
import queue
import signal
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from typing import Any

from autorf.study.executors.base import Event, Job


@dataclass
class _Worker:
    process: BaseProcess
    jobs: "Queue[Job]"
    job: Job | None = None


class LocalExecutor:
    """Keeps ``workers`` processes, each running one trial after another."""

    def __init__(self, workers: int) -> None:
        self.capacity = workers
        self._context = multiprocessing.get_context("spawn")
        self._events: Queue[Event] = self._context.Queue()
        self._workers: list[_Worker] = []

    def submit(self, job: Job) -> None:
        """Give ``job`` to an idle worker, started when needed."""
        worker = next((worker for worker in self._workers if worker.job is None), None)
        if worker is None:
            assert len(self._workers) < self.capacity, "more jobs submitted than the executor's capacity"
            worker = self._start()
        worker.job = job
        worker.jobs.put(job)

    def wait(self, timeout: float) -> list[Event]:
        """Events since the last call; a worker that died is one too."""
        events = self._drain(timeout)
        for worker in list(self._workers):
            if not worker.process.is_alive():
                # What it said before it died may still be in the pipe.
                events += self._drain(0.2)
                self._workers.remove(worker)
                if worker.job is not None and not any(_ends(event, worker.job) for event in events):
                    reason = _death(worker.process.exitcode)
                    events.append(Event(worker.job.row, "failed", {"reason": reason}))
        for event in events:
            for worker in self._workers:
                if worker.job is not None and _ends(event, worker.job):
                    worker.job = None
        return events

    def close(self) -> None:
        """Terminate every worker."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
        self._workers.clear()

    def _start(self) -> _Worker:
        jobs: Queue[Job] = self._context.Queue()
        process = self._context.Process(target=_work, args=(jobs, self._events), daemon=True)
        process.start()
        self._workers.append(_Worker(process, jobs))
        return self._workers[-1]

    def _drain(self, timeout: float) -> list[Event]:
        events: list[Event] = []
        try:
            events.append(self._events.get(timeout=timeout))
            while True:
                events.append(self._events.get_nowait())
        except queue.Empty:
            return events


def _ends(event: Event, job: Job) -> bool:
    return event.row == job.row and event.kind in ("done", "failed")


def _death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = ": most often the machine ran out of memory" if name == "SIGKILL" else ""
        return f"the worker process was killed by {name}{hint}"
    return f"the worker process ended with exit code {exit_code}"


def _work(jobs: "Queue[Job]", events: "Queue[Event]") -> None:
    """A worker's life: run jobs until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    from autorf.study.runner import run

    while True:
        job = jobs.get()
        events.put(_outcome(job, events, run))


def _outcome(job: Job, events: "Queue[Event]", run: Any) -> Event:
    try:
        return Event(job.row, "done", run(job, lambda epoch: events.put(Event(job.row, "epoch", epoch))))
    except Exception as error:
        details = {"reason": failure_reason(error), "traceback": traceback.format_exc()}
        return Event(job.row, "failed", details)


def failure_reason(error: BaseException) -> str:
    """One line that says why a trial failed."""
    text = str(error).strip().splitlines()
    line = text[0] if text else ""
    if isinstance(error, MemoryError) or "out of memory" in line.lower() or "can't allocate memory" in line.lower():
        return f"out of memory: {line}"
    return line if isinstance(error, ValueError | FloatingPointError) and line else f"{type(error).__name__}: {line}"


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
