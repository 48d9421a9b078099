"""Waiting for the trials that other drivers of the same study run."""

from autorf import interruption
from autorf.driver.progress import Progress
from autorf.store.record import Record
from autorf.store.store import Store

PAUSE_SECONDS = (0.2, 5.0)
"""First and longest pause between two looks; it doubles while nothing changes."""


class OtherDriversWait:
    """What a driver does that has nothing to run while others do: it waits, to take over should they die."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self.store, self.progress = store, progress
        self._told: set[str] = set()
        self._pause = PAUSE_SECONDS[0]

    def wait(self) -> bool:
        """Whether there is, or may still be, something to run; pauses when others run what is left."""
        if self.store.recover():
            self._pause = PAUSE_SECONDS[0]
            return True
        records = self.store.records()
        self.progress.seen(records)
        left = [record for record in records if record.state in ("waiting", "running")]
        if any(record.state == "waiting" for record in left):
            return True
        if left:
            self._tell(left)
            interruption.pause(self._pause)
            self._pause = min(2 * self._pause, PAUSE_SECONDS[1])
        return bool(left)

    def _tell(self, left: list[Record]) -> None:
        holders = {f"{record.lease.get('host', '?')} (process {record.lease.get('pid', '?')})" for record in left}
        new = holders - self._told
        if new:
            self._told |= new
            trials = f"{len(left)} trial{'s' if len(left) > 1 else ''}"
            self.progress.note(f"waiting for {trials} that run on {', '.join(sorted(new))}; taken over should that end")
