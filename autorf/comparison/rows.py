"""The trials of a study as rows, and configurations as groups over seeds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from statistics import mean
from typing import Any

from autorf.comparison.pareto import pareto_front
from autorf.comparison.results import StudyResults
from autorf.comparison.spending import own_seconds, rate_of, spent_by_trial
from autorf.methods import method_class
from autorf.store.replicates import Replicate, trials_of
from autorf.store.store import Record
from autorf.store.traces import alike_of, parts
from autorf.study.control import Budget
from autorf.study.objectives import COSTS, violated
from autorf.study.settings import FOLD, IMAGE_SIZE
from autorf.surgery.learning import LISTED


@dataclass(frozen=True)
class Row:
    """One trial; what does not apply is None. Field names are a contract.

    Attributes:
        accuracy, top5_accuracy, class_accuracy: of a classification, instead of ``miou``, ``f1``, ``pixel_accuracy``.
        score: of the metric that is compared.
        setting: the parameters in a few words.
        steps: optimizer steps reached; None where the version that trained it did not count them.
        device: what trained it.
        control: the budget that a control shares with the learned configuration ``winner``; None for a trial of the
            search.
        scale: mean learned scale of the per-pixel layers.
        each: what every branch or layer learned, by name (``f``, ``dilation``), where several learned their own.
        alike: for every search the options that it could not tell from the one of the lowest loss.
        measured: what the trial costs, by name: parameters, flops, latency_ms, peak_memory_mb.
        infeasible: limits of the study that the trial breaks; it is never best then.
        on_front: whether no other trial beats it in both objectives; None with one objective, and for a fold.
        attempts: how often it was begun.
        own_seconds: what the training that is reported here has cost: processor time on a CPU, wall time on a GPU.
        spent_seconds: what all attempts have cost, repeated epochs too.
        f1_groups: F1 of the data set's label groups, by the group's name.
        rule: by which its means are: ``labelled``: over the classes with a labelled pixel in the split; ``old rule``:
            as earlier versions had it, over other classes maybe; None where the trial is not complete.
        comparable: whether its score may be compared with the others'.
        image_size: height and width in pixels of the images it saw; None where the study file is not known.
        stopped_early: whether its training ended before its last step because it no longer improved.
        fold: that validates the trial, of data in folds; such a trial is part of a replicate, and counts in no group by
            itself.
        fold_keys: of a replicate, its trials by fold; ``key`` is the first one's. Its scores are those of all images
            pooled, its costs and fields the means over its trials; ``spent_seconds`` are theirs in all.
    """

    key: str
    method: str
    params: dict[str, Any]
    seed: int
    state: str
    rf: list[float] | None
    rnorm: float | None
    f: float | None
    dilation: float | None
    miou: float | None
    f1: float | None
    pixel_accuracy: float | None
    train_seconds: float | None
    epochs: int | None
    reason: str | None
    split: str | None
    study: str = ""
    score: float | None = None
    scale: float | None = None
    each: dict[str, list[float]] = field(default_factory=dict)
    alike: list[list[float]] = field(default_factory=list)
    measured: dict[str, float] = field(default_factory=dict)
    infeasible: list[str] = field(default_factory=list)
    on_front: bool | None = None
    attempts: int = 1
    own_seconds: float | None = None
    spent_seconds: float | None = None
    setting: str = ""
    steps: int | None = None
    device: str | None = None
    control: Budget | None = None
    winner: dict[str, Any] | None = None
    f1_groups: dict[str, float] = field(default_factory=dict)
    rule: str | None = None
    comparable: bool = True
    image_size: list[int] | None = None
    stopped_early: bool = False
    fold: int | None = None
    fold_keys: tuple[str, ...] = ()
    accuracy: float | None = None
    top5_accuracy: float | None = None
    class_accuracy: float | None = None

    @property
    def trial_keys(self) -> tuple[str, ...]:
        """The trials that it is made of: those of a replicate, or itself."""
        return self.fold_keys or (self.key,)

    @property
    def configuration(self) -> str:
        """Tells configurations apart, those of different studies too."""
        return json.dumps([self.study, self.method, self.params], sort_keys=True)

    @property
    def counts(self) -> bool:
        """Whether the trial is complete, with a score that is a number and can be compared."""
        return self.state == "complete" and self.comparable and self.score is not None and isfinite(self.score)


def rows_of(study: StudyResults) -> tuple[Row, ...]:
    """Every trial that was begun, in the order they were enqueued; of :meth:`StudyResults.pooled` every replicate."""
    rate = rate_of([study])
    spent = spent_by_trial(study.attempts, rate)
    tries: dict[str, int] = {}
    for record in study.attempts:
        tries[record.key] = tries.get(record.key, 0) + (record.state != "waiting")
    begun = [record for record in study.records if record.state != "waiting"]
    front = _front([record for record in begun if _is_searched(record)], study)
    return tuple(
        replace(
            _row(record, study, front),
            attempts=max(tries.get(trial.key, 1) for trial in trials_of(record)),
            own_seconds=own_seconds(record, rate),
            spent_seconds=_sum([spent.get(trial.key) for trial in trials_of(record)]),
        )
        for record in begun
    )


def _sum(values: Sequence[float | None]) -> float | None:
    """Of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _is_searched(record: Record) -> bool:
    return record.control is None and method_class(record.method).trained


def _front(records: Sequence[Record], study: StudyResults) -> set[str] | None:
    if len(study.objectives) < 2:
        return None
    results = {record.key: record.result.by_name for record in records if record.state == "complete" and record.result}
    feasible = {key: result for key, result in results.items() if not violated(result, study.constraints)}
    front = pareto_front([{**result, "key": key} for key, result in feasible.items()], study.objectives)
    return {str(result["key"]) for result in front}


def _row(record: Record, study: StudyResults, front: set[str] | None) -> Row:
    result, last = record.result, record.last
    newest = result or last
    scores: Mapping[str, float] = {} if result is None else result.by_name
    reached = {**(last.learned if last else {}), **(result.learned if result else {})}
    params = {name: value for name, value in record.params.items() if name != FOLD}
    # What a damaged row says of itself may be anything.
    by_hand = None if record.trial is None else params.get("rate", params.get("dilation"))
    seconds = (report.seconds for report in (result, last) if report is not None)
    return Row(
        key=record.key,
        method=record.method,
        params=params,
        seed=record.seed,
        state=record.state,
        rf=list(newest.rf) if newest and newest.rf else None,
        rnorm=newest.rnorm if newest else None,
        f=reached.get("f"),
        dilation=reached.get("dilation", by_hand),
        scale=reached.get("scale"),
        each={name: [reached[part] for part in numbered] for name in LISTED if (numbered := parts(reached, name))},
        alike=alike_of(record),
        miou=scores.get("miou"),
        f1=scores.get("f1"),
        pixel_accuracy=scores.get("pixel_accuracy"),
        accuracy=scores.get("accuracy"),
        top5_accuracy=scores.get("top5_accuracy"),
        class_accuracy=scores.get("class_accuracy"),
        train_seconds=next((value for value in seconds if value is not None), None),
        epochs=result.epochs if result else last.epoch + 1 if last else None,
        reason=record.reason,
        split=result.split if result else None,
        study=study.name,
        score=scores.get(study.objectives[0]),
        measured={name: scores[name] for name in COSTS if name in scores},
        infeasible=violated(scores, study.constraints) if record.state == "complete" else [],
        on_front=None if front is None or not _is_searched(record) or record.fold is not None else record.key in front,
        setting=record.setting,
        steps=newest.steps if newest else None,
        device=result.device if result else None,
        control=None if record.control is None else record.control.budget,
        winner=None if record.control is None else record.control.winner,
        f1_groups={} if result is None else dict(result.groups),
        rule=None if result is None or record.state != "complete" else result.mean_over,
        image_size=_image_size(record, study),
        stopped_early=result is not None and result.stopped_early,
        fold=record.fold,
        fold_keys=tuple(trial.key for trial in record.folds) if isinstance(record, Replicate) else (),
    )


def _image_size(record: Record, study: StudyResults) -> list[int] | None:
    stated = record.params.get(IMAGE_SIZE) or study.part("data").get("image_size")
    if isinstance(stated, int):
        return [stated, stated]
    return [int(side) for side in stated] if isinstance(stated, list | tuple) and len(stated) == 2 else None


def learned(rows: Sequence[Row], name: str) -> list[float]:
    """The ``f``, ``dilation`` or ``scale`` of every branch or layer, or the one there is; the mean over ``rows``."""
    listed = [row.each[name] for row in rows if name in row.each]
    if not listed:
        listed = [[value] for row in rows if (value := getattr(row, name)) is not None]
    return [mean(column) for column in zip(*listed, strict=False)]
