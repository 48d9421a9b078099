"""What trials report, from plain values, as the storage holds it."""

from dataclasses import replace
from typing import Any, TypeVar

from autorf.store.record import Record
from autorf.training.results import EpochReport, TrialResult

Report = TypeVar("Report", EpochReport, TrialResult)


def epoch_report(epoch: int = 0, **values: Any) -> EpochReport:
    """An epoch of mIoU 0.1, unless told otherwise."""
    return EpochReport.from_json({"epoch": epoch, "miou": 0.1, **values})


def trial_result(**values: Any) -> TrialResult:
    """A result after two epochs, unless told otherwise."""
    return TrialResult.from_json({"epochs": 2, "miou": 0.1, **values})


def changed(report: Report | None, **values: Any) -> Report:
    """The report with other values."""
    assert report is not None
    return type(report).from_json({**report.to_json(), **values})


def with_result(record: Record, **values: Any) -> Record:
    """The record with other values in its result."""
    return replace(record, result=changed(record.result, **values))


def with_trace(record: Record, *traces: dict[str, Any]) -> Record:
    """The record, its first epochs with these traces."""
    traced = [replace(report, trace=trace) for report, trace in zip(record.history, traces, strict=False)]
    return replace(record, history=(*traced, *record.history[len(traced) :]))


def with_steps(record: Record, *steps: int) -> Record:
    """The record, its reports after so many optimizer steps."""
    history = (replace(report, steps=reached) for report, reached in zip(record.history, steps, strict=True))
    return replace(record, history=tuple(history))
