"""Pruning by rank where ranks are chance."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autorf.driver.rung_noise import chance_of_equals, rung_caution, scores_at
from autorf.store.record import Record
from tests.comparison.builder import record
from tests.driver.test_scheduler import Search
from tests.reports import epoch_report


def trials(means: list[float], noise: float, n_seeds: int = 3) -> list[Record]:
    """Trials after two epochs, the second of which is in question."""
    rng = np.random.default_rng(1)
    return [
        replace(
            record("dilation", 0.5, seed=seed, rate=rate),
            history=(epoch_report(0), epoch_report(1, miou=mean + noise * rng.normal())),
        )
        for rate, mean in enumerate(means, 1)
        for seed in range(n_seeds)
    ]


def test_configurations_that_differ_no_more_than_their_seeds_are_told() -> None:
    caution = rung_caution(trials([0.5] * 6, 0.02), "miou", 2)
    assert caution is not None
    assert caution.startswith("after 2 epochs the 6 configurations differ no more than their seeds do (p = ")


def test_configurations_that_differ_are_pruned_without_a_word() -> None:
    assert rung_caution(trials([0.3, 0.4, 0.5, 0.6], 0.02), "miou", 2) is None


@pytest.mark.parametrize(("means", "n_seeds"), [([0.5, 0.5], 3), ([0.5] * 6, 1)])
def test_too_few_configurations_or_one_seed_say_nothing(means: list[float], n_seeds: int) -> None:
    assert rung_caution(trials(means, 0.02, n_seeds), "miou", 2) is None


def test_a_configuration_that_lacks_a_seed_at_the_rung_does_not_count() -> None:
    some = trials([0.5] * 4, 0.02)
    assert scores_at([*some[:-1], replace(some[-1], history=some[-1].history[:1])], "miou", 2).shape == (3, 3)


def test_the_chance_is_that_of_the_f_test_over_configurations_and_seeds() -> None:
    rng = np.random.default_rng(0)
    chances = [chance_of_equals(rng.normal(size=(1, 4)) + rng.normal(size=(5, 4))) for _ in range(2000)]
    assert np.mean(np.array(chances) < 0.05) == pytest.approx(0.05, abs=0.015)
    assert chance_of_equals(np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]])) == 1
    assert chance_of_equals(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])) == 0


def test_a_search_tells_of_a_rung_once(tmp_path: Path) -> None:
    told: list[str] = []

    def chance(record: Record, epochs: int) -> float:
        return 0.5 + ((record.seed * 31 + hash_of(record) * 17) % 23) / 1000

    search = Search(tmp_path, {"pruning": {}}, seeds=[0, 1, 2])
    search.scheduler.listener.note = told.append  # type: ignore[method-assign]
    search.run(chance)
    assert [text for text in told if text.startswith("after 1 epoch the ")] == told[:1]
    assert len(told) <= 2


def hash_of(record: Record) -> int:
    return int(record.configuration.get("rate", record.configuration.get("start", 4)))
