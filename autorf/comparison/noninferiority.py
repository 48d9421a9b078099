"""Which configurations of a grid lose nothing against any other, tested over seeds paired across the grid.

A configuration loses nothing when its true score is within a margin of every rival's. That is one claim against all
rivals at once: it holds when the claim against each rival passes at the level (an intersection-union test), so many
rivals need no correction; they only make it harder to pass.

The observed best is chosen on the data, so it is tested at ``level / K``. From there the test walks to smaller fields,
each at ``level``, and stops at the first that fails: the first false step is one test, however many follow (a
fixed-sequence test). A second walk to larger fields gives the plateau's other end, by a claim of its own.

With three to five seeds one pair's spread is hardly known. The variance is therefore pooled over the whole grid: scores
are ``configuration + seed + rest``, and the variance of ``rest`` has ``(K - 1)(n - 1)`` degrees of freedom. Where seeds
move some configurations far more than others, the pool is wrong for either; ``benchmarks/sufficient_field.py`` measures
how wrong.

Source: Berger, *Multiparameter hypothesis testing and acceptance sampling*, 1982 (intersection-union tests); Maurer,
Hothorn and Lehmacher, *Multiple comparisons in drug clinical trials*, 1995 (fixed sequences).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autorf.statistics import half_widths

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Pairs:
    """Every configuration less every other; leading axes are studies of the same seeds.

    Attributes:
        difference: ``(..., K, K)``, row less column, the mean over the seeds that both have; minus infinity where they
            share none.
        shared: ``(K, K)`` how many seeds that is.
        residual: ``(...)`` variance over seeds that neither configuration nor seed explains, pooled over the grid.
        freedom: degrees of freedom of ``residual``.
        image_variances: ``(K, K)`` or one number, what the choice of validation images adds to a difference's variance.
        n_images: how many images that comes from.
    """

    difference: Array
    shared: Array
    residual: Array
    freedom: int
    image_variances: ArrayLike = 0.0
    n_images: int = 0

    def half_widths(self, tail: ArrayLike) -> Array:
        """``(..., K, K)``: of the differences, one-sided at ``tail`` (one number, or one for each row)."""
        tails = np.broadcast_to(np.asarray(tail, float), self.shared.shape[:1])[:, None]
        variance = 2 * self.residual[..., None, None] / np.maximum(self.shared, 1)
        half = half_widths(variance, self.image_variances, self.freedom, self.n_images, tails)
        return np.where(self.shared > 0, half, np.inf)

    def lose_nothing(self, margin: float, tail: ArrayLike) -> Flags:
        """``(..., K)``: whether each is shown to stay within ``margin`` of every rival."""
        return np.asarray((self._itself | (self.difference + margin > self.half_widths(tail))).all(-1))

    @property
    def best(self) -> Indices:
        """``(...)``: the configuration whose strongest rival is furthest behind: the highest mean of shared seeds."""
        return np.asarray(np.where(self._itself, np.inf, self.difference).min(-1).argmax(-1))

    @property
    def _itself(self) -> Flags:
        return np.eye(len(self.shared), dtype=bool)


def paired(scores: ArrayLike, image_variances: ArrayLike = 0.0, n_images: int = 0) -> Pairs:
    """Compare configurations over the seeds they share.

    Args:
        scores: ``(..., K, n_seeds)``, more is better; nan where a configuration lacks a seed (the same in all studies).
        image_variances: ``(K, K)`` or one number, from :func:`autorf.statistics.image_variance` of paired differences.
        n_images: how many images they were estimated from.
    """
    table = np.asarray(scores, float)
    seen = np.isfinite(table).reshape(-1, *table.shape[-2:]).all(0)
    values, weights = np.where(seen, table, 0.0), seen.astype(float)
    shared = weights @ weights.T
    sums = values @ weights.T
    difference = (sums - np.swapaxes(sums, -1, -2)) / np.maximum(shared, 1)
    residual, freedom = _pooled_residual(values, seen)
    return Pairs(np.where(shared > 0, difference, -np.inf), shared, residual, freedom, image_variances, n_images)


def _pooled_residual(values: Array, seen: Flags) -> tuple[Array, int]:
    """Variance of what is left of ``configuration + seed``, and its degrees of freedom; cells may be missing."""
    counts = np.maximum(seen.sum(1, keepdims=True), 1)
    cells = (values - values.sum(-1, keepdims=True) / counts)[..., seen]
    # Configurations are taken out of scores and of the seeds' columns alike, so that a small fit of the seeds remains.
    seeds = (np.eye(seen.shape[1]) - (seen / counts)[:, None, :])[seen]
    rest = cells - cells @ np.linalg.pinv(seeds).T @ seeds.T
    freedom = int(seen.sum() - seen.any(1).sum() - np.linalg.matrix_rank(seeds))
    return np.asarray((rest**2).sum(-1) / max(freedom, 1)), freedom


@dataclass(frozen=True)
class Steps:
    """How far from the observed best nothing is lost; leading axes are studies.

    Attributes:
        fields: ``(F,)`` the grid's fields, ascending, each once.
        place: ``(K,)`` index of each configuration's field.
        best: ``(...)`` the observed best configuration.
        low, high: ``(...)`` index of the smallest and the largest field shown to lose nothing; -1 for none.
        passes: ``(..., K)`` whether a configuration passes at the level of a step.
        loss: ``(..., F)`` what each field's best configuration loses against the observed best.
        worse: ``(..., F)`` whether every configuration of a field is shown to be worse than the observed best at all,
            at ``level / K``.
    """

    fields: Array
    place: Indices
    best: Indices
    low: Indices
    high: Indices
    passes: Flags
    loss: Array
    worse: Flags

    def shapes(self, margin: float) -> NDArray[np.str_]:
        """``(...)``: plateau, peak, rise, or undecided.

        A field loses when it is shown to be worse and its mean is behind by more than the margin. ``peak``: a larger
        field than the named one loses. ``rise``: only the largest field suffices and the next smaller one loses, so
        larger ones may do better still. ``plateau``: no larger field's mean is behind by more than the margin.
        ``undecided``: anything else, no field named, or a grid of one field.
        """
        behind, last = self.loss > margin, len(self.fields) - 1
        loses = behind & self.worse
        larger = np.arange(last + 1) > self.low[..., None]
        ending = self.low == last
        alone = ending & behind[..., last - 1]
        conditions = [
            (self.low < 0) | (last == 0),
            (loses & larger).any(-1),
            alone & loses[..., last - 1],
            alone | (behind & larger).any(-1),
        ]
        return np.select(conditions, ["undecided", "peak", "rise", "undecided"], "plateau")


def step(rf: ArrayLike, pairs: Pairs, margin: float, level: float) -> Steps:
    """Test the observed best, then walk from it to smaller and to larger fields.

    Of several configurations with one field, any may pass for it, each at ``level`` by their number.

    Args:
        rf: ``(K,)`` sides of the receptive fields, in any order.
        pairs: of the same configurations.
        margin: what may be lost, in units of the score, above 0.
        level: chance of a false claim.
    """
    fields, place = np.unique(np.asarray(rf, float), return_inverse=True)
    passes = pairs.lose_nothing(margin, level / np.bincount(place)[place])
    best = pairs.best
    loss, half = (
        np.take_along_axis(matrix, best[..., None, None], -2)[..., 0, :]
        for matrix in (pairs.difference, pairs.half_widths(level / len(place)))
    )
    alike = [place == field for field in range(len(fields))]
    field_passes = np.stack([passes[..., same].any(-1) for same in alike], -1)
    chosen_passes = pairs.lose_nothing(margin, level / len(place))
    named = np.take_along_axis(chosen_passes, best[..., None], -1)[..., 0]
    start, last = place[best], len(fields) - 1
    low = _walk_down(field_passes, start)
    high = last - _walk_down(field_passes[..., ::-1], last - start)
    return Steps(
        fields=fields,
        place=place,
        best=best,
        low=np.where(named, low, -1),
        high=np.where(named, high, -1),
        passes=passes,
        loss=np.stack([loss[..., same].min(-1) for same in alike], -1),
        worse=np.stack([(loss > half)[..., same].all(-1) for same in alike], -1),
    )


def _walk_down(passes: Flags, start: Indices) -> Indices:
    """The lowest index that is reached from ``start`` through fields that all pass."""
    reached, walking = start, np.ones(start.shape, bool)
    for field in reversed(range(passes.shape[-1])):
        walking = np.where(field < start, walking & passes[..., field], True)
        reached = np.where(walking & (field < start), field, reached)
    return reached
