import random

import pytest

from autorf.driver.pruning import Arrival, Asha, bands


def at(key: str, value: float, seed: int = 0, cost: float | None = None) -> Arrival:
    return Arrival(key, seed, value, cost)


@pytest.mark.parametrize(
    ("least", "reduction", "epochs", "rungs"),
    [(1, 3, 8, (1, 3)), (1, 3, 9, (1, 3)), (2, 2, 16, (2, 4, 8)), (1, 4, 2, (1,)), (3, 3, 3, ())],
)
def test_rungs_grow_by_the_reduction_and_end_below_the_whole_training(
    least: int, reduction: int, epochs: int, rungs: tuple[int, ...]
) -> None:
    assert Asha(least, reduction, epochs).rungs == rungs


def test_a_trial_goes_on_only_among_the_best_third_so_far() -> None:
    asha = Asha(1, 3, 9)
    assert not asha.arrive(at("a", 0.9), 1)
    assert not asha.arrive(at("b", 0.1), 1)
    assert asha.promotable() is None
    assert not asha.arrive(at("c", 0.2), 1)
    assert asha.promotable() == "a"
    assert asha.promotable() is None
    assert asha.arrive(at("d", 0.5), 2)
    for key, value in (("e", 0.3), ("f", 0.4)):
        asha.arrive(at(key, value), 1)
    assert not asha.arrive(at("g", 0.05), 1)
    assert asha.arrive(at("h", 0.95), 1)


def test_the_highest_rung_is_promoted_first() -> None:
    asha = Asha(1, 2, 8)
    for key, value in (("a", 4.0), ("b", 3.0), ("c", 2.0), ("d", 1.0)):
        asha.restore(at(key, value), 1, paused=key in "bcd")
    for key, value in (("a", 0.5), ("x", 0.7)):
        asha.restore(at(key, value), 2, paused=True)
    assert asha.promotable() == "x"
    assert asha.promotable() == "b"
    assert asha.promotable() is None


def test_seeds_compete_among_themselves() -> None:
    asha = Asha(1, 2, 4)
    asha.arrive(at("low0", 0.1, seed=0), 1)
    asha.arrive(at("high1", 0.8, seed=1), 1)
    assert asha.promotable() is None
    assert asha.arrive(at("mid0", 0.2, seed=0), 1)
    assert not asha.arrive(at("mid1", 0.7, seed=1), 1)
    assert asha.promotable() == "high1"


def test_cost_bands_keep_the_best_of_the_cheap_ones() -> None:
    arrivals = [at(f"{cost}-{value}", value / 10 + cost / 100, cost=cost) for cost in (1, 50) for value in range(4)]
    made = bands(arrivals, 4)
    assert [{one.cost for one in band} for band in made] == [{1}, {50}]
    asha = Asha(1, 4, 9)
    for arrival in arrivals:
        asha.restore(arrival, 1, paused=True)
    assert {asha.promotable(), asha.promotable()} == {"1-3", "50-3"}
    assert asha.promotable() is None


def test_equal_costs_are_one_band() -> None:
    assert len(bands([at(str(n), n, cost=7.0) for n in range(12)], 3)) == 1
    assert bands([], 3) == [[]]


def test_when_nothing_is_promotable_the_furthest_can_still_be_finished() -> None:
    asha = Asha(1, 3, 9)
    assert not asha.arrive(at("a", 0.1), 1)
    assert not asha.arrive(at("b", 0.2), 1)
    assert asha.furthest(["a"]) == "a"
    assert not asha.arrive(at("a", 0.3), 3)
    assert asha.furthest(["a", "b"]) == "a"
    assert asha.furthest(["a", "b"]) == "b"
    assert asha.furthest(["a", "b"]) is None


@pytest.mark.parametrize("workers", [1, 4])
def test_halving_finds_a_good_trial_among_many_at_a_fraction_of_the_epochs(workers: int) -> None:
    """Simulated: the true quality shows through noise that shrinks with training."""
    spent, regrets = [], []
    for repeat in range(20):
        chance = random.Random(repeat)
        quality = {str(n): chance.random() for n in range(48)}
        asha, reached, epochs = Asha(1, 3, 27), dict.fromkeys(quality, 0), 0
        waiting = list(quality)
        running: list[str] = []
        while True:
            while len(running) < workers:
                key = asha.promotable() or (waiting.pop(0) if waiting else None)
                if key is None:
                    break
                running.append(key)
            if not running:
                break
            for key in list(running):
                reached[key] += 1
                epochs += 1
                seen = quality[key] + chance.gauss(0, 0.1 / reached[key])
                if reached[key] == 27 or not asha.arrive(at(key, seen), reached[key]):
                    running.remove(key)
        finished = [quality[key] for key in quality if reached[key] == 27]
        regrets.append(max(quality.values()) - max(finished))
        spent.append(epochs / (48 * 27))
    assert max(spent) < 0.25
    assert sum(regrets) / len(regrets) < 0.02
