"""The trials of a study, claimed from its store and kept there: what a search's loop runs."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from autorf.driver.listeners import Listener
from autorf.driver.loop import TrialSource
from autorf.driver.scheduler import Scheduler
from autorf.driver.waiting import OtherDriversWait
from autorf.errors import StorageLostError
from autorf.executors import Event
from autorf.files import write_atomically
from autorf.store.record import Record
from autorf.store.store import Store
from autorf.study.job import Job
from autorf.study.spec import StorageSpec, StudySpec
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
        )

    def wait(self) -> bool:
        """Wait for other drivers, until the scheduler says that nothing is left."""
        if self._scheduler.over:
            self._scheduler.close()
            return False
        self._others.wait()
        return True

    def epoch(self, record: Record, measured: dict[str, Any]) -> Record:
        """Store an epoch; the trial's worker has not crashed in vain then."""
        self._store.report(record, measured)
        return replace(record, history=[*record.history, measured], crashes=0)

    def goes_on(self, record: Record, measured: dict[str, Any]) -> bool:
        """Whether the scheduler has the trial go on."""
        return self._scheduler.goes_on(record, measured)

    def end(self, record: Record, event: Event) -> Record | None:
        """Store the end; a trial whose worker crashed is enqueued again where that may help."""
        if event.kind == "done":
            self._store.complete(record, event.payload, value=self._scheduler.value(event.payload))
            clear_checkpoints(self._folder(record))
        elif event.kind == "pruned":
            self._store.prune(record, event.payload, value=self._scheduler.value(event.payload))
        elif event.payload.get("crashed") and (crashes := _crashes(event, record)) < CRASHES:
            self._store.requeue(record, str(event.payload["reason"]), crashes=crashes)
            self._listener.note(f"{record.label}: {event.payload['reason']}; it goes on from its checkpoint")
            return None
        else:
            self._store.fail(record, str(event.payload["reason"]))
            _keep_traceback(self._folder(record), event)
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


def _crashes(event: Event, record: Record) -> int:
    """How often in a row the trial's worker died without finishing an epoch; a lost node is not the trial's doing."""
    return record.crashes + (not event.payload.get("lost_node"))


def _keep_traceback(folder: Path, event: Event) -> None:
    # On a full disk the reason, which is stored, has to do.
    with suppress(OSError):
        if "traceback" in event.payload:
            write_atomically(folder / "traceback.txt", event.payload["traceback"])
