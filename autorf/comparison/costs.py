"""What each way of finding a receptive field has cost, and what was found for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autorf.comparison.groups import Group
from autorf.comparison.looks import GRID
from autorf.comparison.results import StudyResults
from autorf.comparison.rows import Row
from autorf.comparison.spending import on_gpu, rate_of, spent_by_trial
from autorf.methods import is_learned, is_manual
from autorf.statistics import expected_best
from autorf.store.record import Record

WAYS = ("manual", "learned")
CONTROLS = "controls"
MEASURED = "measured"
"""Trials that train nothing, and so cost nothing."""


@dataclass(frozen=True)
class Cost:
    """What one way has cost so far.

    Attributes:
        way: ``manual``, ``learned`` or ``controls``.
        trials, complete, failed, pruned: how many trials were begun, and ended so.
        seconds: of training in all: failed, pruned and repeated attempts included, retraining not.
        complete_seconds, failed_seconds, pruned_seconds: of the trials that ended so; failed includes epochs that a
            later attempt trained again.
        retrain_seconds: of ``autorf retrain``, beside ``seconds``.
        unit: ``GPU-seconds`` of one GPU a trial, or ``CPU-seconds``: processor time, which other work on the machine
            hardly changes.
        ratio: to the full manual grid, every trial of it complete (those that are not count as the mean of those that
            are); None without a complete manual trial.
    """

    way: str
    trials: int
    complete: int
    failed: int
    pruned: int
    seconds: float
    complete_seconds: float
    failed_seconds: float
    pruned_seconds: float
    retrain_seconds: float
    unit: str
    ratio: float | None


@dataclass(frozen=True)
class Curve:
    """The best so far against what it cost.

    Attributes:
        way: ``manual``, ``learned`` or ``all``.
        order: ``as run``, or ``random``: the mean over all orders in which whole configurations could have been run.
        points: ``seconds`` spent, ``score``: the mean over seeds of the configuration that looked best by then, and
            ``regret``: how much worse that is than the best of all.
    """

    way: str
    order: str
    points: tuple[Mapping[str, float], ...]


def way_of(trial: Row | Record) -> str:
    """``manual``, ``learned``, ``controls`` or, where nothing is trained, ``measured``."""
    if trial.control is not None:
        return CONTROLS
    if is_manual(trial.method):
        return "manual"
    return "learned" if is_learned(trial.method) else MEASURED


def costs_of(studies: Sequence[StudyResults], rows: Sequence[Row]) -> tuple[Cost, ...]:
    """What each way has cost in all the studies, for the ways that were begun."""
    unit, rate = "GPU-seconds" if on_gpu(studies) else "CPU-seconds", rate_of(studies)
    full = _full_grid(studies, rows)
    retrained = {
        (study.name, key): rate * float(fact["seconds"]) for study in studies for key, fact in study.retrains.items()
    }
    by_kind = {kind: _of_kind(rows, kind) for kind in (*WAYS, CONTROLS)}
    waiting = dict.fromkeys((*by_kind, MEASURED), 0.0)
    for study in studies:
        spent = spent_by_trial(study.attempts, rate)
        for record in study.records:
            # Interrupted, and to be continued: no row, but not for nothing either.
            if record.state == "waiting":
                waiting[way_of(record)] += spent.get(record.key, 0.0)
    return tuple(_cost(kind, ours, waiting[kind], retrained, unit, full) for kind, ours in by_kind.items() if ours)


def _of_kind(rows: Sequence[Row], kind: str) -> list[Row]:
    return [row for row in rows if way_of(row) == kind]


def _cost(
    kind: str,
    rows: Sequence[Row],
    waiting: float,
    retrained: Mapping[tuple[str, str], float],
    unit: str,
    full_grid: float | None,
) -> Cost:
    def spent(*states: str) -> float:
        return sum(row.spent_seconds or 0.0 for row in rows if row.state in states)

    complete = [row for row in rows if row.state == "complete"]
    final = sum(row.own_seconds or 0.0 for row in complete)
    repeated = max(spent("complete") - final, 0.0)
    retrain = sum(retrained.get((row.study, row.key), 0.0) for row in rows)
    total = final + repeated + spent("failed", "pruned", "running") + waiting
    return Cost(
        way=kind,
        trials=len(rows),
        complete=len(complete),
        failed=sum(row.state == "failed" for row in rows),
        pruned=sum(row.state == "pruned" for row in rows),
        seconds=total,
        complete_seconds=final,
        failed_seconds=spent("failed") + repeated,
        pruned_seconds=spent("pruned"),
        retrain_seconds=retrain,
        unit=unit,
        ratio=total / full_grid if full_grid else None,
    )


def _full_grid(studies: Sequence[StudyResults], rows: Sequence[Row]) -> float | None:
    """Seconds of every manual trial of the studies, those that are not complete taken as the mean of those that are."""
    seconds = [row.own_seconds or 0.0 for row in rows if way_of(row) == "manual" and row.state == "complete"]
    n_manual = sum(map(_manual_trials, studies))
    return sum(seconds) / len(seconds) * n_manual if seconds else None


def _manual_trials(study: StudyResults) -> int:
    """How many there are in the full grid; where it is not trained whole, under the seeds of the first look."""
    grid = study.notes.get(GRID)
    if grid is not None:
        return int(grid["configurations"]) * int(grid["seeds"])
    return sum(way_of(record) == "manual" for record in study.records)


def curves_of(
    studies: Sequence[StudyResults], rows: Sequence[Row], groups: Sequence[Group], sign: int
) -> tuple[Curve, ...]:
    """The best so far of both ways and of all together as they were run, and of the manual grid in random order.

    Controls are no part of a search, and of no curve.
    """
    usable = [group for group in groups if group.feasible and group.searched]
    if not usable:
        return ()
    best = max(sign * group.mean for group in usable)
    # Trials that ended in one moment keep the storage's order.
    records = [(study.name, record) for study in studies for record in study.records]
    ended = {(study, record.key): (record.ended or 0.0, record.row) for study, record in records}
    searched = [row for row in rows if way_of(row) in WAYS]
    ordered = sorted(searched, key=lambda row: ended.get((row.study, row.key), (0.0, 0)))
    means = {group.configuration: group.mean for group in usable}
    curves = []
    begun = [kind for kind in WAYS if _of_kind(rows, kind)]
    for kind in (*begun, *(["all"] if len(begun) > 1 else [])):
        ours = ordered if kind == "all" else _of_kind(ordered, kind)
        if points := _as_run(ours, means, best, sign):
            curves.append(Curve(kind, "as run", points))
    grid = [group for group in usable if group.manual]
    if len(grid) > 1:
        scores = expected_best([sign * group.mean for group in grid])
        seconds = np.arange(1, len(grid) + 1) * float(np.mean([group.spent_seconds for group in grid]))
        curves.append(Curve("manual", "random", tuple(map(_point, seconds, sign * scores, best - scores))))
    return tuple(curves)


def _as_run(rows: Sequence[Row], means: Mapping[str, float], best: float, sign: int) -> tuple[Mapping[str, float], ...]:
    points: list[Mapping[str, float]] = []
    spent, held, chosen = 0.0, float("-inf"), None
    for row in rows:
        spent += row.spent_seconds or 0.0
        # A trial is chosen by its own score, and judged by its configuration's mean over seeds, known only at the end.
        if row.counts and row.configuration in means and sign * (row.score or 0.0) > held:
            held, chosen = sign * (row.score or 0.0), means[row.configuration]
            points.append(_point(spent, chosen, best - sign * chosen))
    if chosen is not None and points[-1]["seconds"] < spent:
        points.append(_point(spent, chosen, best - sign * chosen))
    return tuple(points)


def _point(seconds: float, score: float, regret: float) -> Mapping[str, float]:
    return {"seconds": round(float(seconds), 2), "score": float(score), "regret": max(float(regret), 0.0)}
