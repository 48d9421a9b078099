"""What a trial has cost, in seconds of the device it ran on."""

from collections.abc import Iterable, Sequence

from autorf.comparison.results import StudyResults
from autorf.store.record import Record


def rate_of(studies: Sequence[StudyResults]) -> int:
    """What a second of wall time counts where processor time is not known: the threads of a trial, or its one GPU."""
    return 1 if on_gpu(studies) else int(studies[0].part("training").get("threads") or 1)


def on_gpu(studies: Sequence[StudyResults]) -> bool:
    """Whether any trial ran on a GPU."""
    results = (record.result for study in studies for record in study.records)
    return any(result is not None and result.device == "cuda" for result in results)


def own_seconds(record: Record, rate: int) -> float | None:
    """What a trial's newest attempt and the epochs it continued from have cost; None before their first epoch."""
    reports = [report for report in (record.result, record.last) if report is not None]
    wall = next((report.seconds for report in reports if report.seconds is not None), None)
    cpu = next((report.cpu_seconds for report in reports if report.cpu_seconds is not None), None)
    return cpu if cpu is not None or wall is None else rate * wall


def spent_by_trial(attempts: Iterable[Record], rate: int) -> dict[str, float]:
    """Seconds that every trial has cost, all attempts together; whole epochs count.

    An attempt that continued from a checkpoint reports the seconds before it too; those are counted once, and epochs
    that were trained again twice.
    """
    spent: dict[str, float] = {}
    clocks: dict[str, dict[int, float]] = {}
    for record in sorted(attempts, key=lambda record: record.attempt):
        clock = clocks.setdefault(record.key, {})
        ends = {
            report.epoch: rate * report.seconds if report.cpu_seconds is None else report.cpu_seconds
            for report in record.history
            if report.seconds is not None
        }
        last = own_seconds(record, rate)
        # What the epoch before this attempt's first one had cost by then was paid by an earlier attempt.
        before = clock.get(min(ends) - 1, 0.0) if ends else max(clock.values(), default=0.0)
        if last is not None:
            spent[record.key] = spent.get(record.key, 0.0) + max(last - before, 0.0)
        clock.update(ends)
    return spent
