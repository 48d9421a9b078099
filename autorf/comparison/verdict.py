"""Did learning the receptive field help, and by how much? One honest sentence and the numbers behind it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from autorf.comparison.equal import Equal, equal_cost, equal_steps, seconds_unit, several_devices, training_words
from autorf.comparison.groups import Group
from autorf.comparison.images import ImageNoise
from autorf.comparison.judging import Judge, Judged, best_first, judgement, words
from autorf.comparison.rows import Row
from autorf.study.objectives import sign


@dataclass(frozen=True)
class Verdict:
    """Best manual against best learned configuration, on the validation split.

    The difference and its interval are of the two as they were trained, equally or not.

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
        equal_steps, equal_cost: the best learned against manual configurations that were trained as many steps, and for
            the same seconds, controls among them; None where there are none.
        sentence: the verdict at equal steps, at equal cost, and the cost ratio; says so where training was not equal.
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
    equal_steps: Equal | None = None
    equal_cost: Equal | None = None

    @property
    def equal_outcome(self) -> str:
        """The outcome at equal steps; ``not trained equally`` where there is none."""
        if self.equal_steps is not None:
            return self.equal_steps.outcome
        return self.outcome if self.difference is None else "not trained equally"


def verdict_of(rows: Sequence[Row], groups: Sequence[Group], noise: ImageNoise) -> Verdict:
    """Judge the study as it stands."""
    usable = [group for group in groups if group.feasible]
    manual = [group for group in usable if group.manual]
    learned = [group for group in usable if group.learned]
    if not manual or not learned:
        return _none_yet(manual, learned, rows, len(usable) < len(groups), noise.metric)
    judge = Judge(rows, noise)
    judged = judge(learned, manual)
    winner = best_first(learned, sign(noise.metric))[0]
    steps, cost = (equal(winner, groups, judge) for equal in (equal_steps, equal_cost))
    half = None if judged.low is None or judged.high is None else (judged.high - judged.low) / 2
    verdict = Verdict(
        best_manual=asdict(judged.second),
        best_learned=asdict(judged.first),
        difference=judged.difference,
        difference_ci95=half,
        cost_ratio=_cost_ratio(judged.first.complete_seconds, groups),
        sentence="",
        difference_low=judged.low,
        difference_high=judged.high,
        images_low=judged.images_low,
        images_high=judged.images_high,
        outcome=judged.outcome,
        n_manual=len(manual),
        n_learned=len(learned),
        n_seeds=judged.n_seeds,
        n_images=judged.n_images,
        equal_steps=steps,
        equal_cost=cost,
    )
    parts = (*_training_parts(verdict, judged, rows, noise.metric), *_cost_parts(verdict, winner, groups))
    return replace(verdict, sentence=" ".join(parts))


def _cost_ratio(seconds: float, groups: Sequence[Group]) -> float | None:
    """To the whole manual grid."""
    grid = sum(group.complete_seconds for group in groups if group.manual)
    return seconds / grid if grid else None


def _training_parts(verdict: Verdict, judged: Judged, rows: Sequence[Row], metric: str) -> Iterator[str]:
    """The verdict at equal steps; without one, that training was not equal and what can still be said."""
    if verdict.equal_steps is not None:
        yield verdict.equal_steps.sentence
        return
    yield f"{training_words(judged.first, judged.second, rows)}."
    if verdict.equal_cost is None:
        best = f"Best learned {words(judged.first, metric)} against best manual {words(judged.second, metric)}"
        counts = f"{verdict.n_manual} manual and {verdict.n_learned} learned"
        choices = counts if verdict.n_manual + verdict.n_learned > 2 else ""
        yield f"{best}: {judgement(judged, metric, choices, 'learning is')}."


def _cost_parts(verdict: Verdict, winner: Group, groups: Sequence[Group]) -> Iterator[str]:
    """The verdict at equal cost or why there is none, and what learning has cost beside the grid."""
    devices = several_devices(winner, groups)
    if devices:
        yield f"Not compared in cost: the trials ran on {' and '.join(devices)}."
        return
    if verdict.equal_cost is not None:
        yield verdict.equal_cost.sentence
    elif winner.own_seconds:
        yield (
            f"Not compared at equal cost: no manual configuration took the {winner.own_seconds:.3g} "
            f"{seconds_unit(winner)} a trial of the best learned one."
        )
    if verdict.cost_ratio is not None:
        learned = [group for group in groups if group.learned]
        whole = _cost_ratio(sum(group.spent_seconds or group.complete_seconds for group in learned), groups)
        more = f" ({whole:.0%} with all that learn)" if verdict.n_learned > 1 and whole is not None else ""
        grid = "the manual grid's" if verdict.n_manual > 1 else "the manual configuration's"
        yield f"The best learned configuration took {verdict.cost_ratio:.0%} of {grid} training time{more}."


def _none_yet(
    manual: Sequence[Group], learned: Sequence[Group], rows: Sequence[Row], constraints: bool, metric: str
) -> Verdict:
    unit = "replicate" if any(row.fold_keys for row in rows) else "trial"
    missing = " ".join(["no", *(["manual"] if learned else ["learned"] if manual else []), unit])
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
