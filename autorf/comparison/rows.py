"""The trials of a study as rows, and configurations as groups over seeds."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from statistics import mean, stdev
from typing import Any

from autorf.comparison.pareto import pareto_front
from autorf.comparison.results import StudyResults
from autorf.comparison.spending import own_seconds, rate_of, spent_by_trial
from autorf.methods import is_learned, is_manual, method_class
from autorf.statistics import half_width
from autorf.store.replicates import Replicate, trials_of
from autorf.store.store import Record
from autorf.store.traces import alike_of, parts
from autorf.study.control import Budget
from autorf.study.objectives import COSTS, violated
from autorf.study.settings import FOLD, IMAGE_SIZE
from autorf.surgery.learning import LISTED
from autorf.tasks import CLASSIFICATION


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


@dataclass(frozen=True)
class Group:
    """The complete trials of one configuration, over its seeds; of data in folds its complete replicates.

    Attributes:
        n: how many there are.
        keys: of its trials; of replicates those of all folds.
        miou_ci95: half-width of Student's 95 % interval of the mean over seeds; None for fewer than two.
        mean, std, ci95: the same of the metric that is compared, where that is another.
        ci95_images: half-width for other seeds *and* other validation images; None without per-image evidence; for one
            seed, of other images alone.
        own_seconds: what one of its complete trials has cost, as in :class:`Row`; the mean.
        spent_seconds: what all its trials' attempts have cost, failed and pruned ones too.
        feasible: whether it keeps the study's limits.
        setting: the parameters in a few words.
        steps, epochs: that all its trials were trained; None where that is not known or differs.
        devices: what trained them.
        control, winner, image_size: as of a :class:`Row`.
        f1_mean: of the mean F1 over classes; None where no trial reports it.
        f1_groups: the mean F1 of label groups, by the group's name.
        stopped: how many of its trials were stopped early.
        fewest_steps, most_steps: of its trials; None where that is not known.
        folds: how many trials a replicate is, one a fold; None where the data has none.
        accuracies: of a classification the mean of each of its metrics, by name.
    """

    method: str
    params: dict[str, Any]
    n: int
    miou_mean: float
    miou_std: float | None
    miou_ci95: float | None
    rf: list[float]
    rnorm: float
    train_seconds: float
    study: str = ""
    seeds: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()
    mean: float = 0.0
    std: float | None = None
    ci95: float | None = None
    ci95_images: float | None = None
    own_seconds: float = 0.0
    spent_seconds: float = 0.0
    feasible: bool = True
    setting: str = ""
    steps: int | None = None
    epochs: int | None = None
    devices: tuple[str, ...] = ()
    control: Budget | None = None
    winner: dict[str, Any] | None = None
    f1_mean: float | None = None
    f1_groups: dict[str, float] = field(default_factory=dict)
    image_size: list[int] | None = None
    stopped: int = 0
    fewest_steps: int | None = None
    most_steps: int | None = None
    folds: int | None = None
    accuracies: dict[str, float] = field(default_factory=dict)

    @property
    def complete_seconds(self) -> float:
        """What all its complete trials have cost in their last attempts."""
        return self.own_seconds * len(self.keys)

    @property
    def steps_in_words(self) -> str:
        """How many steps its trials were trained, such as ``80``, or ``80 to 120 (2 stopped)``; empty if not known."""
        return steps_in_words(self.fewest_steps, self.most_steps, self.stopped)

    @property
    def manual(self) -> bool:
        """Whether it is of the manual grid: its receptive field set by hand, and no control."""
        return self.control is None and is_manual(self.method)

    @property
    def learned(self) -> bool:
        """Whether the receptive field is learned."""
        return is_learned(self.method)

    @property
    def searched(self) -> bool:
        """Whether it is of the search: no control, and no checkpoint that is only measured."""
        return self.manual or self.learned

    @property
    def configuration(self) -> str:
        """As :attr:`Row.configuration`."""
        return json.dumps([self.study, self.method, self.params], sort_keys=True)


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


def groups_of(rows: Iterable[Row]) -> tuple[Group, ...]:
    """Configurations with at least one trial that counts, in the order of their first."""
    together: dict[str, list[Row]] = {}
    for row in rows:
        together.setdefault(row.configuration, []).append(row)
    return tuple(_group(members) for members in together.values() if _any_counts(members))


def _any_counts(members: Sequence[Row]) -> bool:
    return any(row.counts for row in members)


def _group(members: Sequence[Row]) -> Group:
    counted = [row for row in members if row.counts]
    first = counted[0]
    mious = [row.miou for row in counted if row.miou is not None and isfinite(row.miou)]
    scores = [row.score for row in counted if row.score is not None]
    steps = [row.steps for row in counted if row.steps is not None]
    return Group(
        method=first.method,
        params=first.params,
        n=len(counted),
        miou_mean=mean(mious) if mious else float("nan"),
        miou_std=stdev(mious) if len(mious) > 1 else None,
        miou_ci95=half_width(mious),
        rf=[_mean_field(counted, axis) for axis in (0, 1)],
        rnorm=mean(row.rnorm for row in counted if row.rnorm is not None),
        train_seconds=mean(row.train_seconds or 0.0 for row in counted),
        study=first.study,
        seeds=tuple(row.seed for row in counted),
        keys=tuple(key for row in counted for key in row.trial_keys),
        mean=mean(scores),
        std=stdev(scores) if len(scores) > 1 else None,
        ci95=half_width(scores),
        own_seconds=mean(row.own_seconds or 0.0 for row in counted),
        spent_seconds=sum(row.spent_seconds or 0.0 for row in members),
        feasible=not any(row.infeasible for row in counted),
        setting=first.setting,
        steps=_common([row.steps for row in counted]),
        epochs=_common([row.epochs for row in counted]),
        devices=tuple(sorted({row.device for row in counted if row.device})),
        control=first.control,
        winner=first.winner,
        f1_mean=mean_of(dict(enumerate(row.f1 for row in counted))),
        f1_groups=_mean_groups(counted),
        image_size=first.image_size,
        stopped=sum(row.stopped_early for row in counted),
        fewest_steps=min(steps) if len(steps) == len(counted) else None,
        most_steps=max(steps) if len(steps) == len(counted) else None,
        folds=len(first.fold_keys) or None,
        accuracies=_mean_accuracies(counted),
    )


def steps_in_words(fewest: int | None, most: int | None, stopped: int) -> str:
    """Steps of one or several trials for people, with how many were stopped early."""
    if fewest is None or most is None:
        return ""
    count = str(most) if fewest == most else f"{fewest} to {most}"
    return f"{count} ({stopped} stopped)" if stopped else count


def _mean_groups(rows: Sequence[Row]) -> dict[str, float]:
    """Of the label groups that every row has."""
    names = [name for name in rows[0].f1_groups if all(name in row.f1_groups for row in rows)]
    return {name: mean(row.f1_groups[name] for row in rows) for name in names}


def _mean_accuracies(rows: Sequence[Row]) -> dict[str, float]:
    """Of the metrics that every row has."""
    columns = {name: [getattr(row, name) for row in rows] for name in CLASSIFICATION.metrics}
    return {name: mean(values) for name, values in columns.items() if None not in values}


def _common(counts: Sequence[int | None]) -> int | None:
    return counts[0] if len(set(counts)) == 1 else None


def _mean_field(rows: Sequence[Row], axis: int) -> float:
    return round(mean(row.rf[axis] for row in rows if row.rf), 2)


def learned(rows: Sequence[Row], name: str) -> list[float]:
    """The ``f``, ``dilation`` or ``scale`` of every branch or layer, or the one there is; the mean over ``rows``."""
    listed = [row.each[name] for row in rows if name in row.each]
    if not listed:
        listed = [[value] for row in rows if (value := getattr(row, name)) is not None]
    return [mean(column) for column in zip(*listed, strict=False)]


def members_of(group: Group, rows: Sequence[Row]) -> dict[int, Row]:
    """The trials or replicates that count in a group, by seed.

    Args:
        group: of the same rows.
        rows: of a study in folds its replicates: ``comparison.members``, not ``comparison.rows``.
    """
    keys = set(group.keys)
    members = [row for row in rows if row.study == group.study and keys.issuperset(row.trial_keys)]
    assert all(row.fold is None for row in members), "a fold alone is no member of a group: take comparison.members"
    return {row.seed: row for row in members}


def mean_of(values: Mapping[Any, float | None]) -> float | None:
    """Of those that are known; None where none is."""
    numbers = [value for value in values.values() if value is not None]
    return mean(numbers) if numbers else None
