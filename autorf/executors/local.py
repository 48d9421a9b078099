"""Worker processes on this machine."""

import atexit
import errno
import multiprocessing
import os
import signal
import threading
import traceback
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from autorf.executors.base import Event, Failure, RunTrial, ended
from autorf.interruption import held_back
from autorf.streams import guard_streams
from autorf.study.job import Job
from autorf.training.results import EpochReport

_STOP, _GO = "stop", "go"


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    job: Job | None = None
    stopping: bool = False
    at_rung: bool = False


class LocalExecutor:
    """Keeps ``workers`` processes, each running one trial after another.

    Every worker has a pipe of its own: a queue shared by all would stay locked by a worker killed inside it.

    Args:
        workers: how many trials run at once.
        run_trial: what runs a trial, importable by name; None for :func:`autorf.running.runner.run`.
    """

    def __init__(self, workers: int, run_trial: RunTrial | None = None) -> None:
        self.capacity = workers
        self._run_trial = run_trial
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        # Before the interpreter waits for processes that are no daemons.
        atexit.register(self.close)

    def submit(self, job: Job) -> None:
        """Give ``job`` to an idle worker, started when needed."""
        worker = next((worker for worker in self._workers if worker.job is None), None)
        if worker is None:
            assert len(self._workers) < self.capacity, "more jobs submitted than the executor's capacity"
            worker = self._start()
        worker.job, worker.stopping, worker.at_rung = job, False, False
        _send(worker, job)

    def stop(self, row: int) -> None:
        """Have the job of that row end after its current epoch's checkpoint; it answers ``pruned``."""
        for worker in self._workers:
            if worker.job is not None and worker.job.row == row:
                worker.stopping, worker.at_rung = True, False
                _send(worker, _STOP)

    def cancel(self, row: int) -> None:
        """Kill the worker that runs the job of that row."""
        for worker in [worker for worker in self._workers if worker.job is not None and worker.job.row == row]:
            worker.process.kill()
            self._bury(worker)

    def wait(self, timeout: float) -> list[Event]:
        """Events since the last call; a worker that died is one too. Jobs that wait at a rung go on first."""
        for worker in self._workers:
            if worker.at_rung:
                worker.at_rung = False
                _send(worker, _GO)
        connection.wait([worker.pipe for worker in self._workers], timeout)
        return [event for worker in list(self._workers) for event in self._events_of(worker)]

    def close(self) -> None:
        """Terminate every worker."""
        atexit.unregister(self.close)
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
            worker.pipe.close()
        self._workers.clear()

    def _events_of(self, worker: _Worker) -> list[Event]:
        events: list[Event] = []
        try:
            while worker.pipe.poll():
                event: Event = worker.pipe.recv()
                events.append(event)
                if ended(event):
                    worker.job = None
                elif worker.job is not None and not worker.stopping and isinstance(event.payload, EpochReport):
                    worker.at_rung = event.payload.epoch + 1 in worker.job.rungs
        except (EOFError, OSError):
            events += self._bury(worker)
        return events

    def _bury(self, worker: _Worker) -> list[Event]:
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.join(5)
        if worker.job is None:
            return []
        return [Event(worker.job.row, "failed", Failure(_death(worker.process.exitcode), crashed=True))]

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        # A daemon could have no processes of its own that prepare its batches; it ends with its parent all the same.
        process = self._context.Process(target=_work, args=(theirs, self._run_trial), daemon=False)
        with held_back():
            process.start()
        # Only with this end closed here does the worker's death close the pipe.
        theirs.close()
        self._workers.append(_Worker(process, ours))
        return self._workers[-1]


def _send(worker: _Worker, message: object) -> None:
    # A worker that is gone is noticed by the next wait, which reports its job.
    try:
        worker.pipe.send(message)
    except OSError:
        return


def _death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = ": most often the machine ran out of memory" if name == "SIGKILL" else ""
        return f"the worker process was killed by {name}{hint}"
    return f"the worker process ended with exit code {exit_code}"


def _work(pipe: Connection, run_trial: RunTrial | None) -> None:
    """A worker's life: run jobs until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a trial prints must not end it where nobody reads any more.
    guard_streams()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    run = run_trial or default_runner()
    while True:
        job = pipe.recv()
        if isinstance(job, Job):
            pipe.send(_outcome(job, _Link(pipe, job), run))


def default_runner() -> RunTrial:
    """What runs a trial; imported late, for it brings Lightning along."""
    from autorf.running.runner import run

    return run


class _Link:
    """What a running trial says and hears."""

    def __init__(self, pipe: Connection, job: Job) -> None:
        self.pipe, self.job, self.epochs = pipe, job, 0

    def report(self, epoch: EpochReport) -> None:
        self.epochs = epoch.epoch + 1
        self.pipe.send(Event(self.job.row, "epoch", epoch))

    def stopped(self) -> bool:
        messages = [self.pipe.recv()] if self.epochs in self.job.rungs else []
        while self.pipe.poll():
            messages.append(self.pipe.recv())
        return _STOP in messages


def _outcome(job: Job, link: _Link, run_trial: RunTrial) -> Event:
    try:
        result = run_trial(job, link.report, link.stopped)
    except Exception as error:
        return Event(job.row, "failed", Failure(failure_reason(error), traceback.format_exc()))
    return Event(job.row, "done" if job.is_whole(result) else "pruned", result)


_LONGEST_CAUSE = 120
"""Of a lack of memory: CUDA tells it in five sentences."""

_LESS_MEMORY = (
    "; run fewer trials at a time (executor.workers, or resources) and search again with --retry-failed, or begin a "
    "study of another name with a smaller training.batch_size, or precision: bf16"
)


def failure_reason(error: BaseException) -> str:
    """One line that says why a trial failed."""
    text = str(error).strip().splitlines()
    line = text[0] if text else ""
    if isinstance(error, MemoryError) or "out of memory" in line.lower() or "can't allocate memory" in line.lower():
        return f"out of memory: {line[:_LONGEST_CAUSE]}{_LESS_MEMORY}"
    if isinstance(error, OSError) and (error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in line):
        return f"disk full: {line.removeprefix(f'[Errno {error.errno}] ')}"
    return line if isinstance(error, ValueError | FloatingPointError) and line else f"{type(error).__name__}: {line}"


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
