"""One display for a whole study."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from autorf.study.spec import StudySpec
from autorf.study.store import Record
from autorf.study.trial import side_text


class Progress:
    """Shows which trials run, how far they are, the best so far and the time left.

    On a terminal a live table; elsewhere one plain line a finished trial.
    """

    def __init__(self, spec: StudySpec, records: Sequence[Record], *, quiet: bool = False) -> None:
        self.spec = spec
        self.records = {record.key: record for record in records}
        self.console = Console(quiet=quiet)
        self._epochs: dict[str, int] = {}
        self._running: dict[str, tuple[Record, float]] = {}
        self._began = time.monotonic()
        self._begun_with = self._done_epochs()
        self._live = Live(console=self.console, get_renderable=self._view, refresh_per_second=2, transient=True)

    def __enter__(self) -> Self:
        done = sum(record.state not in ("waiting", "running") for record in self.records.values())
        if done < len(self.records):
            again = f", {done} done before" if done else ""
            self.console.print(f"study {self.spec.name}: {len(self.records)} trials{again}", highlight=False)
            if self.console.is_terminal:
                self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def started(self, record: Record) -> None:
        """A trial began."""
        self._running[record.key] = (record, time.monotonic())

    def epoch(self, record: Record, measured: dict[str, Any]) -> None:
        """A trial finished an epoch."""
        self._epochs[record.key] = int(measured["epoch"]) + 1

    def finished(self, record: Record) -> None:
        """A trial ended."""
        self._running.pop(record.key, None)
        self.records[record.key] = record
        self._epochs.pop(record.key, None)
        self.console.print(self._line(record), highlight=False, soft_wrap=True)

    def _line(self, record: Record) -> str:
        done = sum(one.state not in ("waiting", "running") for one in self.records.values())
        head = f"trial {done} of {len(self.records)}  {record.label}"
        if record.state == "pruned":
            return f"{head}  pruned after {record.result['epochs']} epochs, mIoU {record.result['miou']:.3f}"
        if record.state != "complete":
            return f"{head}  {record.state}: {record.reason}"
        result = record.result
        rf = side_text(result["rf"])
        return (
            f"{head}  mIoU {result['miou']:.3f}  rf {rf}  rnorm {result['rnorm']:.2f}  "
            f"{result['train_seconds']:.0f} s  {self._left()}"
        )

    def _view(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for record, since in list(self._running.values()):
            epochs = self._epochs.get(record.key, 0)
            last = record.history[-1] if record.history else {}
            table.add_row(
                f"  {record.label}",
                f"epoch {epochs} of {self.spec.training.epochs}",
                f"mIoU {last['miou']:.3f}" if last else "",
                f"rf {last['rf'][0]:g}" if last else "",
                f"{time.monotonic() - since:.0f} s",
            )
        done = sum(record.state not in ("waiting", "running") for record in self.records.values())
        best = max((r.result["miou"] for r in self.records.values() if r.state == "complete"), default=None)
        tail = f"{done} of {len(self.records)} trials done"
        tail += f", best mIoU {best:.3f}" if best is not None else ""
        return Group(table, Text(f"{tail}, {self._left()}"))

    def _done_epochs(self) -> int:
        finished = sum(record.state in ("complete", "failed", "pruned") for record in self.records.values())
        return finished * self.spec.training.epochs + sum(self._epochs.values())

    def _left(self) -> str:
        total = len(self.records) * self.spec.training.epochs
        done = self._done_epochs()
        since = done - self._begun_with
        if since <= 0:
            return "time left unknown"
        seconds = (time.monotonic() - self._began) / since * (total - done)
        return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"
