"""The trials of a study, claimed from its store and kept there: what a search's loop runs."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from autorf.driver.listeners import Listener
from autorf.driver.loop import TrialSource
from autorf.driver.scheduler import Scheduler
from autorf.driver.waiting import OtherDriversWait
from autorf.errors import StorageLostError
from autorf.executors import Event, Failure
from autorf.files import write_atomically
from autorf.store.record import Record
from autorf.store.store import Store
from autorf.study.job import Job
from autorf.study.spec import StudySpec
from autorf.study.storage_spec import StorageSpec
from autorf.training.results import EpochReport
from autorf.training.resuming import clear_checkpoints

CRASHES = 2
"""A trial whose worker died so often in a row, without an epoch between, has failed."""


class StudyTrials(TrialSource):
    """What the scheduler chooses, with everything that becomes of it written to the store.

    Args:
        spec: the study.
        store: of the study.
        scheduler: decides what runs next, and what goes on.
        listener: hears of what the loop does not see: other drivers' trials, and crashes.
    """

    def __init__(self, spec: StudySpec, store: Store, scheduler: Scheduler, listener: Listener) -> None:
        self._store, self._scheduler, self._listener = store, scheduler, listener
        scheduler.listener = listener
        # Workers have no business with the storage, and its password none with them.
        self._workers_spec = spec.model_copy(update={"storage": StorageSpec()})
        self._others = OtherDriversWait(store, listener)
        self.renew_seconds = store.lease_seconds / 4

    def begin(self) -> None:
        """Complete what an earlier driver drew; note that this one is at work."""
        self._scheduler.begin()

    def next(self) -> Record | None:
        """The next trial to run, claimed."""
        return self._scheduler.next()

    def job(self, record: Record) -> Job:
        """A claimed trial, self-contained; it continues where earlier attempts came to."""
        return Job(
            record.row,
            record.key,
            record.configuration,
            record.seed,
            self._workers_spec,
            self._folder(record),
            rungs=self._scheduler.rungs(record),
            reached=len(record.history),
            reported=tuple(epoch.steps for epoch in record.history if epoch.steps is not None),
        )

    def wait(self) -> bool:
        """Wait for other drivers, until the scheduler says that nothing is left."""
        if self._scheduler.over:
            self._scheduler.close()
            return False
        self._others.wait()
        return True

    def epoch(self, record: Record, measured: EpochReport) -> Record:
        """Store an epoch; the trial's worker has not crashed in vain then."""
        self._store.report(record, measured)
        return replace(record, history=(*record.history, measured), crashes=0)

    def goes_on(self, record: Record, measured: EpochReport) -> bool:
        """Whether the scheduler has the trial go on."""
        return self._scheduler.goes_on(record, measured)

    def end(self, record: Record, event: Event) -> Record | None:
        """Store the end; a trial whose worker crashed is enqueued again where that may help."""
        payload = event.payload
        assert not isinstance(payload, EpochReport), "an epoch is no end"
        if not isinstance(payload, Failure):
            store_end = self._store.complete if event.kind == "done" else self._store.prune
            store_end(record, payload, value=self._scheduler.value(payload))
            if event.kind == "done":
                clear_checkpoints(self._folder(record))
        elif payload.crashed and (crashes := _crashes(payload, record)) < CRASHES:
            self._store.requeue(record, payload.reason, crashes=crashes)
            self._listener.note(f"{record.label}: {payload.reason}; it goes on from its checkpoint")
            return None
        else:
            self._store.fail(record, payload.reason)
            _keep_traceback(self._folder(record), payload)
        records = self._store.records()
        self._listener.seen(records)
        return next(newest for newest in records if newest.key == record.key)

    def renew(self, record: Record) -> None:
        """Renew the trial's lease."""
        self._store.renew(record)

    def tick(self) -> None:
        """Let the scheduler count its hours."""
        self._scheduler.tick()

    def give_back(self, records: Sequence[Record]) -> None:
        """Enqueue the trials again, for whoever runs the study next."""
        self._store.hurry()
        # A storage that is away cannot be told; the leases then tell the next driver.
        with suppress(StorageLostError):
            for record in records:
                self._store.requeue(record, "interrupted")

    def _folder(self, record: Record) -> Path:
        return self._store.folder / "trials" / record.key


def _crashes(failure: Failure, record: Record) -> int:
    """How often in a row the trial's worker died without finishing an epoch; a lost node is not the trial's doing."""
    return record.crashes + (not failure.lost_node)


def _keep_traceback(folder: Path, failure: Failure) -> None:
    # On a full disk the reason, which is stored, has to do.
    with suppress(OSError):
        if failure.traceback is not None:
            write_atomically(folder / "traceback.txt", failure.traceback)
