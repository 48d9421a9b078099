"""Equal training: as many steps, the same cost, and what is said where there was none."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from autorf.comparison import Comparison, StudyResults, compare, compare_studies
from autorf.store.ranking import ranked
from autorf.store.record import Record
from autorf.study.control import Budget, Control
from autorf.study.search_spec import SearchSpec
from tests.comparison.builder import record
from tests.reports import changed

WINNER: dict[str, Any] = {"method": "learned_dilation"}


def trained(
    method: str, scores: Sequence[float], steps: int | None, seconds: float = 10.0, device: str = "cpu", **params: Any
) -> list[Record]:
    """A configuration's trials, one a seed."""
    trials = [record(method, score, seed, **params) for seed, score in enumerate(scores)]
    facts = {"steps": steps, "train_seconds": seconds, "device": device}
    return [replace(trial, result=changed(trial.result, **facts), history=()) for trial in trials]


def controls(
    scores: Sequence[float], steps: int, budget: Budget, seconds: float = 10.0, winner: Any = WINNER, **params: Any
) -> list[Record]:
    """Dilation 2, trained so long."""
    trials = trained("dilation", scores, steps, seconds, rate=2, **{"training.steps": steps}, **params)
    return [replace(trial, control=Control(budget, winner)) for trial in trials]


def study(*parts: list[Record]) -> Comparison:
    return compare("s", [trial for part in parts for trial in part])


GRID = [*trained("dilation", [0.50, 0.51, 0.52], 80, rate=1), *trained("dilation", [0.60, 0.61, 0.62], 80, rate=2)]
LEARNED = trained("learned_dilation", [0.66, 0.672, 0.68], 100, 30.0)


def test_a_grid_trained_as_long_needs_no_controls() -> None:
    comparison = study(GRID, trained("learned_dilation", [0.66, 0.672, 0.68], 80))
    equal, verdict = comparison.verdict.equal_steps, comparison.verdict
    assert equal is not None
    assert (equal.manual["params"], equal.difference) == ({"rate": 2}, verdict.difference)
    assert (equal.difference_low, equal.difference_high) == (verdict.difference_low, verdict.difference_high)
    assert equal.sentence.startswith("At equal steps (80): best learned learned_dilation")
    assert verdict.sentence.startswith(equal.sentence)
    assert "not equal" not in verdict.sentence


def test_without_controls_unequal_training_is_said_with_both_lengths() -> None:
    verdict = study(GRID, LEARNED).verdict
    assert (verdict.equal_steps, verdict.equal_cost) == (None, None)
    assert verdict.sentence.startswith(
        "Training was not equal: the best learned configuration trained 100 steps, the best manual one 80 steps. "
        "Best learned learned_dilation"
    )
    assert "Not compared at equal cost: no manual configuration took the 30 CPU-seconds a trial" in verdict.sentence
    assert "took 150% of the manual grid's training time" in verdict.sentence


def test_a_control_is_compared_in_place_of_the_shorter_grid() -> None:
    longer = controls([0.67, 0.682, 0.69], 100, "steps")
    comparison = study(GRID, LEARNED, longer, controls([0.7, 0.712, 0.72], 300, "cost", 30.0))
    steps, cost = comparison.verdict.equal_steps, comparison.verdict.equal_cost
    assert steps is not None
    assert cost is not None
    assert steps.manual["keys"] == tuple(trial.key for trial in longer)
    assert (steps.difference, cost.difference) == (pytest.approx(-0.01), pytest.approx(-0.04))
    assert (steps.outcome, cost.outcome) == ("worse", "worse")
    assert comparison.verdict.outcome == "better"
    sentence = comparison.verdict.sentence
    assert (
        sentence.index("At equal steps (100)")
        < sentence.index("At equal cost (30 CPU-seconds")
        < sentence.index("took")
    )


def test_a_grid_configuration_within_five_percent_of_the_cost_counts_at_equal_cost() -> None:
    dear = trained("dilation", [0.64, 0.65, 0.66], 80, 29.0, rate=4)
    cost = study(GRID, dear, LEARNED).verdict.equal_cost
    assert cost is not None
    assert cost.manual["params"] == {"rate": 4}
    assert study(GRID, trained("dilation", [0.64, 0.65, 0.66], 80, 28.0, rate=4), LEARNED).verdict.equal_cost is None


def test_a_control_of_another_winner_is_listed_and_not_counted() -> None:
    old = controls([0.9, 0.9, 0.9], 100, "steps", winner={"method": "inflation"})
    comparison = study(GRID, LEARNED, old)
    assert comparison.verdict.equal_steps is None
    assert [group.control for group in comparison.groups] == [None, None, None, "steps"]


def test_a_control_that_failed_is_named_as_the_reason() -> None:
    failed = replace(record("dilation", None, rate=2, **{"training.steps": 100}), control=Control("steps", WINNER))
    assert "the best manual one 80 steps (controls: 1 failed)." in study(GRID, LEARNED, [failed]).verdict.sentence


def test_equal_epochs_stand_for_steps_that_were_not_counted() -> None:
    comparison = study(trained("dilation", [0.5], None, rate=1), trained("learned_dilation", [0.6], None))
    assert comparison.verdict.equal_steps is not None
    assert comparison.verdict.sentence.startswith("At equally many epochs (2; steps are not known)")
    other = trained("learned_dilation", [0.6], None)
    longer = [replace(trial, result=changed(trial.result, epochs=3)) for trial in other]
    verdict = study(trained("dilation", [0.5], None, rate=1), longer).verdict
    assert verdict.equal_steps is None
    assert "trained 3 epochs (steps are not known), the best manual one 2 epochs" in verdict.sentence


def test_other_batches_at_equal_epochs_are_not_equal_training() -> None:
    batches = trained("learned_dilation", [0.6], None, **{"training.batch_size": 2})
    assert study(trained("dilation", [0.5], None, rate=1), batches).verdict.equal_steps is None


def test_the_same_field_makes_the_difference_the_price_of_the_search() -> None:
    grid = trained("dilation", [0.60, 0.61, 0.62], 80, rate=3)
    worse = trained("learned_dilation", [0.55, 0.562, 0.57], 80)
    equal = study(grid, worse).verdict.equal_steps
    assert equal is not None
    assert equal.same_field
    assert "same dilation as rate 3; the price of the search is -0.049, 95 % interval" in equal.sentence
    assert "learning is" not in equal.sentence
    one_seed = study(grid[:1], worse[:1]).verdict.equal_steps
    assert one_seed is not None
    assert "same dilation as rate 3, so the difference is the price (or worth) of the search" in one_seed.sentence


def test_a_field_that_differs_in_one_seed_or_pixel_is_not_the_same() -> None:
    grid = trained("dilation", [0.60, 0.61], 80, rate=3)
    learned = trained("learned_dilation", [0.55, 0.56], 80)
    moved = replace(learned[1], result=changed(learned[1].result, rf=[34, 34]))
    for ours in ([learned[0], moved], trained("scale_adaptive", [0.55, 0.56], 80)):
        equal = study(grid, ours).verdict.equal_steps
        assert equal is not None
        assert not equal.same_field


def test_trials_of_two_devices_are_not_compared_in_cost_and_that_is_said() -> None:
    on_gpu = trained("learned_dilation", [0.66, 0.672, 0.68], 80, 10.0, device="cuda")
    verdict = study(GRID, on_gpu).verdict
    assert verdict.equal_cost is None
    assert verdict.equal_steps is not None
    assert verdict.sentence.endswith("Not compared in cost: the trials ran on cpu and cuda.")


def test_controls_are_no_part_of_the_grid_anywhere() -> None:
    # The best of all, at the field of the objects, and cheap: whatever counted it would name it.
    extra = [
        replace(trial, result=changed(trial.result, latency_ms=0.1)) for trial in controls([0.9] * 3, 100, "steps")
    ]
    without, comparison = study(GRID, LEARNED), study(GRID, LEARNED, extra)
    assert comparison.verdict.best_manual == without.verdict.best_manual
    assert comparison.verdict.n_manual == 2
    assert comparison.verdict.cost_ratio == without.verdict.cost_ratio
    assert comparison.curves == without.curves
    assert comparison.named == without.named
    assert comparison.recommendation == without.recommendation
    assert [(cost.way, cost.ratio) for cost in comparison.costs][:2] == [
        (cost.way, cost.ratio) for cost in without.costs
    ]
    assert [(cost.way, cost.trials) for cost in comparison.costs][2:] == [("controls", 3)]
    best = ranked([*GRID, *LEARNED, *extra], SearchSpec())
    assert [group[0].control for group in best] == [None, None, None]


def test_a_control_is_never_on_the_front() -> None:
    trials = [*GRID, *LEARNED, *controls([0.9] * 3, 100, "steps")]
    trials = [replace(trial, result=changed(trial.result, latency_ms=1.0)) for trial in trials]
    spec = {"search": {"objectives": ["miou", "latency_ms"]}}
    comparison = compare_studies([StudyResults("s", tuple(trials), tuple(trials), spec)])
    assert [row.on_front for row in comparison.rows if row.control] == [None] * 3
    assert any(row.on_front for row in comparison.rows)
