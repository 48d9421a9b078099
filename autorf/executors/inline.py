"""Trials in the program's own process: for functions that no other process can import, and where none is wanted."""

import queue
import threading
import traceback
from collections.abc import Callable

from autorf.executors.base import Event, Failure, RunTrial, ended
from autorf.executors.local import failure_reason
from autorf.study.job import Job
from autorf.training.results import EpochReport

CLOSE_SECONDS = 5.0
"""How long the end of a search waits for a trial to hear that it was given up."""


class GivenUpError(BaseException):
    """Raised in a trial that was given up, from what it reports by; no Exception, so that few catch it."""


class InlineExecutor:
    """Runs one trial at a time in a thread, so that the search goes on hearing and deciding.

    Args:
        run_trial: what runs a trial; nothing is imported anew for it.
    """

    capacity = 1

    def __init__(self, run_trial: RunTrial) -> None:
        self._run_trial = run_trial
        self._events: queue.Queue[Event] = queue.Queue()
        self._link: _Link | None = None
        self._thread: threading.Thread | None = None
        self._at_rung: list[_Link] = []

    def submit(self, job: Job) -> None:
        """Begin ``job``; the one before has ended."""
        if self._thread is not None:
            self._thread.join()
        self._link = _Link(job, self._events.put)
        self._thread = threading.Thread(target=_work, args=(self._run_trial, self._link), name="trial", daemon=True)
        self._thread.start()

    def stop(self, row: int) -> None:
        """Have the job of that row told to return at the report that it makes or waits at."""
        if self._link is not None and self._link.job.row == row:
            self._link.stopping = True
            self._link.may_go.set()

    def cancel(self, row: int) -> None:
        """Have the job of that row end at its next report, unheard."""
        if self._link is not None and self._link.job.row == row:
            self._link.give_up()

    def wait(self, timeout: float) -> list[Event]:
        """Events since the last call; a job that waits at a rung goes on first."""
        for link in self._at_rung:
            link.may_go.set()
        self._at_rung.clear()
        events: list[Event] = []
        try:
            events.append(self._events.get(timeout=max(0.0, timeout)))
            while True:
                events.append(self._events.get_nowait())
        except queue.Empty:
            pass
        for event in events:
            if self._link is not None and event.row == self._link.job.row and self._link.is_at_rung(event):
                self._at_rung.append(self._link)
        return events

    def close(self) -> None:
        """Give up what still runs: it ends at its next report."""
        if self._link is not None and self._thread is not None and self._thread.is_alive():
            self._link.give_up()
            self._thread.join(CLOSE_SECONDS)


class _Link:
    """What a running trial says and hears."""

    def __init__(self, job: Job, say: Callable[[Event], None]) -> None:
        self.job, self._say = job, say
        self.stopping = False
        self.may_go = threading.Event()
        self._reported = 0
        self._given_up = False

    def is_at_rung(self, event: Event) -> bool:
        return not ended(event) and isinstance(event.payload, EpochReport) and event.payload.epoch + 1 in self.job.rungs

    def report(self, epoch: EpochReport) -> None:
        self._check()
        event = Event(self.job.row, "epoch", epoch)
        if self.is_at_rung(event):
            self.may_go.clear()
        self._reported = epoch.epoch + 1
        self._say(event)

    def stopped(self) -> bool:
        if self._reported in self.job.rungs:
            self.may_go.wait()
        self._check()
        return self.stopping

    def end(self, event: Event) -> None:
        if not self._given_up:
            self._say(event)

    def give_up(self) -> None:
        self._given_up = True
        self.may_go.set()

    def _check(self) -> None:
        if self._given_up:
            raise GivenUpError


def _work(run_trial: RunTrial, link: _Link) -> None:
    row = link.job.row
    try:
        result = run_trial(link.job, link.report, link.stopped)
    except GivenUpError:
        return
    # A function that calls sys.exit has failed; the program goes on.
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        link.end(Event(row, "failed", Failure(failure_reason(error), traceback.format_exc())))
    else:
        link.end(Event(row, "done" if link.job.is_whole(result) else "pruned", result))
