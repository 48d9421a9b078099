"""Did learning the receptive field help, and by how much? One honest sentence and the numbers behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autorf.comparison.images import ImageNoise
from autorf.comparison.rows import Group, Row, members_of
from autorf.statistics import BestDifference, difference_of_best, difference_on_images
from autorf.study.objectives import COSTS, sign
from autorf.study.trial import side_text

NAMES = {"miou": "mIoU", "f1": "F1", "pixel_accuracy": "pixel accuracy"}


@dataclass(frozen=True)
class Verdict:
    """Best manual against best learned configuration, on the validation split.

    Attributes:
        difference: learned less manual, the mean over the seeds they share.
        difference_ci95: half of ``difference_high - difference_low``.
        difference_low, difference_high: the 95 % interval of the difference between what truly is the best learned and
            the best manual configuration: over other seeds and, where trials have evidence, other validation images;
            corrected for having picked the best of ``n_learned`` and of ``n_manual``. None with one seed, and for an
            end that some configuration's single seed leaves open.
        images_low, images_high: with one seed only: the interval over other validation images alone.
        cost_ratio: seconds of the learned configuration over those of the whole manual grid: processor time on a CPU,
            wall time on a GPU.
        outcome: ``better``, ``worse``, ``no difference``, or ``unknown``.
        n_seeds, n_images: that the interval comes from; no images where trials have no evidence.
    """

    best_manual: dict[str, Any] | None
    best_learned: dict[str, Any] | None
    difference: float | None
    difference_ci95: float | None
    cost_ratio: float | None
    sentence: str
    difference_low: float | None = None
    difference_high: float | None = None
    images_low: float | None = None
    images_high: float | None = None
    outcome: str = "unknown"
    n_manual: int = 0
    n_learned: int = 0
    n_seeds: int = 0
    n_images: int = 0


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
    ours, theirs = _best_first(ours, direction), _best_first(theirs, direction)
    seeds = sorted({row.seed for row in rows})
    a, b = (_score_table(groups, rows, seeds) * direction for groups in (ours, theirs))
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


def _best_first(groups: Sequence[Group], direction: int) -> list[Group]:
    return sorted(groups, key=lambda group: -direction * group.mean)


def _turned(estimate: BestDifference | None, direction: int) -> tuple[float | None, float | None]:
    """The interval in the metric's own sign; None for an end that is open."""
    if estimate is None:
        return None, None
    low, high = (direction * end if isfinite(end) else None for end in (estimate.low, estimate.high))
    return (low, high) if direction > 0 else (high, low)


def _score_table(groups: Sequence[Group], rows: Sequence[Row], seeds: Sequence[int]) -> NDArray[np.float64]:
    """``(len(groups), len(seeds))``, nan where a configuration lacks a seed."""
    return np.array([_scores(group, rows, seeds) for group in groups])


def _scores(group: Group, rows: Sequence[Row], seeds: Sequence[int]) -> list[float]:
    members: Mapping[int, Row] = members_of(group, rows)
    return [score if seed in members and (score := members[seed].score) is not None else np.nan for seed in seeds]


def verdict_of(rows: Sequence[Row], groups: Sequence[Group], noise: ImageNoise) -> Verdict:
    """Judge the study as it stands."""
    usable = [group for group in groups if group.feasible]
    manual = [group for group in usable if group.manual]
    learned = [group for group in usable if not group.manual]
    if not manual or not learned:
        return _none_yet(manual, learned, rows, len(usable) < len(groups), noise.metric)
    judged = judge(learned, manual, rows, noise)
    ours, theirs = judged.first, judged.second
    grid_seconds = sum(group.own_seconds * group.n for group in groups if group.manual)
    ratio = ours.own_seconds * ours.n / grid_seconds if grid_seconds else None
    whole = sum(group.spent_seconds or group.own_seconds * group.n for group in groups if not group.manual)
    all_learned = whole / grid_seconds if grid_seconds and len(learned) > 1 else None
    half = None if judged.low is None or judged.high is None else (judged.high - judged.low) / 2
    return Verdict(
        best_manual=asdict(theirs),
        best_learned=asdict(ours),
        difference=judged.difference,
        difference_ci95=half,
        cost_ratio=ratio,
        sentence=_sentence(judged, _cost_words(ratio, all_learned, len(manual)), noise, len(manual), len(learned)),
        difference_low=judged.low,
        difference_high=judged.high,
        images_low=judged.images_low,
        images_high=judged.images_high,
        outcome=judged.outcome,
        n_manual=len(manual),
        n_learned=len(learned),
        n_seeds=judged.n_seeds,
        n_images=judged.n_images,
    )


def _none_yet(
    manual: Sequence[Group], learned: Sequence[Group], rows: Sequence[Row], constraints: bool, metric: str
) -> Verdict:
    missing = " ".join(["no", *(["manual"] if learned else ["learned"] if manual else []), "trial"])
    states = [row.state for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    why = "" if manual or learned else f" ({counts or 'none was begun'})"
    kept = " and keeps the study's limits" if constraints else ""
    direction = sign(metric)
    best = max([*manual, *learned], key=lambda group: direction * group.mean, default=None)
    so_far = f"; best so far: {words(best, metric)}" if best else ""
    return Verdict(
        asdict(best) if best and best.manual else None,
        asdict(best) if best and not best.manual else None,
        None,
        None,
        None,
        f"No verdict yet: {missing} is complete{kept}{why}{so_far}.",
        n_manual=len(manual),
        n_learned=len(learned),
    )


def _cost_words(ratio: float | None, all_learned: float | None, n_manual: int) -> str:
    if ratio is None:
        return ""
    grid = "the manual grid's" if n_manual > 1 else "its"
    whole = "" if all_learned is None else f" ({all_learned:.0%} with all that learn)"
    return f" at {ratio:.0%} of {grid} training time{whole}"


def _sentence(judged: Judged, cost: str, noise: ImageNoise, n_manual: int, n_learned: int) -> str:
    best = f"Best learned {words(judged.first, noise.metric)} against best manual {words(judged.second, noise.metric)}"
    choices = f"{n_manual} manual and {n_learned} learned" if n_manual + n_learned > 2 else ""
    return f"{best}{cost}: {judgement(judged, noise.metric, choices, 'learning is')}."


def judgement(judged: Judged, metric: str, choices: str, subject: str) -> str:
    """What the difference means, with its interval; ``choices`` says among what either best was chosen, if at all."""
    difference = signed(judged.difference, metric)
    if judged.outcome == "unknown":
        return _not_told(judged, metric, difference)
    ground = f"{judged.n_seeds} seeds{f' and {judged.n_images} images' if judged.n_images else ''}"
    corrected = f", corrected for choosing among {choices}" if choices else ""
    ends = f"{_end(judged.low, metric)} to {_end(judged.high, metric)}"
    interval = f"{difference}, 95 % interval {ends} over {ground}{corrected}"
    if judged.outcome == "no difference":
        return f"no difference at this number of seeds ({interval})"
    return f"{subject} {judged.outcome} ({interval})"


def _end(value: float | None, metric: str) -> str:
    return "any" if value is None else signed(value, metric)


def _not_told(judged: Judged, metric: str, difference: str) -> str:
    if judged.n_seeds == 0:
        return f"they share no seed, so the difference of {difference} cannot be judged"
    if judged.n_seeds > 1:
        return f"the difference of {difference} cannot be judged before every configuration has two seeds"
    words = f"one seed cannot tell whether the difference of {difference} is more than noise"
    if judged.images_low is None or judged.images_high is None:
        return words
    low, high = (signed(end, metric) for end in (judged.images_low, judged.images_high))
    return f"{words} (over other validation images alone {low} to {high})"


def words(group: Group, metric: str) -> str:
    """A configuration and its score in a few words."""
    rf = side_text(group.rf)
    score = f"{NAMES.get(metric, metric)} {number(group.mean, metric)}"
    return f"{group.method} ({group.setting}; rf {rf}, rnorm {group.rnorm:.2f}) {score}"


def number(value: float, metric: str) -> str:
    """A score as people read it: three decimals, or four digits of a cost."""
    return f"{value:.4g}" if metric in COSTS else f"{value:.3f}"


def signed(value: float, metric: str) -> str:
    """A difference of scores, with its sign."""
    return f"{value:+.4g}" if metric in COSTS else f"{value:+.3f}"
