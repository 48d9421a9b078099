"""What to train next to find the smallest sufficient field of an ordered grid without training all of it.

One training a field finds the best of the grid, by golden section, then at the grid's end and a step to either side.
More seeds go to the best field and to those rivals that keep it from passing the test of
:mod:`autorf.comparison.noninferiority`; below it, bisection looks for the smallest field that passes, too. A field that
one training shows to be far behind gets no second one.

Golden section finds the highest of scores that rise and then fall. A peak between fields that are all alike is seen by
nobody who does not train it; so the answer is one among the fields trained. ``benchmarks/sufficient_sampler.py``
measures how often it is wrong, and what it costs.

Sources: Kiefer, *Sequential minimax search for a maximum*, Proc. AMS 1953 (the search by Fibonacci numbers, which is
golden section on a grid).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autorf.comparison.looks import Look
from autorf.comparison.noninferiority import paired, step

Array = NDArray[np.float64]
Cell = tuple[int, int]
"""A training: the index of a field, from the smallest, and that of a seed."""

LEAST_FIELDS = 5
"""Of fewer fields bisection spares next to nothing."""

FAR_BEHIND = 3.0
"""A field so many margins behind in one training gets no second one, while the noise of seeds is not known."""

DEVIATIONS = 2.0
"""Nor does one that is behind by the margin and so many standard deviations of the difference, once it is known."""

SHARE = 0.6
"""Up to this share of the whole grid is trained for a test that names nothing for lack of seeds."""


def next_trainings(
    scores: Array, margin: float, looks: Sequence[Look], image_variances: ArrayLike = 0.0, n_images: int = 0
) -> list[Cell]:
    """The trainings that are due; empty once a field is named, or more seeds than there are would be needed.

    A function of the scores alone: a search that was killed goes on as it would have.

    Args:
        scores: ``(fields, seeds)``, smallest field first, more is better; nan for what was not trained.
        margin: what may be lost.
        looks: at the first seeds, each at more of them.
        image_variances: ``(fields, fields)`` or one number, what the choice of validation images adds to the variance
            of each pair's mean difference.
        n_images: how many images that was estimated from.

    Example:
        >>> from autorf.comparison.looks import looks_of
        >>> next_trainings(np.full((8, 3), np.nan), 0.01, looks_of([0, 1, 2]))
        [(4, 0), (7, 0)]
    """
    if probes := golden_section(scores[:, 0]) or _not_to_miss(scores[:, 0]):
        return [(field, 0) for field in probes]
    images = np.broadcast_to(np.asarray(image_variances, float), (len(scores), len(scores)))
    for look in looks:
        bisection = _Bisection(scores[:, : len(look.seeds)], margin, look.level, images, n_images)
        if due := bisection.next():
            return due
        if bisection.names:
            return []
    return []


def golden_section(scores: Array) -> list[int]:
    """The fields to train next for the highest of ``scores``, of one seed, nan where not trained; empty at the end."""
    # Places 1 to the last but one of a Fibonacci number of places; those beyond the grid are lower than any score.
    longer, shorter = 2, 1
    while longer <= len(scores):
        longer, shorter = longer + shorter, longer
    low, high = 0, longer

    def score(place: int) -> float:
        return float(scores[place - 1]) if place <= len(scores) else -np.inf

    while longer > 2:
        left, right = low + longer - shorter, low + shorter
        if missing := [place - 1 for place in (left, right) if np.isnan(score(place))]:
            return missing
        low, high = (low, right) if score(left) >= score(right) else (left, high)
        longer, shorter = shorter, longer - shorter
    return [low] if np.isnan(score(low + 1)) else []


def _not_to_miss(scores: Array) -> list[int]:
    """What noise may have led golden section away from: the largest field, and the highest score's neighbours."""
    best, last = int(np.nanargmax(scores)), len(scores) - 1
    places = {last} if np.isnan(scores[last]) else {best - 1, best + 1}
    return sorted(field for field in places if 0 <= field <= last and np.isnan(scores[field]))


class _Bisection:
    """One look at what is trained; fields by their index in the grid, ``place`` by that among the trained ones."""

    def __init__(self, scores: Array, margin: float, level: float, images: Array, n_images: int) -> None:
        self.scores, self.margin, self.level = scores, margin, level
        self.fields = np.flatnonzero(np.isfinite(scores).any(1))
        self.pairs = paired(scores[self.fields], images[np.ix_(self.fields, self.fields)], n_images)
        self.best = int(self.pairs.best)
        self.behind = -self.pairs.difference[:, self.best]

    @property
    def names(self) -> bool:
        """Whether the test names a field."""
        return self._knows_noise and int(step(self.fields, self.pairs, self.margin, self.level).low) >= 0

    def next(self) -> list[Cell]:
        """What is due at this look; empty where all that this look can ask is answered."""
        due = self._seeds_of(self.best) or self._seeds_of_rivals() or self._below()
        return due or ([] if self.names else self._for_power())

    @property
    def _knows_noise(self) -> bool:
        return self.pairs.freedom > 0

    def _seeds_of(self, place: int) -> list[Cell]:
        field = int(self.fields[place])
        return [(field, int(seed)) for seed in np.flatnonzero(np.isnan(self.scores[field]))]

    def _seeds_of_rivals(self) -> list[Cell]:
        """Of the nearest rival that keeps the best from passing and lacks seeds."""
        tail = self.level / len(self.fields)
        passes = self.pairs.difference[self.best] + self.margin > self.pairs.half_widths(tail)[self.best]
        rivals = [place for place in self._lacking() if not (passes[place] and self._knows_noise)]
        if self.pairs.freedom < 2:
            near = [place for place in rivals if self.behind[place] <= FAR_BEHIND * self.margin]
            # Without a second field of several seeds the noise is not known at all.
            rivals = near or ([] if self._knows_noise else rivals)
        return self._seeds_of(self._nearest(rivals)) if rivals else []

    def _below(self) -> list[Cell]:
        """Between the largest field that failed and the smallest that passed."""
        passes = self.pairs.lose_nothing(self.margin, self.level)
        failed, passed = -1, int(self.fields[self.best])
        while passed - failed > 1:
            middle = self._between(failed, passed)
            if middle not in self.fields:
                return [(middle, 0)]
            place = int(np.searchsorted(self.fields, middle))
            lacking = self._seeds_of(place)
            if lacking and not self._far_behind(place):
                return lacking
            failed, passed = (failed, middle) if passes[place] and not lacking else (middle, passed)
        return []

    def _between(self, failed: int, passed: int) -> int:
        """The trained field nearest to the middle, else the middle."""
        trained = self.fields[(failed < self.fields) & (self.fields < passed)]
        middle = (failed + passed) / 2
        return int(min(trained, key=lambda field: abs(field - middle), default=int(middle)))

    def _far_behind(self, place: int) -> bool:
        if self.pairs.freedom < 2:
            return bool(self.behind[place] > FAR_BEHIND * self.margin)
        deviation = np.sqrt(2 * self.pairs.residual / self.pairs.shared[place, self.best])
        return bool(self.behind[place] > self.margin + DEVIATIONS * deviation)

    def _for_power(self) -> list[Cell]:
        """One more training of the field nearest to the best that lacks some: the noise is pooled over all of them."""
        lacking = self._lacking()
        room = np.isfinite(self.scores).sum() < int(SHARE * self.scores.size)
        return self._seeds_of(self._nearest(lacking))[:1] if lacking and room else []

    def _lacking(self) -> list[int]:
        return [place for place in range(len(self.fields)) if self._seeds_of(place)]

    def _nearest(self, places: Sequence[int]) -> int:
        return min(places, key=lambda place: float(self.behind[place]))
