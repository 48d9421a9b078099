import runpy
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autorf.metrics import scores
from autorf.statistics import (
    difference_of_best,
    difference_on_images,
    expected_best,
    half_width,
    image_variance,
    influence,
    pooled,
    rank_correlation,
)

T2 = 4.302653
"""Student's 97.5 % point with two degrees of freedom."""


@pytest.fixture(scope="module")
def simulation() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "interval_coverage.py"))


@pytest.fixture
def tallies() -> np.ndarray:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 60, (30, 4, 4))
    counts[:, 3] = counts[:, :, 3] = 0  # a class that never occurs
    right = counts.diagonal(axis1=1, axis2=2)
    return np.stack([right, counts.sum(2), counts.sum(1)], axis=-1)


def test_the_interval_of_a_mean_is_students() -> None:
    assert half_width([1.0]) is None
    assert half_width([0.0, 1.0, 2.0]) == pytest.approx(T2 / 3**0.5, rel=1e-5)
    assert half_width([0.5, 0.5, 0.5]) == 0


def test_images_widen_an_interval_and_alone_give_their_own() -> None:
    seeds = half_width([0.0, 1.0, 2.0])
    assert seeds is not None
    assert half_width([0.0, 1.0, 2.0], 1.0, 1000) > seeds  # type: ignore[operator]
    assert half_width([0.5, 0.5], 0.01, 100_000) == pytest.approx(1.96 * 0.1, rel=1e-3)


def test_pooled_scores_are_those_of_the_metrics_module() -> None:
    confusion = torch.tensor([[5, 2, 0], [1, 7, 0], [0, 0, 0]])
    expected = scores(confusion, ("a", "b", "c"))
    tallies = np.stack([confusion.diag(), confusion.sum(1), confusion.sum(0)], axis=-1)
    assert pooled(tallies, "miou") == pytest.approx(expected.miou)
    assert pooled(tallies, "f1") == pytest.approx(expected.f1)
    assert pooled(tallies, "pixel_accuracy") == pytest.approx(expected.pixel_accuracy)


@pytest.mark.parametrize("metric", ["miou", "f1", "pixel_accuracy"])
def test_the_influence_of_an_image_agrees_with_leaving_it_out(tallies: np.ndarray, metric: str) -> None:
    moved = influence(tallies, metric)
    left_out = [pooled(np.delete(tallies, i, 0), metric) for i in range(len(tallies))]
    jackknife = (len(tallies) - 1) / len(tallies) * sum((value - np.mean(left_out)) ** 2 for value in left_out)
    assert moved.mean() == pytest.approx(0, abs=1e-12)
    assert image_variance(moved) == pytest.approx(jackknife, rel=0.03)


def test_a_class_that_is_predicted_and_never_labelled_has_no_part_in_a_mean_or_its_interval(
    tallies: np.ndarray,
) -> None:
    more = np.concatenate([tallies, np.zeros_like(tallies[:, :1])], axis=1)
    more[:, -1, 2] = 5
    for metric in ("miou", "f1"):
        assert pooled(more, metric) == pytest.approx(pooled(tallies, metric))
        assert influence(more, metric) == pytest.approx(influence(tallies, metric))


def test_classes_that_are_left_out_have_no_part_in_a_mean_or_its_interval(tallies: np.ndarray) -> None:
    for metric in ("miou", "f1"):
        assert pooled(tallies, metric, left_out=(0,)) == pytest.approx(pooled(tallies[:, 1:], metric))
        assert influence(tallies, metric, left_out=(0,)) == pytest.approx(influence(tallies[:, 1:], metric))


def test_where_no_pixel_is_labelled_there_is_no_score() -> None:
    nothing = np.zeros((3, 2, 3), np.int64)
    for metric in ("miou", "f1", "pixel_accuracy"):
        assert np.isnan(pooled(nothing, metric))
        assert np.isnan(influence(nothing, metric)).all()


def test_what_differs_between_seeds_too_is_not_counted_as_the_images_share() -> None:
    rng = np.random.default_rng(0)
    images, rest = rng.normal(size=(1, 400)), rng.normal(size=(5, 400))
    assert image_variance(images + 0 * rest) == pytest.approx(1 / 400, rel=0.2)
    assert image_variance(rest) < 0.3 / 400
    assert image_variance(images + rest) == pytest.approx(1 / 400, rel=0.3)
    assert image_variance(images + rest, only_images=True) == pytest.approx(1.2 / 400, rel=0.2)


def test_the_images_share_of_two_seeds_and_two_images_by_hand() -> None:
    # The mean over seeds is 2 and -2: a variance of 8 / 1 / 2 images. What differs between seeds is 1 and -1 either
    # way: 4 / (1 * 1), of which each of the four cells' mean holds a fourth.
    assert image_variance([[3.0, -3.0], [1.0, -1.0]]) == 4 - 4 / 4
    assert image_variance([[3.0, -3.0], [1.0, -1.0]], only_images=True) == 4


def test_two_configurations_are_compared_by_students_paired_interval() -> None:
    found = difference_of_best([[0.5, 0.6, 0.55]], [[0.45, 0.5, 0.5]])
    half = T2 * np.std([0.05, 0.1, 0.05], ddof=1) / 3**0.5
    assert found.difference == pytest.approx(0.2 / 3)
    assert (found.low, found.high) == pytest.approx((0.2 / 3 - half, 0.2 / 3 + half))
    assert found.n_seeds == 3


def test_choosing_among_more_configurations_widens_only_the_side_that_choosing_favours() -> None:
    rng = np.random.default_rng(0)
    many = rng.normal(0.5, 0.01, (12, 3))
    found = difference_of_best(many, many[:1] - 0.001)
    alone = difference_of_best(many[found.first][None], many[:1] - 0.001)
    assert found.low < found.difference < found.high
    assert found.first == many.mean(1).argmax()
    assert np.isfinite([found.low, alone.low]).all()


def students_point(p: float) -> float:
    """Of two degrees of freedom, where the distribution can be inverted by hand."""
    return (2 * p - 1) / (2 * p * (1 - p)) ** 0.5


# A seed that all lack leaves no configuration complete, so no variance is borrowed from the others. Against the third,
# the first is .12 better with a spread of .02, the second .03 with .03.
NAN = float("nan")
TWO = [[0.60, 0.62, 0.64, NAN], [0.50, 0.53, 0.56, NAN]]
ONE = [[0.50, 0.50, 0.50, NAN]]
CHOSEN = students_point(1 - 0.025 / 2) * 0.02 / 3**0.5
NAMED = students_point(1 - 0.025) * 0.02 / 3**0.5


def test_the_low_end_of_the_best_of_two_is_students_at_half_the_tail() -> None:
    found = difference_of_best(TWO, ONE)
    assert students_point(0.975) == pytest.approx(T2)
    assert (found.first, found.difference) == (0, pytest.approx(0.12))
    assert found.low == pytest.approx(0.12 - CHOSEN) == pytest.approx(0.048347, abs=1e-6)
    assert found.high == pytest.approx(0.12 + NAMED) == pytest.approx(0.169683, abs=1e-6)


def test_the_high_end_against_the_best_of_two_is_students_at_half_the_tail() -> None:
    found = difference_of_best(ONE, TWO)
    assert (found.second, found.difference) == (0, pytest.approx(-0.12))
    assert found.high == pytest.approx(-0.12 + CHOSEN) == pytest.approx(-0.048347, abs=1e-6)
    assert found.low == pytest.approx(-0.12 - NAMED) == pytest.approx(-0.169683, abs=1e-6)


def test_the_low_end_may_come_from_a_steadier_configuration_than_the_best() -> None:
    found = difference_of_best([[0.60, 0.62, 0.64, NAN], [0.609, 0.61, 0.611, NAN]], ONE)
    assert found.first == 0
    assert found.low == pytest.approx(0.11 - students_point(0.9875) * 0.001 / 3**0.5)
    assert found.high == pytest.approx(0.12 + NAMED)


def test_to_be_better_every_other_one_must_be_beaten_and_that_needs_no_correction() -> None:
    found = difference_of_best([[0.7, 0.7, 0.7, NAN]], [[0.50, 0.52, 0.54, NAN], [0.60, 0.60, 0.60, NAN]])
    assert (found.second, found.low, found.high) == (1, pytest.approx(0.1), pytest.approx(0.1))
    noisy = difference_of_best([[0.7, 0.7, 0.7, NAN]], [[0.50, 0.58, 0.66, NAN], [0.60, 0.60, 0.60, NAN]])
    assert noisy.low == pytest.approx(0.12 - students_point(0.975) * 0.08 / 3**0.5)


def test_three_configurations_that_vary_alike_lend_each_other_their_variance() -> None:
    steps = 0.01 * np.array([[0, 1, 2], [1, 2, 0], [2, 0, 1]])
    found = difference_of_best(0.5 + steps[:1], 0.4 + steps[1:])
    # Of alike configurations the variance counts as known: the normal distribution's points, not Student's.
    # Every paired difference has a variance of .0003, its mean over three seeds .0001.
    assert found.low == pytest.approx(0.1 - 1.959964 * 0.01, abs=1e-6)
    assert found.high == pytest.approx(0.1 + 2.241403 * 0.01, abs=1e-6)


def test_a_little_image_noise_never_narrows_an_interval() -> None:
    alone = half_width([0.5, 0.6])
    assert alone is not None
    assert half_width([0.5, 0.6], 0.0001, 1000) >= alone  # type: ignore[operator]


def test_over_images_alone_the_best_of_two_is_corrected_likewise() -> None:
    found = difference_on_images([0.6, 0.5], [0.5], 0.0001, 10_000_000)
    # The normal distribution's points at 1 - .025/2 and at 1 - .025.
    assert (found.low, found.high) == pytest.approx((0.1 - 0.0224140, 0.1 + 0.0195996), abs=1e-6)
    against = difference_on_images([0.5], [0.6, 0.5], 0.0001, 10_000_000)
    assert (against.low, against.high) == pytest.approx((-0.1 - 0.0195996, -0.1 + 0.0224140), abs=1e-6)


def test_equal_results_without_any_spread_differ_by_exactly_nothing() -> None:
    found = difference_of_best(np.full((3, 3), 0.5), np.full((4, 3), 0.5))
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_one_seed_tells_nothing_of_seeds_and_images_alone_are_asked_for_by_name() -> None:
    found = difference_of_best([[0.6]], [[0.5]], 0.0001, 100)
    assert (found.low, found.high) == (-np.inf, np.inf)
    images = difference_on_images([0.6], [0.5], 0.0001, 100_000)
    assert (images.low, images.high) == pytest.approx((0.1 - 0.0196, 0.1 + 0.0196), rel=1e-3)


def test_seeds_that_one_configuration_lacks_are_left_out_of_its_pairs() -> None:
    nan = np.nan
    found = difference_of_best([[0.6, nan, 0.7]], [[0.5, 0.9, 0.5]])
    assert found.difference == pytest.approx(0.15)
    assert found.n_seeds == 2
    assert difference_of_best([[0.6, nan]], [[nan, 0.5]]).n_seeds == 0
    assert difference_of_best([[0.6, nan]], [[nan, 0.5]]).low == -np.inf


@pytest.mark.parametrize(("world", "simulations"), [(0, 400), (1, 400), (5, 400)])
def test_the_interval_of_two_methods_holds_the_truth_in_93_to_97_of_100(
    simulation: dict[str, Any], world: int, simulations: int
) -> None:
    _, ways = simulation["judged"](simulation["WORLDS"][world], simulations, seed=1)
    # Three standard errors of 400 simulations beside the bounds that the recorded 1 000 keep.
    assert 0.93 - 0.033 <= ways["autorf"].covered / simulations <= 0.97 + 0.026


@pytest.mark.parametrize("world", [0, 9, 12, 16])
def test_better_is_claimed_wrongly_at_most_once_in_twenty(simulation: dict[str, Any], world: int) -> None:
    true, ways = simulation["judged"](simulation["WORLDS"][world], 60, seed=2)
    assert true == 0
    assert ways["autorf"].better / 60 <= 0.05 + 0.05


def test_a_clear_gain_over_a_whole_grid_is_found_with_three_seeds(simulation: dict[str, Any]) -> None:
    _, ways = simulation["judged"](simulation["WORLDS"][17], 60, seed=3)
    assert ways["autorf"].better > 45 > ways["student"].better


def test_the_expected_best_is_the_mean_over_all_orders() -> None:
    values = [0.3, 0.9, 0.1, 0.5, 0.5]
    orders = list(permutations(values))
    expected = [np.mean([max(order[:k]) for order in orders]) for k in range(1, 6)]
    assert expected_best(values) == pytest.approx(expected)
    assert expected_best([0.4]) == pytest.approx([0.4])
    assert len(expected_best(np.arange(300.0))) == 300


def test_rank_correlation_is_spearmans_and_none_where_there_is_no_order() -> None:
    assert rank_correlation([1, 2, 3, 4], [1, 8, 27, 64]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 1, 2]) == pytest.approx(-0.5)
    assert rank_correlation([1, 1, 2, 2], [1, 2, 3, 4]) == pytest.approx(0.894427)
    assert rank_correlation([1, 2, np.nan], [1, 2, 3]) is None
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
