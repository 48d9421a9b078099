"""What the sampler ``sufficient`` asks for, of tables of scores."""

import numpy as np
import pytest

from autorf.comparison.looks import looks_of
from autorf.driver.bisection import Array, golden_section, next_trainings


def searched(scores: Array, margin: float = 1.0) -> Array:
    """What is trained of a table, the rest nan; nothing is asked for twice."""
    seen = np.full(scores.shape, np.nan)
    while cells := next_trainings(seen, margin, looks_of(range(scores.shape[1]))):
        for cell in cells:
            assert np.isnan(seen[cell])
            seen[cell] = scores[cell]
    return seen


def table(loses: list[float], n_seeds: int = 3, noise: float = 0.1) -> Array:
    rng = np.random.default_rng(0)
    return rng.normal(size=(1, n_seeds)) + noise * rng.normal(size=(len(loses), n_seeds)) - np.array(loses)[:, None]


@pytest.mark.parametrize("size", range(1, 20))
def test_golden_section_finds_the_highest_of_any_single_peak(size: int) -> None:
    for top in range(size):
        scores, seen = -np.abs(np.arange(size) - top).astype(float), np.full(size, np.nan)
        while fields := golden_section(seen):
            seen[fields] = scores[fields]
        assert np.nanargmax(seen) == top
        assert np.isfinite(seen).sum() <= min(size, 6)


def test_fields_far_behind_are_trained_once_and_those_in_question_under_every_seed() -> None:
    trainings = np.isfinite(searched(table([9, 9, 8, 0, 0, 8, 9, 9]))).sum(1)
    assert trainings[3] == trainings[4] == 3
    assert trainings.sum() <= 0.6 * 24
    assert (trainings[[0, 1, 2, 5, 6, 7]] <= 1).sum() >= 5


def test_a_plateau_is_bisected_to_its_smaller_end() -> None:
    trainings = np.isfinite(searched(table([9, 6, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]))).sum(1)
    assert trainings[3] == 3
    assert trainings[2] >= 1
    assert trainings.sum() <= 0.6 * 36


def test_noise_as_large_as_the_margin_takes_the_second_look_and_then_ends() -> None:
    seen = searched(table([0] * 8, n_seeds=5, noise=2.0))
    assert np.isfinite(seen).all(1).any()
    assert next_trainings(seen, 1.0, looks_of(range(5))) == []


def test_images_that_move_every_difference_by_more_than_the_margin_let_no_field_pass() -> None:
    scores = table([4, 3, 0, 0, 2, 3, 4, 5])
    known = np.isfinite(searched(scores)).sum()
    seen = np.full(scores.shape, np.nan)
    while cells := next_trainings(seen, 1.0, looks_of(range(3)), 4.0, 50):
        for cell in cells:
            seen[cell] = scores[cell]
    assert np.isfinite(seen).sum() > known


def test_two_looks_share_the_chance_of_a_false_claim() -> None:
    assert [(look.seeds, look.level) for look in looks_of([7, 8, 9, 10, 11])] == [
        ((7, 8, 9), 0.025),
        ((7, 8, 9, 10, 11), 0.025),
    ]
    assert [look.level for look in looks_of([0, 1, 2])] == [0.05]
