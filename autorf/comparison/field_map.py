"""How the best receptive field grows with the size of what is looked at: sizes against the manual grid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autorf.comparison.rows import Group
from autorf.running.evidence import Evidence

FEWEST_OBJECTS = 5
"""A size with fewer objects in the validation split is left out."""


@dataclass(frozen=True)
class FieldMap:
    """Scores of the manual grid by size, and the one ratio of field to size that fits the best of each size.

    Attributes:
        over: ``objects`` or ``images``: what the sizes are of.
        sizes: sides in pixels, ascending.
        settings: the manual configurations, by ascending field.
        fields: their receptive fields, the longer sides in input pixels.
        scores: ``(len(sizes), len(settings))``, the mean over seeds: of one study the share of the objects' pixels
            predicted right, of several the metric; None where a study lacks the configuration.
        best: for each size the index of the best configuration.
        ratio: the field over the size, by least squares through the origin over the best of each size; rnorm where
            sizes are images'.
    """

    over: str
    sizes: tuple[float, ...]
    settings: tuple[str, ...]
    fields: tuple[float, ...]
    scores: tuple[tuple[float | None, ...], ...]
    best: tuple[int, ...]
    ratio: float


def object_map(groups: Sequence[Group], evidence_of: Callable[[Group], Mapping[int, Evidence]]) -> FieldMap | None:
    """The manual configurations of one study by object size; None for fewer than two sizes or three configurations."""
    manual = sorted((group for group in groups if group.manual), key=lambda group: max(group.rf))
    seen = [(group, list(seeds.values())) for group in manual if (seeds := evidence_of(group))]
    if len(seen) < 3:
        return None
    truth = seen[0][1][0]
    things = truth.is_thing
    totals, counts = (truth.size_totals * things).sum(1), (truth.size_objects * things).sum(1)
    bins = [size for size, count in enumerate(counts.tolist()) if count >= FEWEST_OBJECTS]
    if len(bins) < 2:
        return None

    def right(evidence: Evidence) -> NDArray[np.float32]:
        hits = (evidence.size_hits * things).sum(1)
        return (hits / totals.clamp(min=1)).numpy()

    # (size, configuration): the share of the objects' pixels predicted right, the mean over seeds.
    shares = np.stack([np.mean(list(map(right, seeds)), axis=0) for _, seeds in seen], axis=1)[bins]
    scores = tuple(map(tuple, shares.tolist()))
    return _fitted("objects", _mean_sides(truth, bins), [group for group, _ in seen], scores)


def study_map(sizes: Mapping[str, float], groups: Sequence[Group], over: str, sign: int = 1) -> FieldMap | None:
    """The manual configurations of several studies by the size of what they look at; None as for objects.

    Args:
        sizes: in pixels, by the study's name.
        groups: of all the studies.
        over: what the sizes are of, ``images`` or ``objects``.
        sign: 1 where more of the metric is better, -1 otherwise.
    """
    manual = {(group.study, group.setting): group for group in groups if group.manual}
    columns = {group.setting: group for group in sorted(manual.values(), key=lambda group: max(group.rf))}
    searched = {study for study, _ in manual}
    rows = sorted((size, study) for study, size in sizes.items() if study in searched)
    if len({size for size, _ in rows}) < 2 or len(columns) < 3:
        return None

    def means(study: str) -> tuple[float | None, ...]:
        return tuple(manual[study, name].mean if (study, name) in manual else None for name in columns)

    scores = tuple(means(study) for _, study in rows)
    return _fitted(over, tuple(size for size, _ in rows), list(columns.values()), scores, sign)


def _fitted(
    over: str,
    sizes: tuple[float, ...],
    groups: Sequence[Group],
    scores: tuple[tuple[float | None, ...], ...],
    sign: int = 1,
) -> FieldMap:
    fields = tuple(float(max(group.rf)) for group in groups)
    best = tuple(_best(row, sign) for row in scores)
    sides, best_fields = np.array(sizes), np.array([fields[at] for at in best])
    ratio = float((sides * best_fields).sum() / (sides**2).sum())
    return FieldMap(over, sizes, tuple(group.setting for group in groups), fields, scores, best, ratio)


def _best(row: Sequence[float | None], sign: int) -> int:
    scores = {at: sign * value for at, value in enumerate(row) if value is not None}
    return max(scores, key=scores.__getitem__)


def _mean_sides(evidence: Evidence, bins: Sequence[int]) -> tuple[float, ...]:
    limits = np.array(evidence.size_edges)
    sides = evidence.object_sides[evidence.is_thing[evidence.objects[:, 1].long()]].numpy()
    size_of = np.digitize(sides, limits)
    return tuple(round(float(sides[size_of == size].mean()), 1) for size in bins)
