"""Who hears what becomes of trials while they run: the display, MLflow's mirror, and whatever else is added."""

from collections.abc import Sequence

from autorf.store.record import Record
from autorf.tracking import BackgroundMirror
from autorf.training.results import EpochReport


class Listener:
    """Hears of everything that happens in a loop of trials; does nothing about what it does not override."""

    def started(self, record: Record) -> None:
        """A trial began."""

    def epoch(self, record: Record, measured: EpochReport) -> None:
        """A trial finished an epoch; ``record`` holds it already."""

    def finished(self, record: Record) -> None:
        """A trial ended, well or not."""

    def lost(self, record: Record) -> None:
        """Another driver took a trial over."""

    def seen(self, records: Sequence[Record]) -> None:
        """How the trials are in the storage, where other drivers of the study may have run some meanwhile."""

    def note(self, text: str) -> None:
        """Something else that people may want to know."""


class Listeners(Listener):
    """Passes everything on to several listeners, in their order."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def started(self, record: Record) -> None:
        """A trial began."""
        for listener in self._listeners:
            listener.started(record)

    def epoch(self, record: Record, measured: EpochReport) -> None:
        """A trial finished an epoch."""
        for listener in self._listeners:
            listener.epoch(record, measured)

    def finished(self, record: Record) -> None:
        """A trial ended."""
        for listener in self._listeners:
            listener.finished(record)

    def lost(self, record: Record) -> None:
        """Another driver took a trial over."""
        for listener in self._listeners:
            listener.lost(record)

    def seen(self, records: Sequence[Record]) -> None:
        """How the trials are in the storage."""
        for listener in self._listeners:
            listener.seen(records)

    def note(self, text: str) -> None:
        """Something else that people may want to know."""
        for listener in self._listeners:
            listener.note(text)


class MirrorListener(Listener):
    """Brings MLflow's run of a trial up to its record after each epoch and at its end."""

    def __init__(self, mirror: BackgroundMirror) -> None:
        self._mirror = mirror

    def epoch(self, record: Record, measured: EpochReport) -> None:
        """Mirror the epoch, soon."""
        self._mirror.sync(record)

    def finished(self, record: Record) -> None:
        """Mirror the end, soon."""
        self._mirror.sync(record)
