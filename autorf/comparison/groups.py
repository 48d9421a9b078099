"""Configurations as groups of trials, over their seeds."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from statistics import mean, stdev
from typing import Any

from autorf.comparison.rows import Row
from autorf.methods import is_learned, is_manual
from autorf.statistics import half_width
from autorf.study.control import Budget
from autorf.tasks import CLASSIFICATION


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
