"""Asynchronous successive halving: which trials go on past a rung, and which paused one is worth more epochs."""

from collections.abc import Iterable
from dataclasses import dataclass

BANDS = 3
"""With a cost among the objectives, trials compete with those of similar cost: in at most so many bands."""


@dataclass(frozen=True)
class Arrival:
    """A trial at a rung.

    Attributes:
        key: of the trial.
        seed: trials compete with those of their seed only.
        value: the metric there; more is better.
        cost: the second objective where it is a cost, else None.
    """

    key: str
    seed: int
    value: float
    cost: float | None = None


class Asha:
    """Successive halving over epochs that never waits for a rung to fill.

    A trial that reaches a rung goes on when it is among the best ``1 / reduction`` of those of its seed, and of its
    band of cost, that have reached it so far; otherwise it is paused. As more arrive, a paused one may come to be among
    them: :meth:`promotable` names it. It keeps no clock and starts nothing, so any executor can follow it.
    Paper: Li et al., *A system for massively parallel hyperparameter tuning*, MLSys 2020, Algorithm 2.

    Args:
        min_epochs: the first rung.
        reduction: rungs are ``min_epochs * reduction**k``; the best ``1 / reduction`` go on.
        max_epochs: of a whole training; rungs lie below.
    """

    def __init__(self, min_epochs: int, reduction: int, max_epochs: int) -> None:
        self.reduction = reduction
        rungs: list[int] = []
        while min_epochs * reduction ** len(rungs) < max_epochs:
            rungs.append(min_epochs * reduction ** len(rungs))
        self.rungs = tuple(rungs)
        self._arrived: dict[int, dict[str, Arrival]] = {rung: {} for rung in rungs}
        self._gone_on: dict[int, set[str]] = {rung: set() for rung in rungs}

    def arrive(self, arrival: Arrival, epochs: int) -> bool:
        """Take note of a trial after so many epochs; whether it goes on. Between rungs every trial does."""
        if epochs not in self._arrived:
            return True
        self._arrived[epochs][arrival.key] = arrival
        if arrival.key not in self._best(epochs):
            return False
        self._gone_on[epochs].add(arrival.key)
        return True

    def restore(self, arrival: Arrival, epochs: int, *, paused: bool) -> None:
        """Take note of what happened before a restart: a trial was at this rung, and paused there or went on."""
        self._arrived[epochs][arrival.key] = arrival
        if not paused:
            self._gone_on[epochs].add(arrival.key)

    def promotable(self) -> str | None:
        """A paused trial that should go on, from the highest rung that has one; it counts as gone on from then."""
        for rung in reversed(self.rungs):
            best = [key for key in self._best(rung) if key not in self._gone_on[rung]]
            if best:
                return self._promoted(rung, best)
        return None

    def furthest(self, keys: Iterable[str]) -> str | None:
        """The best of ``keys`` at the highest rung that one of them is paused at; it counts as gone on from then."""
        candidates = set(keys)
        for rung in reversed(self.rungs):
            paused = [key for key in self._arrived[rung] if key in candidates and key not in self._gone_on[rung]]
            if paused:
                return self._promoted(rung, paused)
        return None

    def _promoted(self, rung: int, keys: Iterable[str]) -> str:
        chosen = max(keys, key=lambda key: (self._arrived[rung][key].value, key))
        self._gone_on[rung].add(chosen)
        return chosen

    def _best(self, rung: int) -> set[str]:
        """Who among those at the rung is worth more epochs."""
        arrivals = self._arrived[rung].values()
        best: set[str] = set()
        for seed in {arrival.seed for arrival in arrivals}:
            of_seed = [arrival for arrival in arrivals if arrival.seed == seed]
            for band in bands(of_seed, self.reduction):
                ranked = sorted(band, key=lambda arrival: (-arrival.value, arrival.key))
                best |= {arrival.key for arrival in ranked[: len(band) // self.reduction]}
        return best


def bands(arrivals: list[Arrival], least: int) -> list[list[Arrival]]:
    """The arrivals by cost: at most :data:`BANDS` of them, about equally large and of ``least`` or more where possible.

    Equal costs are never parted; without costs all are one band.
    """
    count = min(BANDS, len(arrivals) // least)
    if count < 2 or any(arrival.cost is None for arrival in arrivals):
        return [arrivals]
    ordered = sorted(arrivals, key=_cost)
    # Those of one cost go where the first of them belongs.
    first_places: dict[float, int] = {}
    by_band: dict[int, list[Arrival]] = {}
    for place, arrival in enumerate(ordered):
        first = first_places.setdefault(_cost(arrival), place)
        by_band.setdefault(first * count // len(ordered), []).append(arrival)
    return list(by_band.values())


def _cost(arrival: Arrival) -> float:
    return arrival.cost or 0.0
