"""What the horizontal axis of a figure of trainings counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from autorf.store.record import Record
from autorf.store.traces import SteppedTrace
from autorf.training.results import EpochReport


@dataclass(frozen=True)
class TimeAxis:
    """Counts optimizer steps, which mean the same in every training.

    A report is an epoch, a period between two validations, or whatever step a loop of one's own reported; its number
    is the axis only where a report of an earlier version did not say its steps.

    Attributes:
        in_steps: whether every report says how many steps were taken.
    """

    in_steps: bool

    @classmethod
    def of(cls, records: Iterable[Record]) -> Self:
        """The axis on which the trainings can be drawn together."""
        return cls(all(report.steps is not None for record in records for report in record.history))

    @property
    def label(self) -> str:
        """What is counted."""
        return "optimizer steps" if self.in_steps else "epoch"

    def at(self, report: EpochReport) -> int:
        """Where a report lies."""
        if not self.in_steps:
            return report.epoch + 1
        assert report.steps is not None
        return report.steps

    def along(self, trace: SteppedTrace) -> Sequence[float]:
        """Where the points of a trace lie."""
        return trace.steps if self.in_steps else trace.epochs
