"""From which receptive field on nothing is lost: the smallest sufficient field of a grid, and what the others lose."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autorf.comparison.noninferiority import Pairs, Steps, paired, step
from autorf.errors import InputError
from autorf.statistics import half_widths

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

MARGIN = 0.01
"""What a smaller field may lose and still count as losing nothing, in units of the metric."""

LEVEL = 0.05
"""Chance that the named field truly loses more than the margin."""

POWER = 0.8
"""Chance of an answer that the number of seeds asked for gives."""

MOST_SEEDS = 1000
"""More are never asked for."""


@dataclass(frozen=True)
class SufficientField:
    """Where a grid of receptive fields loses nothing; configurations are named by their index in what was given.

    Attributes:
        index: the configuration with the smallest sufficient field; None where the seeds do not tell.
        rf: its field.
        ties: the other configurations with the very same field, whether they lose or not.
        best: the observed best configuration; None without two that can be compared.
        sufficient: all configurations between ``rf_low`` and ``rf_high`` that were shown to lose nothing, smallest
            field first.
        rf_low, rf_high: the range of fields in which nothing is lost; ``rf_low`` is ``rf``. Either end is a claim of
            its own at ``confidence``.
        below, above: the best configuration of the next smaller and next larger field; None where the grid ends.
        loses_below, loses_above: what it loses against the observed best, the mean over the seeds both have. A loss
            within the margin means that these seeds cannot show that the field suffices.
        shape: ``plateau``, ``peak``, ``rise`` or ``undecided``, as ``Steps.shapes`` tells them apart.
        margin: what may be lost.
        confidence: that the named field loses no more.
        seeds_needed: how many seeds a configuration would do at the present variance, while nothing is named; None
            where no number of seeds alone would, or the variance is not known.
        missing: what would decide, in words, while nothing is named; else empty.
        n_seeds: that the observed best shares with every rival.
        n_images: that the images' part comes from; 0 where it was not given.
    """

    margin: float
    confidence: float
    index: int | None = None
    rf: float | None = None
    ties: tuple[int, ...] = ()
    best: int | None = None
    sufficient: tuple[int, ...] = ()
    rf_low: float | None = None
    rf_high: float | None = None
    below: int | None = None
    above: int | None = None
    loses_below: float | None = None
    loses_above: float | None = None
    shape: str = "undecided"
    seeds_needed: int | None = None
    missing: str = ""
    n_seeds: int = 0
    n_images: int = 0


def sufficient_field(
    rf: Sequence[float],
    scores: ArrayLike,
    *,
    margin: float = MARGIN,
    level: float = LEVEL,
    image_variances: ArrayLike = 0.0,
    n_images: int = 0,
) -> SufficientField:
    """Name the smallest field on which nothing is lost, and how far the plateau goes.

    The test and its walk are those of :mod:`autorf.comparison.noninferiority`. Configurations without any score take no
    part.

    Args:
        rf: ``(K,)`` sides of the receptive fields in input pixels, in any order; equal ones are ties.
        scores: ``(K, n_seeds)``, more is better, the same seeds in the same columns; nan where one is lacking.
        margin: what may be lost, in units of the score, above 0; fixed beforehand, never taken from the scores.
        level: chance of a false claim, between 0 and 0.5.
        image_variances: ``(K, K)`` or one number, what the choice of validation images adds to the variance of each
            pair's mean difference: :func:`autorf.statistics.image_variance` of their influences' differences.
        n_images: how many images that was estimated from.

    Raises:
        InputError: for a margin, level or shape that cannot be used.

    Example:
        >>> grid = sufficient_field([19, 27, 35, 43], [[0.60, 0.61], [0.75, 0.76], [0.751, 0.759], [0.63, 0.64]])
        >>> grid.rf_low, grid.rf_high, grid.shape, round(grid.loses_below, 3)
        (27.0, 35.0, 'peak', 0.15)
    """
    sides, values = np.asarray(rf, float), np.asarray(scores, float)
    _check(sides, values, margin, level)
    variances = np.broadcast_to(np.asarray(image_variances, float), (len(sides), len(sides)))
    members = np.flatnonzero(np.isfinite(values).any(1))
    answer = SufficientField(margin, 1 - level, n_images=n_images)
    if len(members) < 2:
        return replace(answer, missing="a second field with a score: one has no rival")
    pairs = paired(values[members], variances[np.ix_(members, members)], n_images)
    best = int(pairs.best)
    answer = replace(answer, best=int(members[best]), n_seeds=int(pairs.shared[best].min()))
    if pairs.freedom == 0:
        return _undecided(answer, pairs, level)
    steps = step(sides[members], pairs, margin, level)
    if steps.low < 0:
        return _undecided(answer, pairs, level)
    return _named(answer, pairs, steps, members)


def seeds_needed(pairs: Pairs, margin: float, level: float = LEVEL) -> int | None:
    """How many seeds a configuration would name a field, at the variance of these; None where none up to 1 000 would.

    Enough, with a chance of 80 %, both for the observed best to pass although it was chosen, and for a field that truly
    equals a rival to pass against it.
    """
    from scipy.special import chdtri

    count = len(pairs.shared)
    seeds = np.arange(2, MOST_SEEDS + 1)
    freedom = (count - 1) * (seeds - 1)
    variance = 2 * float(pairs.residual) / seeds
    images, n_images = float(np.max(pairs.image_variances)), pairs.n_images
    unlucky = variance * chdtri(freedom, 1 - POWER) / freedom
    first = half_widths(unlucky, images, freedom, n_images, level / count)
    later = sum(half_widths(variance, images, freedom, n_images, tail) for tail in (level, 1 - POWER))
    enough = seeds[np.maximum(first, later) <= margin]
    return int(enough[0]) if len(enough) else None


def _named(answer: SufficientField, pairs: Pairs, steps: Steps, members: Indices) -> SufficientField:
    """What the steps say, in the caller's indices."""
    low, high, loss = int(steps.low), int(steps.high), pairs.difference[steps.best]
    holds = steps.passes & (low <= steps.place) & (steps.place <= high)
    holds[steps.best] = True
    # Of tied configurations the better one is named.
    sufficient = sorted(np.flatnonzero(holds), key=lambda one: (steps.place[one], loss[one]))
    index = sufficient[0]
    ties = [other for other in np.flatnonzero(steps.place == low) if other != index]
    below, above = (_neighbour(steps, loss, field) for field in (low - 1, high + 1))
    return replace(
        answer,
        index=int(members[index]),
        rf=float(steps.fields[low]),
        ties=tuple(members[ties].tolist()),
        sufficient=tuple(members[sufficient].tolist()),
        rf_low=float(steps.fields[low]),
        rf_high=float(steps.fields[high]),
        below=None if below is None else int(members[below]),
        above=None if above is None else int(members[above]),
        loses_below=None if below is None else float(loss[below]),
        loses_above=None if above is None else float(loss[above]),
        shape=str(steps.shapes(answer.margin)),
    )


def _neighbour(steps: Steps, loss: Array, field: int) -> int | None:
    """The best configuration of a field, by its index in the grid; None outside."""
    alike = np.flatnonzero(steps.place == field)
    return int(alike[loss[alike].argmin()]) if len(alike) else None


def _undecided(answer: SufficientField, pairs: Pairs, level: float) -> SufficientField:
    seeds = pairs.shared.diagonal()
    if seeds.max() < 2:
        return replace(answer, missing="a second seed: one does not tell what another would change")
    if pairs.freedom == 0 or pairs.shared.min() == 0:
        return replace(answer, missing="seeds in common: some configurations share none")
    needed = seeds_needed(pairs, answer.margin, level)
    if needed is not None:
        # The formula counts seeds that all share; where some lack seeds, those present are already too few.
        needed = max(needed, int(seeds.min()) + 1)
        return replace(answer, seeds_needed=needed, missing=f"{needed} seeds a configuration")
    if answer.n_images and seeds_needed(replace(pairs, image_variances=0.0), answer.margin, level) is not None:
        return replace(answer, missing="more validation images: their choice alone moves differences by the margin")
    return replace(answer, missing=f"a wider margin: more than {MOST_SEEDS} seeds would be needed")


def _check(rf: Array, scores: Array, margin: float, level: float) -> None:
    if not (isfinite(margin) and margin > 0):
        raise InputError(f"margin: {margin} is not above 0; give what may be lost in units of the metric, such as 0.01")
    if not 0 < level < 0.5:
        raise InputError(f"level: {level} is not between 0 and 0.5; give the chance of a false claim, such as 0.05")
    if rf.ndim != 1 or not np.isfinite(rf).all() or (rf <= 0).any():
        raise InputError(f"rf: {rf.tolist()} are not the sides of fields; give one number above 0 a configuration")
    if scores.ndim != 2 or len(scores) != len(rf):
        raise InputError(f"scores: shape {scores.shape} does not fit {len(rf)} fields; give (fields, seeds)")
