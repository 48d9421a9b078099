"""The mirror in a thread of its own: whatever MLflow does, the study neither fails nor waits for it."""

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from autorf.data.loading import labels_of
from autorf.errors import missing_library
from autorf.store.store import Record
from autorf.study.own_loop import OwnLoopSpec
from autorf.study.spec import StudySpec
from autorf.tracking.client import insecure, own_settings, shown_uri, tracking_uri
from autorf.tracking.mirror import Mirror
from autorf.tracking.values import renamed_classes

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

PAUSE_SECONDS = 60.0
"""So long after a failure nothing is tried; what was missed comes later."""

CLOSE_SECONDS = 60.0
INTERRUPTED_SECONDS = 5.0
"""How long the end of a search waits for the mirror; the next run repairs what is missing then."""


def open_mirror(spec: StudySpec, root: Path, identity: str) -> "BackgroundMirror":
    """The mirror a study asks for; without a URI its files lie under ``root`` too, not in the current folder."""
    uri = tracking_uri(spec.tracking.uri, root)
    if warning := insecure(uri):
        print(f"autorf: {warning}", file=sys.stderr)
    names = (spec.data.classes or ()) if isinstance(spec, OwnLoopSpec) else labels_of(spec.data).class_names
    if renamed := renamed_classes(names):
        print(f"autorf: {renamed}", file=sys.stderr)
    artifacts = None if spec.tracking.uri else (root / "mlartifacts" / spec.name).resolve().as_uri()
    return BackgroundMirror(Mirror(uri, spec, identity, root / spec.name, artifacts))


class BackgroundMirror:
    """Hands a :class:`Mirror` its work through a queue.

    When MLflow fails, one line says so; it is tried again after a pause and at the end, and the next run repairs what
    is still missing then. A context: leaving it waits for the mirror, for a bounded time.
    """

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._latest: dict[str, Record] = {}
        self._lock = threading.Lock()
        self._paused_until = 0.0
        self._warned = False
        self._monitor: SystemMetricsMonitor | None = None
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._work.put(None)
        self._thread.join(CLOSE_SECONDS if kind is None else INTERRUPTED_SECONDS)
        if self._thread.is_alive():
            self._warn("did not take everything in time")

    def begin(self, records: Iterable[Record]) -> None:
        """Say that the study runs, and end the runs that a killed driver left running."""
        rows = list(records)
        self._work.put(lambda: self._guarded(lambda: self._begin(rows)))

    def sync(self, record: Record) -> None:
        """Bring one trial's run up to its record, soon; of several records of one trial that wait the last counts."""
        with self._lock:
            queued = record.key in self._latest
            self._latest[record.key] = record
        if not queued:
            self._work.put(lambda: self._sync(record.key))

    def close(self, records: Iterable[Record]) -> None:
        """Bring everything up to the records, end what does not run; a pause after a failure ends here."""
        rows = list(records)
        self._work.put(lambda: self._guarded(lambda: self._close(rows), last=True))

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def _guarded(self, action: Callable[[], None], *, last: bool = False) -> None:
        if time.monotonic() < self._paused_until and not last:
            return
        try:
            with own_settings():
                action()
        except Exception as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            self._warn(_line(error))

    def _begin(self, records: list[Record]) -> None:
        self.mirror.begin(records)
        if self.mirror.spec.tracking.system_metrics:
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

            self._monitor = SystemMetricsMonitor(self.mirror.parent, resume_logging=True, tracking_uri=self.mirror.uri)
            self._monitor.start()

    def _sync(self, key: str) -> None:
        with self._lock:
            record = self._latest.pop(key)
        self._guarded(lambda: self.mirror.sync(record))

    def _close(self, records: list[Record]) -> None:
        self.mirror.close(records)
        if self._monitor is not None:
            self._monitor.finish()

    def _warn(self, why: str) -> None:
        if not self._warned:
            uri = shown_uri(self.mirror.uri)
            print(f"MLflow at {uri} failed ({why}); the study goes on, the next run repairs it", file=sys.stderr)
        self._warned = True


def _line(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and (missing := missing_library(error, "it")):
        return str(missing)
    lines: list[Any] = str(error).strip().splitlines()
    return str(lines[0])[:200] if lines else type(error).__name__
