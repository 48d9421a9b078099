"""How the best receptive field grows with the size of what is looked at: sizes against the manual grid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autorf.comparison.field_line import FieldLine, Over, SizeGrid, field_line
from autorf.comparison.groups import Group
from autorf.comparison.image_sizes import at_size, image_sizes
from autorf.running.evidence import Evidence

FEWEST_OBJECTS = 5
"""A size with fewer objects in the validation split is left out."""


@dataclass(frozen=True)
class FieldMap:
    """Scores of the manual grid by size, and the one ratio of field to size that fits the best of each size.

    Attributes:
        over: ``objects`` or ``images``: what the sizes are of.
        sizes: sides in pixels, ascending; of images the shorter ones.
        settings: the manual configurations, by ascending field.
        fields: their receptive fields, the longer sides in input pixels.
        scores: ``(len(sizes), len(settings))``, the mean over seeds: of one study the share of the objects' pixels
            predicted right, of several sizes of images the metric; None where a size lacks the configuration.
        best: for each size the index of the best configuration.
        line: what fits the winners of all sizes.
        subset: settings that all its configurations share where others of the comparison have other ones.
    """

    over: Over
    sizes: tuple[float, ...]
    settings: tuple[str, ...]
    fields: tuple[float, ...]
    scores: tuple[tuple[float | None, ...], ...]
    best: tuple[int, ...]
    line: FieldLine
    subset: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """The field over the size, rnorm where sizes are images'; None where no line fits."""
        return self.line.ratio

    @property
    def name(self) -> str:
        """The subset in a few words; empty for the whole."""
        return ", ".join(
            f"{key.removeprefix('data.').removeprefix('model.')} {value}" for key, value in self.subset.items()
        )


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
    sides = [max(group.rf) for group, _ in seen]
    names = [column_of(group) for group, _ in seen]
    if len(set(names)) < len(names):
        names = [group.setting for group, _ in seen]
    return _fitted("objects", _mean_sides(truth, bins), names, sides, scores)


def study_map(sizes: Mapping[str, float], groups: Sequence[Group], over: Over, sign: int = 1) -> FieldMap | None:
    """The manual configurations of several studies by the size of what they look at; None as for objects.

    Args:
        sizes: in pixels, by the study's name.
        groups: of all the studies.
        over: what the sizes are of, ``images`` or ``objects``.
        sign: 1 where more of the metric is better, -1 otherwise.
    """
    manual = {(group.study, group.setting): group for group in groups if group.manual}
    searched = {study for study, _ in manual}
    rows = sorted((size, study) for study, size in sizes.items() if study in searched)
    by_row = {
        (at, name): group for at, (_, study) in enumerate(rows) for (of, name), group in manual.items() if of == study
    }
    return _table(over, [size for size, _ in rows], by_row, sign)


def image_map(groups: Sequence[Group], sign: int = 1) -> FieldMap | None:
    """The manual configurations of one network and one training by the size of their images; None as for objects.

    Args:
        groups: those with an image size are taken.
        sign: as of :func:`study_map`.
    """
    manual = [group for group in groups if group.manual]
    sizes = image_sizes(manual)
    by_row = {(at, column_of(group)): group for at, size in enumerate(sizes) for group in at_size(manual, size)}
    return _table("images", [float(min(size)) for size in sizes], by_row, sign)


def column_of(group: Group) -> str:
    """A configuration in a few words, without the keys of the study file that it sets."""
    own = {name: value for name, value in group.params.items() if "." not in name}
    return ", ".join(f"{name} {value}" for name, value in own.items()) or "default"


def field_of_size(group: Group) -> float:
    """Side of a configuration's field in pixels along the axis that its rnorm is of."""
    return max(group.rf) if group.image_size is None else round(group.rnorm * min(group.image_size), 2)


def _table(over: Over, sizes: Sequence[float], by_row: Mapping[tuple[int, str], Group], sign: int) -> FieldMap | None:
    """A map from the configurations of each row and column."""
    columns: dict[str, Group] = {}
    for (_, name), group in sorted(by_row.items(), key=lambda item: field_of_size(item[1])):
        columns.setdefault(name, group)
    if len(set(sizes)) < 2 or len(columns) < 3:
        return None
    scores = tuple(
        tuple(by_row[at, name].mean if (at, name) in by_row else None for name in columns) for at in range(len(sizes))
    )
    return _fitted(
        over, tuple(sizes), list(columns), [field_of_size(group) for group in columns.values()], scores, sign
    )


def _fitted(
    over: Over,
    sizes: tuple[float, ...],
    settings: Sequence[str],
    sides: Sequence[float],
    scores: tuple[tuple[float | None, ...], ...],
    sign: int = 1,
) -> FieldMap:
    fields = tuple(map(float, sides))
    best = tuple(_best(row, sign) for row in scores)
    grids = [_grid(size, fields, settings, row, at) for size, row, at in zip(sizes, scores, best, strict=True)]
    return FieldMap(over, sizes, tuple(settings), fields, scores, best, field_line(over, grids))


def _grid(
    size: float, fields: Sequence[float], settings: Sequence[str], scores: Sequence[float | None], best: int
) -> SizeGrid:
    """What was tried at one size."""
    tried = [at for at, score in enumerate(scores) if score is not None]
    return SizeGrid(size, tuple(fields[at] for at in tried), tuple(settings[at] for at in tried), tried.index(best))


def _best(row: Sequence[float | None], sign: int) -> int:
    scores = {at: sign * value for at, value in enumerate(row) if value is not None}
    return max(scores, key=scores.__getitem__)


def _mean_sides(evidence: Evidence, bins: Sequence[int]) -> tuple[float, ...]:
    things = evidence.is_thing[evidence.objects[:, 1].long()]
    size_of = np.digitize(evidence.object_sides[things].numpy(), np.array(evidence.size_edges))
    # Told apart by their size in the mask, which every trial shares; seen by fields in pixels of the image.
    sides = evidence.object_input_sides[things].numpy()
    return tuple(round(float(sides[size_of == size].mean()), 1) for size in bins)
