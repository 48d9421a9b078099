"""One group of configurations against another: the difference of the best of both, and what it means in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from autorf.comparison.groups import Group, members_of
from autorf.comparison.images import ImageNoise
from autorf.comparison.rows import Row
from autorf.statistics import BestDifference, difference_of_best, difference_on_images
from autorf.study.objectives import COSTS, group_of, sign
from autorf.study.trial import side_text
from autorf.tasks import TITLES


@dataclass(frozen=True)
class Judged:
    """One group of configurations against another, in the metric's own sign.

    Attributes:
        low, high: of other seeds and images; None for an end that one seed leaves open.
        images_low, images_high: of other images alone; with one seed and evidence only.
    """

    first: Group
    second: Group
    difference: float
    low: float | None
    high: float | None
    images_low: float | None
    images_high: float | None
    outcome: str
    n_seeds: int
    n_images: int


def judge(ours: Sequence[Group], theirs: Sequence[Group], rows: Sequence[Row], noise: ImageNoise) -> Judged:
    """The best of ``ours`` against the best of ``theirs``; neither is empty."""
    direction = sign(noise.metric)
    ours, theirs = best_first(ours, direction), best_first(theirs, direction)
    seeds = sorted({row.seed for row in rows})
    a, b = (score_table(groups, rows, seeds) * direction for groups in (ours, theirs))
    images = noise.of_pairs(ours, theirs)
    estimate = difference_of_best(a, b, 0.0 if images is None else images, noise.n_images)
    alone = None
    if not isfinite(estimate.low) and (images := noise.of_pairs(ours, theirs, only_images=True)) is not None:
        alone = difference_on_images(np.nanmean(a, axis=1), np.nanmean(b, axis=1), images, noise.n_images)
    low, high = _turned(estimate, direction)
    images_low, images_high = _turned(alone, direction)
    outcome = "unknown" if low is None or high is None else "no difference"
    if estimate.low > 0 or estimate.high < 0:
        outcome = "better" if estimate.low > 0 else "worse"
    difference = direction * estimate.difference
    n_images = 0 if images is None else noise.n_images
    best = (ours[estimate.first], theirs[estimate.second])
    return Judged(*best, difference, low, high, images_low, images_high, outcome, estimate.n_seeds, n_images)


class Judge:
    """:func:`judge` over the trials of a study; the same groups are judged once.

    Args:
        rows: of all groups.
        noise: of the same rows.
    """

    def __init__(self, rows: Sequence[Row], noise: ImageNoise) -> None:
        self.rows, self.noise, self.metric = rows, noise, noise.metric
        self._judged: dict[tuple[str, ...], Judged] = {}

    def __call__(self, ours: Sequence[Group], theirs: Sequence[Group]) -> Judged:
        """As :func:`judge`."""
        place = (*(group.configuration for group in ours), "against", *(group.configuration for group in theirs))
        if place not in self._judged:
            self._judged[place] = judge(ours, theirs, self.rows, self.noise)
        return self._judged[place]


def best_first(groups: Sequence[Group], direction: int) -> list[Group]:
    """The groups by their mean; ``direction`` is the metric's sign."""
    return sorted(groups, key=lambda group: -direction * group.mean)


def _turned(estimate: BestDifference | None, direction: int) -> tuple[float | None, float | None]:
    """The interval in the metric's own sign; None for an end that is open."""
    if estimate is None:
        return None, None
    low, high = (direction * end if isfinite(end) else None for end in (estimate.low, estimate.high))
    return (low, high) if direction > 0 else (high, low)


def score_table(groups: Sequence[Group], rows: Sequence[Row], seeds: Sequence[int]) -> NDArray[np.float64]:
    """``(len(groups), len(seeds))``, nan where a configuration lacks a seed."""
    return np.array([_scores(group, rows, seeds) for group in groups])


def _scores(group: Group, rows: Sequence[Row], seeds: Sequence[int]) -> list[float]:
    members: Mapping[int, Row] = members_of(group, rows)
    return [score if seed in members and (score := members[seed].score) is not None else np.nan for seed in seeds]


def judgement(judged: Judged, metric: str, choices: str, subject: str) -> str:
    """What the difference means, with its interval; ``choices`` says among what either best was chosen, if at all."""
    if judged.outcome == "unknown":
        return not_told(judged, metric)
    if judged.outcome == "no difference":
        return f"no difference at this number of seeds ({interval(judged, metric, choices)})"
    return f"{subject} {judged.outcome} ({interval(judged, metric, choices)})"


def interval(judged: Judged, metric: str, choices: str) -> str:
    """The difference with its interval, and what that is over."""
    ground = f"{judged.n_seeds} seeds{f' and {judged.n_images} images' if judged.n_images else ''}"
    corrected = f", corrected for choosing among {choices}" if choices else ""
    ends = f"{_end(judged.low, metric)} to {_end(judged.high, metric)}"
    return f"{signed(judged.difference, metric)}, 95 % interval {ends} over {ground}{corrected}"


def _end(value: float | None, metric: str) -> str:
    return "any" if value is None else signed(value, metric)


def not_told(judged: Judged, metric: str) -> str:
    """Why the difference cannot be judged."""
    difference = signed(judged.difference, metric)
    if judged.n_seeds == 0:
        return f"they share no seed, so the difference of {difference} cannot be judged"
    if judged.n_seeds > 1:
        return f"the difference of {difference} cannot be judged before every configuration has two seeds"
    verdict = f"one seed cannot tell whether the difference of {difference} is more than noise"
    if judged.images_low is None or judged.images_high is None:
        return verdict
    low, high = (signed(end, metric) for end in (judged.images_low, judged.images_high))
    return f"{verdict} (over other validation images alone {low} to {high})"


def words(group: Group, metric: str) -> str:
    """A configuration and its score in a few words."""
    rf = side_text(group.rf)
    score = f"{metric_name(metric)} {number(group.mean, metric)}"
    return f"{group.method} ({group.setting}; rf {rf}, rnorm {group.rnorm:.2f}) {score}"


def metric_name(metric: str) -> str:
    """A metric as people call it; a cost as it is."""
    group = group_of(metric)
    return TITLES.get(metric, metric) if group is None else f"F1 {group}"


def number(value: float, metric: str) -> str:
    """A score as people read it: three decimals, or four digits of a cost."""
    return f"{value:.4g}" if metric in COSTS else f"{value:.3f}"


def signed(value: float, metric: str) -> str:
    """A difference of scores, with its sign."""
    return f"{value:+.4g}" if metric in COSTS else f"{value:+.3f}"
