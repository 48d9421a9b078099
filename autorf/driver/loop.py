"""The loop that runs trials: it asks a source what comes next, keeps an executor busy, and tells listeners."""

import math
import sys
import time
from collections.abc import Sequence

from autorf import interruption
from autorf.driver.listeners import Listener
from autorf.executors import Event, Executor
from autorf.store.record import Record
from autorf.store.store import TakenOverError
from autorf.study.job import Job
from autorf.training.results import EpochReport

POLL_SECONDS = 1.0


class TrialSource:
    """Says which trials a loop runs, and keeps what becomes of them.

    What every source does itself raises ``NotImplementedError`` here; the rest suits one that nobody else works on.

    Attributes:
        renew_seconds: how often :meth:`renew` is to be called for each running trial.
    """

    renew_seconds: float = math.inf

    def begin(self) -> None:
        """Prepare; called once, before anything else."""

    def next(self) -> Record | None:
        """The trial to run next; None where there is none, or none yet."""
        raise NotImplementedError

    def job(self, record: Record) -> Job:
        """What an executor needs to run a trial that :meth:`next` gave."""
        raise NotImplementedError

    def wait(self) -> bool:
        """Asked when nothing runs and :meth:`next` gave nothing: whether the loop goes on, after a pause if need be."""
        return False

    def epoch(self, record: Record, measured: EpochReport) -> Record:
        """Keep what a running trial measured in an epoch; the record with it.

        Raises:
            TakenOverError: when another driver took the trial over.
        """
        raise NotImplementedError

    def goes_on(self, record: Record, measured: EpochReport) -> bool:
        """Whether a running trial goes on after an epoch that was just kept."""
        return True

    def end(self, record: Record, event: Event) -> Record | None:
        """Keep the end of a trial; the record as it is then, or None where the trial will run again.

        Raises:
            TakenOverError: when another driver took the trial over.
        """
        raise NotImplementedError

    def renew(self, record: Record) -> None:
        """Say that a trial is still being run.

        Raises:
            TakenOverError: when another driver took the trial over.
        """

    def tick(self) -> None:
        """Called again and again while the loop runs."""

    def give_back(self, records: Sequence[Record]) -> None:
        """Leave trials that were running when the loop ended early so that the next loop continues them."""


class TrialLoop:
    """Runs the trials of a source on an executor, and tells a listener what happens.

    Args:
        executor: where trials run; closed when the loop ends.
        source: of the trials.
        listener: see :class:`autorf.driver.listeners.Listeners` for several.
    """

    def __init__(self, executor: Executor, source: TrialSource, listener: Listener) -> None:
        self._executor, self._source, self._listener = executor, source, listener
        self._running: dict[int, Record] = {}
        self._renewed = time.monotonic()

    def run(self) -> None:
        """Run until the source has nothing left.

        Raises:
            KeyboardInterrupt: on Ctrl-C, once nothing is half done; running trials were given back then, as after any
                other exception.
        """
        try:
            with interruption.kept():
                self._run()
        except BaseException:
            self._executor.close()
            self._source.give_back(list(self._running.values()))
            raise
        finally:
            self._executor.close()

    def _run(self) -> None:
        self._source.begin()
        while True:
            interruption.check()
            self._start_trials()
            if not self._running and not self._source.wait():
                return
            for event in self._executor.wait(POLL_SECONDS) if self._running else ():
                self._take(event)
            self._renew()
            self._source.tick()

    def _start_trials(self) -> None:
        while len(self._running) < self._executor.capacity and (record := self._source.next()):
            self._running[record.row] = record
            self._listener.started(record)
            self._executor.submit(self._source.job(record))

    def _take(self, event: Event) -> None:
        record = self._running.get(event.row)
        if record is None:
            # What a trial still says after it was given up.
            return
        try:
            if isinstance(event.payload, EpochReport):
                self._take_epoch(record, event.payload)
            else:
                self._take_end(record, event)
        except TakenOverError as error:
            self._give_up(record, error)

    def _take_epoch(self, record: Record, measured: EpochReport) -> None:
        record = self._running[record.row] = self._source.epoch(record, measured)
        self._listener.epoch(record, measured)
        if not self._source.goes_on(record, measured):
            self._executor.stop(record.row)

    def _take_end(self, record: Record, event: Event) -> None:
        del self._running[record.row]
        finished = self._source.end(record, event)
        if finished is not None:
            self._listener.finished(finished)

    def _renew(self) -> None:
        if time.monotonic() - self._renewed < self._source.renew_seconds:
            return
        for record in list(self._running.values()):
            try:
                self._source.renew(record)
            except TakenOverError as error:
                self._give_up(record, error)
        self._renewed = time.monotonic()

    def _give_up(self, record: Record, error: TakenOverError) -> None:
        print(error, file=sys.stderr)
        self._listener.lost(record)
        self._executor.cancel(record.row)
        self._running.pop(record.row, None)
