"""Waiting for the trials that other drivers of the same study run."""

from collections.abc import Sequence

from autorf import interruption
from autorf.driver.listeners import Listener
from autorf.store.record import Record
from autorf.store.store import Store

PAUSE_SECONDS = (0.2, 5.0)
"""First and longest pause between two looks; it doubles while nothing changes."""


class OtherDriversWait:
    """What a driver does that has nothing to run while others do: it waits, to take over should they die."""

    def __init__(self, store: Store, listener: Listener) -> None:
        self._store, self._listener = store, listener
        self._named_holders: set[str] = set()
        self._pause = PAUSE_SECONDS[0]

    def wait(self) -> None:
        """Return at once where there may be something to run; pause where others run what is left."""
        if self._store.recover():
            self._pause = PAUSE_SECONDS[0]
            return
        records = self._store.records()
        self._listener.seen(records)
        unfinished = [record for record in records if not record.finished]
        if unfinished and all(record.state == "running" for record in unfinished):
            self._note_holders(unfinished)
            interruption.pause(self._pause)
            self._pause = min(2 * self._pause, PAUSE_SECONDS[1])

    def _note_holders(self, running: Sequence[Record]) -> None:
        holders = {f"{record.lease.get('host', '?')} (process {record.lease.get('pid', '?')})" for record in running}
        unnamed = holders - self._named_holders
        if unnamed:
            self._named_holders |= unnamed
            trials = f"{len(running)} trial{'s' if len(running) > 1 else ''}"
            names = ", ".join(sorted(unnamed))
            self._listener.note(f"waiting for {trials} that run on {names}; taken over should that end")
