"""One display for a whole study: a live table, plain lines, or JSON objects."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from autorf.comparison.judging import metric_name
from autorf.driver.listeners import Listener
from autorf.store.ranking import objective, ranked, score
from autorf.store.replicates import replicates
from autorf.store.store import Record
from autorf.study.own_loop import OwnLoopSpec
from autorf.study.spec import StudySpec
from autorf.study.trial import side_text, spec_of
from autorf.tasks import SEGMENTATION, TASKS
from autorf.training.results import EpochReport, TrialResult

NAMES = {"pixel_accuracy": "accuracy"}


class Progress(Listener):
    """Keeps count of a study while it runs; says nothing itself.

    Args:
        spec: the study.
        records: its trials so far.
        expected: how many there will be where a sampler draws the later ones, as far as that is known.
        clock: seconds, for the time left.
        epochs: how many each trains, by its key, where that is not what its configuration says.
    """

    def __init__(
        self,
        spec: StudySpec,
        records: Sequence[Record],
        *,
        expected: int = 0,
        clock: Callable[[], float] = time.monotonic,
        epochs: Mapping[str, int] | None = None,
    ) -> None:
        self.spec = spec
        self._data = spec.data.model_dump(mode="json")
        self._epochs = epochs or {}
        self._expected = expected
        self.records = {record.key: record for record in records}
        self.running: dict[str, float] = {}
        self._clock = clock
        self._began = clock()
        self._reached = {record.key: self._counted(record.last) if record.last else 0 for record in records}
        self._trained = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def started(self, record: Record) -> None:
        """A trial began."""
        self.records[record.key] = record
        self.running[record.key] = self._clock()

    def epoch(self, record: Record, report: EpochReport) -> None:
        """A trial finished an epoch."""
        self.records[record.key] = record
        before = self.reached(record)
        self._reached[record.key] = self._counted(report)
        # An attempt that began anew comes behind what was reached before.
        self._trained += max(self._reached[record.key] - before, 0) if self._in_own_loop else 1

    def finished(self, record: Record) -> None:
        """A trial ended."""
        self.running.pop(record.key, None)
        self.records[record.key] = record

    def seen(self, records: Sequence[Record]) -> None:
        """How the trials are in the storage, where other drivers of the study may have run some meanwhile."""
        for record in records:
            if record.key not in self.running:
                self.records[record.key] = record
                self._reached[record.key] = self._counted(record.last) if record.last else 0

    def lost(self, record: Record) -> None:
        """Another driver took a trial over."""
        self.running.pop(record.key, None)

    def now(self) -> list[Record]:
        """The trials as they are now; a copy, for the display is drawn while others are added."""
        return list(self.records.values())

    @property
    def done(self) -> int:
        """How many trials have ended, well or not."""
        return sum(record.state not in ("waiting", "running") for record in self.now())

    @property
    def total(self) -> int:
        """How many trials there are, or will be."""
        n_controls = sum(record.control is not None for record in self.now())
        return max(len(self.records) - n_controls, self._expected) + n_controls

    @property
    def best(self) -> Record | None:
        """The best trial so far; of data in folds the best replicate."""
        return next(
            (group[0] for group in ranked(replicates(self.now(), self._data), self.spec.search)),
            None,
        )

    def _counted(self, report: EpochReport) -> int:
        """How far a trial has come: in epochs; in a loop of one's own, which reports when it likes, in steps."""
        return (report.steps or 0) if self._in_own_loop else report.epoch + 1

    @property
    def _in_own_loop(self) -> bool:
        return isinstance(self.spec, OwnLoopSpec)

    @property
    def unit(self) -> str:
        """What :meth:`reached` counts."""
        if self._in_own_loop:
            return "step"
        return "validation" if self.spec.training.in_steps else "epoch"

    def epochs_of(self, record: Record) -> int:
        """How many epochs a trial trains; validations of a training counted in steps, steps in a loop of one's own."""
        if record.key in self._epochs:
            return self._epochs[record.key]
        if record.trial is not None and not record.trial.method.trained:
            return 0
        spec = spec_of(self.spec, record.trial) if record.trial else self.spec
        return spec.training.validations

    def reached(self, record: Record) -> int:
        """How many epochs of it are done."""
        return self._reached.get(record.key, 0)

    def seconds_left(self) -> float | None:
        """From the epochs of this run and those to come; None before the first."""
        if not self._trained:
            return None
        open_ones = [record for record in self.now() if record.state in ("waiting", "running")]
        remaining = sum(max(self.epochs_of(record) - self.reached(record), 0) for record in open_ones)
        remaining += (self.total - len(self.records)) * self.spec.training.validations
        return (self._clock() - self._began) / self._trained * remaining


class TerminalProgress(Progress):
    """A live table on a terminal; elsewhere one plain line a finished trial."""

    def __init__(
        self,
        spec: StudySpec,
        records: Sequence[Record],
        *,
        expected: int = 0,
        title: str | None = None,
        console: Console | None = None,
        epochs: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(spec, records, expected=expected, epochs=epochs)
        self.console = console or Console()
        self._title = title or f"study {spec.name}"
        self._live = Live(console=self.console, get_renderable=self._view, refresh_per_second=2, transient=True)

    def __enter__(self) -> Self:
        if self.done < self.total:
            again = f", {self.done} done before" if self.done else ""
            count = f"{self.total} {'trial' if self.total == 1 else 'trials'}"
            self.console.print(f"{self._title}: {count}{again}", highlight=False, soft_wrap=True)
            if self.console.is_terminal:
                self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def finished(self, record: Record) -> None:
        """A trial ended."""
        super().finished(record)
        self.console.print(self._line(record), highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Something else that people may want to know."""
        self.console.print(text, highlight=False, soft_wrap=True)

    def _line(self, record: Record) -> str:
        head = f"trial {self.done} of {self.total}  {record.label}"
        result = record.result
        if record.state == "pruned" and result is not None:
            length = f"{result.steps} steps" if self.spec.training.in_steps else f"{result.epochs} epochs"
            return f"{head}  pruned after {length}, {self._measured(result)}"
        if record.state != "complete" or result is None:
            return f"{head}  {record.state}: {record.reason}"
        rnorm = "" if result.rnorm is None else f"  rnorm {result.rnorm:.2f}"
        return f"{head}  {self._measured(result)}{rnorm}  {result.seconds or 0.0:.0f} s  {self._left()}"

    def _measured(self, report: EpochReport | TrialResult) -> str:
        name = objective(self.spec.search)
        shown = name if name in report.by_name else TASKS[getattr(self.spec, "task", SEGMENTATION.name)].metrics[0]
        rf = "" if report.rf is None else f"  rf {side_text(report.rf)}"
        measured = report.by_name.get(shown)
        written = "unknown" if measured is None else f"{measured:.3f}"
        return f"{NAMES.get(shown) or metric_name(shown)} {written}{rf}"

    def _view(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for key, since in list(self.running.items()):
            record = self.records[key]
            epochs, reached = self.epochs_of(record), self.reached(record)
            table.add_row(
                f"  {record.label}",
                ProgressBar(epochs, reached, width=16),
                f"{self.unit} {reached} of {epochs}",
                self._measured(record.last) if record.last else "",
                f"{self._clock() - since:.0f} s",
            )
        total = Table.grid(padding=(0, 2))
        bar = ProgressBar(self.total, self.done, width=16)
        total.add_row(bar, f"{self.done} of {self.total} trials done", self._left())
        best = self.best
        if best is None or best.result is None:
            return Group(table, total)
        return Group(table, total, Text(f"best so far: {best.label}  {self._measured(best.result)}"))

    def _left(self) -> str:
        seconds = self.seconds_left()
        if seconds is None:
            return "time left unknown"
        if seconds > 5400:
            return f"about {seconds / 3600:.1f} h left"
        return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"


class JsonLines(Progress):
    """One JSON object a line for every event; README lists their fields.

    Args:
        stream: takes the lines.
    """

    def __init__(self, spec: StudySpec, records: Sequence[Record], stream: TextIO, *, expected: int = 0) -> None:
        super().__init__(spec, records, expected=expected)
        self._stream = stream

    def __enter__(self) -> Self:
        facts = {"study": self.spec.name, "objective": objective(self.spec.search)}
        self._write("study", {**facts, "epochs": self.spec.training.validations})
        return self

    def started(self, record: Record) -> None:
        """A trial began."""
        super().started(record)
        self._write("started", {**_who(record), "attempt": record.attempt, "epochs": self.epochs_of(record)})

    def epoch(self, record: Record, report: EpochReport) -> None:
        """A trial finished an epoch."""
        super().epoch(record, report)
        self._write("epoch", {"key": record.key, "loss": report.loss, **report.to_json()})

    def finished(self, record: Record) -> None:
        """A trial ended."""
        super().finished(record)
        metrics = TASKS[getattr(self.spec, "task", SEGMENTATION.name)].metrics
        names = (*metrics, "rf", "rnorm", "train_seconds")
        written = {} if record.result is None else record.result.to_json()
        result = {name: written.get(name) for name in names}
        self._write("finished", {**_who(record), "state": record.state, **result, "reason": record.reason})

    def note(self, text: str) -> None:
        """Something else that people may want to know."""
        self._write("note", {"text": text})

    def _write(self, event: str, facts: dict[str, Any]) -> None:
        best = self.best
        left = self.seconds_left()
        totals: dict[str, Any] = {
            "done": self.done,
            "total": self.total,
            "best": best
            and {"key": best.key, "value": score(best, self.spec.search), "rf": best.result and best.result.rf},
            "seconds_left": None if left is None else round(left, 1),
        }
        write_object(self._stream, event, facts if event == "epoch" else {**facts, **totals})


def write_object(stream: TextIO, event: str, facts: dict[str, Any]) -> None:
    """One line; what is not finite becomes null."""
    stream.write(json.dumps({"event": event, **_finite(facts)}, allow_nan=False) + "\n")
    stream.flush()


def open_progress(
    spec: StudySpec,
    records: Sequence[Record],
    *,
    expected: int = 0,
    quiet: bool = False,
    json_lines: TextIO | None = None,
    title: str | None = None,
    epochs: Mapping[str, int] | None = None,
) -> Progress:
    """The display that was asked for; ``title`` in place of the study's name, ``epochs`` of each record by its key."""
    if json_lines is not None:
        return JsonLines(spec, records, json_lines, expected=expected)
    if quiet:
        return Progress(spec, records, expected=expected, epochs=epochs)
    return TerminalProgress(spec, records, expected=expected, title=title, epochs=epochs)


def _who(record: Record) -> dict[str, Any]:
    return {"key": record.key, "method": record.method, "params": record.params, "seed": record.seed}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not (abs(value) < float("inf")) else value
