"""What a trial has cost, in seconds of the device it ran on."""

from collections.abc import Iterable, Sequence

from autorf.comparison.results import StudyResults
from autorf.store.record import Record


def rate_of(studies: Sequence[StudyResults]) -> int:
    """What a second of wall time counts where processor time is not known: the threads of a trial, or its one GPU."""
    return 1 if on_gpu(studies) else int(studies[0].part("training").get("threads") or 1)


def on_gpu(studies: Sequence[StudyResults]) -> bool:
    """Whether any trial ran on a GPU."""
    return any(record.result.get("device") == "cuda" for study in studies for record in study.records)


def own_seconds(record: Record, rate: int) -> float | None:
    """What a trial's newest attempt and the epochs it continued from have cost; None before their first epoch."""
    result, last = record.result, record.history[-1] if record.history else {}
    wall = result.get("train_seconds", last.get("seconds"))
    cpu: float | None = result.get("cpu_seconds", last.get("cpu_seconds"))
    return cpu if cpu is not None or wall is None else rate * float(wall)


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
            int(epoch["epoch"]): float(epoch.get("cpu_seconds", rate * epoch["seconds"]))
            for epoch in record.history
            if "seconds" in epoch
        }
        last = own_seconds(record, rate)
        # What the epoch before this attempt's first one had cost by then was paid by an earlier attempt.
        before = clock.get(min(ends) - 1, 0.0) if ends else max(clock.values(), default=0.0)
        if last is not None:
            spent[record.key] = spent.get(record.key, 0.0) + max(last - before, 0.0)
        clock.update(ends)
    return spent
