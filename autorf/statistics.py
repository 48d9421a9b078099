"""Intervals and tests for scores that differ by training seed and by validation image.

A score is measured on few training seeds ``s`` and on many validation images ``i``. A paired difference of two methods
varies as ``seed_s + image_i + rest_si``: another seed gives another network, other images favour another method. The
mean over seeds averages the first and the last, never the second, so the spread over seeds alone is too small. Here
the variance of a mean is ``v + w``: ``v``, the sample variance over seeds divided by their number, with its few degrees
of freedom, and ``w``, what the images add, from the influence of every image on the pooled score (the infinitesimal
jackknife, the limit of resampling images). The half-width is Cochran's ``(v t + w t') / sqrt(v + w)`` with Student's
``t`` for the seeds' degrees of freedom and ``t'`` for the images': exact where either is zero, slightly wide between.
``benchmarks/interval_coverage.py`` measures how often the intervals hold the truth.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LEVEL = 0.95
"""Of every interval."""

_TAIL = (1 - LEVEL) / 2
_MANY = 1e6


def half_width(values: Sequence[float], image_variance: float = 0.0, n_images: int = 0) -> float | None:
    """Half the width of the 95 % interval of a mean over seeds.

    Args:
        values: one a seed.
        image_variance: of the mean, from :func:`image_variance` over the same seeds; 0 to leave images out.
        n_images: how many images that was estimated from.

    Returns:
        None for fewer than two seeds. Without images it is Student's interval.
    """
    if len(values) < 2:
        return None
    spread = float(np.var(values, ddof=1)) / len(values)
    return float(half_widths(spread, image_variance, len(values) - 1, n_images, _TAIL))


def pooled(tallies: NDArray[np.int64], metric: str, left_out: Sequence[int] = ()) -> float:
    """A metric from counts over a whole set; nan where no pixel is labelled.

    Args:
        tallies: ``(..., n_classes, 3)``: pixels predicted right, labelled, predicted; all leading axes are summed.
        metric: ``miou``, ``f1`` or ``pixel_accuracy``, as in ``autorf.metrics``.
        left_out: classes that the means leave out.
    """
    hits, labelled, predicted = _totals(tallies)
    if metric == "pixel_accuracy":
        return float(hits.sum() / labelled.sum()) if labelled.sum() else math.nan
    counts = _in_mean(labelled, left_out)
    top, bottom = _ratio(metric, hits, labelled, predicted)
    return float((top[counts] / bottom[counts]).mean()) if counts.any() else math.nan


def influence(tallies: NDArray[np.int64], metric: str, left_out: Sequence[int] = ()) -> Array:
    """How each image moves the pooled metric: ``(n_images,)``, of mean 0; nan where no pixel is labelled.

    The variance of the metric over other samples of as many images is near ``var(influence) / n_images``.

    Args:
        tallies: ``(n_images, n_classes, 3)`` as for :func:`pooled`.
        metric: ``miou``, ``f1`` or ``pixel_accuracy``.
        left_out: classes that the means leave out.
    """
    counts = tallies.astype(np.float64)
    totals = _totals(tallies)
    in_mean = _in_mean(totals[1], left_out)
    if not (totals[1].any() if metric == "pixel_accuracy" else in_mean.any()):
        return np.full(len(counts), np.nan)
    hits, labelled, predicted = np.moveaxis(counts, -1, 0)
    if metric == "pixel_accuracy":
        accuracy = totals[0].sum() / totals[1].sum()
        moved = (hits.sum(1) - accuracy * labelled.sum(1)) / totals[1].sum()
        return np.asarray(len(counts) * moved)
    top, bottom = _ratio(metric, *totals)
    image_top, image_bottom = _ratio(metric, hits, labelled, predicted)
    score = top[in_mean] / bottom[in_mean]
    # The derivative of each class's ratio in the direction of one image's counts, averaged over the classes.
    moved = ((image_top[:, in_mean] - score * image_bottom[:, in_mean]) / bottom[in_mean]).mean(1)
    return np.asarray(len(counts) * moved)


def _in_mean(labelled: Array, left_out: Sequence[int]) -> NDArray[np.bool_]:
    """Which classes the means are over: those with a labelled pixel, whatever is predicted."""
    counts = labelled > 0
    counts[list(left_out)] = False
    return counts


def _totals(tallies: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    summed = tallies.reshape(-1, *tallies.shape[-2:]).sum(0).astype(np.float64)
    return summed[:, 0], summed[:, 1], summed[:, 2]


def _ratio(metric: str, hits: Array, labelled: Array, predicted: Array) -> tuple[Array, Array]:
    """Numerator and denominator of a class's score."""
    if metric == "miou":
        return hits, labelled + predicted - hits
    assert metric == "f1", metric
    return 2 * hits, labelled + predicted


def image_variance(influences: ArrayLike, *, only_images: bool = False) -> float:
    """What the choice of validation images adds to the variance of a mean over seeds.

    Args:
        influences: ``(n_seeds, n_images)`` of :func:`influence`, or differences of two methods' on the same images.
        only_images: count everything that differs between images. Otherwise the part that also differs between seeds,
            and so is in the spread over seeds already, is taken off (as in variances clustered two ways); one seed
            tells nothing of that part.
    """
    moved = np.atleast_2d(np.asarray(influences, float))
    n_seeds, n_images = moved.shape
    if n_images < 2:
        return 0.0
    mean = moved.mean(0)
    total = float((mean**2).sum()) / (n_images - 1) / n_images
    if only_images or n_seeds < 2:
        return total
    rest = float(((moved - mean) ** 2).sum()) / ((n_images - 1) * (n_seeds - 1))
    return max(total - rest / (n_images * n_seeds), 0.0)


@dataclass(frozen=True)
class BestDifference:
    """The best of one group of configurations less the best of another.

    Attributes:
        first: index of the best in the first group, by its mean over seeds.
        second: likewise in the second group.
        difference: of these two, the mean over the seeds they share (or of their means where they share none).
        low, high: the 95 % interval of the difference between what truly is best in either group, infinite where the
            seeds are too few to tell; corrected for choosing.
        n_seeds: that the two best share.
    """

    first: int
    second: int
    difference: float
    low: float
    high: float
    n_seeds: int


def difference_of_best(
    first: ArrayLike, second: ArrayLike, image_variances: ArrayLike = 0.0, n_images: int = 0
) -> BestDifference:
    """Compare the best of ``first`` with the best of ``second``, both chosen by the same scores.

    The best of n looks better than it is (the winner's curse), so the pair that was chosen is not judged as if it had
    been named beforehand. ``first`` is better by at least ``low`` when one of its ``m`` configurations beats *every*
    one of ``second`` by that much: beating every one needs no correction, choosing the one of ``m`` is corrected by
    Bonferroni's ``1/m``; likewise for ``high``. The interval is that of the difference of the two groups' true maxima.

    The variance of a paired difference over few seeds is poorly known. With three or more configurations it is
    moderated: shrunk towards the mean over all pairs with ``d0`` further degrees of freedom, which are estimated from
    how much the configurations' own variances differ, at the lower end of what is credible.
    Source: Smyth, *Linear models and empirical Bayes methods*, 2004.

    Args:
        first: ``(m, n_seeds)`` scores, more is better; nan where a configuration lacks a seed.
        second: ``(n, n_seeds)``, the same seeds in the same order.
        image_variances: ``(m, n)`` or one number, from :func:`image_variance` of the pairs' differences.
        n_images: how many images they were estimated from.
    """
    ours, theirs = np.asarray(first, float), np.asarray(second, float)
    pairs = ours[:, None] - theirs[None]
    shared = np.isfinite(pairs).sum(-1)
    unpaired = _mean(ours)[:, None] - _mean(theirs)[None]
    # Over shared seeds the luck of a seed cancels; without any, the means are all there is.
    difference = np.where(shared > 0, _mean(pairs), unpaired)
    spread, freedom = _moderated(pairs, shared, np.concatenate([ours, theirs]))
    images = np.broadcast_to(np.asarray(image_variances, float), difference.shape)
    variance = spread / np.maximum(shared, 1)
    down = half_widths(variance, images, freedom, n_images, _TAIL / len(ours))
    up = half_widths(variance, images, freedom, n_images, _TAIL / len(theirs))
    a, b = int(np.argmax(_mean(ours))), int(np.argmax(_mean(theirs)))
    return BestDifference(
        first=a,
        second=b,
        difference=float(difference[a, b]),
        # Beating every rival is the least over a row, and any row may do it; likewise columns for the high end.
        low=float((difference - down).min(1).max()),
        high=float((difference + up).max(0).min()),
        n_seeds=int(shared[a, b]),
    )


def difference_on_images(
    first: ArrayLike, second: ArrayLike, image_variances: ArrayLike, n_images: int
) -> BestDifference:
    """The same for one seed each, ``(m,)`` and ``(n,)``: how other validation images would change the difference.

    It says nothing of how another training seed would.
    """
    ours, theirs = np.asarray(first, float), np.asarray(second, float)
    difference = ours[:, None] - theirs[None]
    images = np.broadcast_to(np.asarray(image_variances, float), difference.shape)
    none, freedom = np.zeros_like(images), np.ones_like(images)
    down = half_widths(none, images, freedom, n_images, _TAIL / len(ours))
    up = half_widths(none, images, freedom, n_images, _TAIL / len(theirs))
    a, b = int(np.argmax(ours)), int(np.argmax(theirs))
    low, high = float((difference - down).min(1).max()), float((difference + up).max(0).min())
    return BestDifference(a, b, float(difference[a, b]), low, high, 1)


def half_widths(variance: ArrayLike, images: ArrayLike, freedom: ArrayLike, n_images: int, tail: ArrayLike) -> Array:
    """Cochran's half-width, element by element; infinite without a degree of freedom.

    Args:
        variance: of a mean over seeds, from their spread.
        images: what the choice of images adds to it.
        freedom: degrees of freedom of ``variance``.
        n_images: how many images ``images`` comes from.
        tail: chance beyond one end of the interval.
    """
    from scipy.special import stdtrit

    v, w, f = np.asarray(variance, float), np.asarray(images, float), np.asarray(freedom, float)
    above = 1 - np.asarray(tail, float)
    over_seeds, over_images = stdtrit(np.where(f > 0, f, 1), above), stdtrit(max(n_images - 1, 1), above)
    total = v + w
    weighted = np.asarray(v * over_seeds + w * over_images)
    half = np.divide(weighted, np.sqrt(total), out=np.zeros_like(weighted), where=total > 0)
    # A little image noise beside much seed noise would narrow the weighted interval.
    return np.where(f > 0, np.maximum(half, over_seeds * np.sqrt(v)), np.inf)


def _mean(values: Array) -> Array:
    """Over the last axis, nan left out; minus infinity where all is nan."""
    finite = np.isfinite(values)
    count = finite.sum(-1)
    return np.where(count > 0, np.where(finite, values, 0.0).sum(-1) / np.maximum(count, 1), -np.inf)


def _moderated(pairs: Array, shared: NDArray[np.int64], scores: Array) -> tuple[Array, Array]:
    """Each pair's variance over seeds and its degrees of freedom."""
    centred = np.where(np.isfinite(pairs), pairs - _mean(pairs)[..., None], 0.0)
    own_freedom = np.maximum(shared - 1, 0).astype(float)
    own = (centred**2).sum(-1) / np.maximum(own_freedom, 1)
    estimated = own_freedom > 0
    prior_freedom = _prior_freedom(scores) if estimated.any() else 0.0
    if prior_freedom == 0:
        return own, own_freedom
    prior = float(own[estimated].mean())
    freedom = own_freedom + prior_freedom
    return (prior_freedom * prior + own_freedom * own) / freedom, freedom


def _prior_freedom(scores: Array) -> float:
    """Degrees of freedom that the other configurations lend each one's variance over seeds; 0 for fewer than three."""
    from scipy.special import polygamma

    complete = scores[np.isfinite(scores).all(1)]
    count, n_seeds = complete.shape
    if count < 3 or n_seeds < 2:
        return 0.0
    rest = (complete - complete.mean(0)).var(1, ddof=1)
    if not (rest > 0).all():
        return 0.0
    # The spread of so few logarithms is poorly known itself: two standard errors more are credible.
    spread = np.log(rest).var(ddof=1) * (1 + 2 * np.sqrt(2 / (count - 1)))
    excess = spread - float(polygamma(1, (n_seeds - 1) / 2))
    return _MANY if excess <= 0 else min(2 * _inverse_trigamma(excess), _MANY)


def _inverse_trigamma(value: float) -> float:
    from scipy.special import polygamma

    low, high = 1e-3, _MANY
    for _ in range(80):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if polygamma(1, middle) > value else (low, middle)
    return low


def rank_correlation(one: ArrayLike, other: ArrayLike) -> float | None:
    """Spearman's rank correlation over the pairs without nan; None for fewer than three or a constant side."""
    pairs = np.stack([np.asarray(one, float), np.asarray(other, float)])
    pairs = pairs[:, np.isfinite(pairs).all(0)]
    if pairs.shape[1] < 3 or (np.ptp(pairs, axis=1) == 0).any():
        return None
    return float(np.corrcoef(_ranks(pairs[0]), _ranks(pairs[1]))[0, 1])


def _ranks(values: Array) -> Array:
    """From 1; equal values share their mean rank. Importing ``scipy.stats`` for this takes longer than comparing."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])


def expected_best(values: ArrayLike) -> Array:
    """The mean, over all random orders, of the best of the first ``k`` of ``n`` values, for ``k = 1..n``."""
    ordered = np.sort(np.asarray(values, float))
    n = len(ordered)
    # The i-th smallest (from 0) is the best of k where the other k - 1 are among the i smaller ones.
    chance = np.zeros(n)
    chance[:] = 1 / n
    best = np.empty(n)
    for k in range(1, n + 1):
        best[k - 1] = chance @ ordered
        place = np.arange(n)
        if k < n:
            chance = chance * np.maximum(place - (k - 1), 0) / k * (k + 1) / (n - k)
    return best
