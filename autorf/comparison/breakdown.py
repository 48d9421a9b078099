"""Where the difference comes from: classes, object sizes, and whether learned scales follow the objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from autorf.comparison.groups import Group, mean_of, members_of
from autorf.comparison.results import StudyResults
from autorf.comparison.rows import Row
from autorf.running.evidence import Evidence, read_evidence
from autorf.running.pooled_evidence import pooled_evidence
from autorf.statistics import half_width, rank_correlation
from autorf.tasks import CLASSIFICATION

Chosen = Mapping[str, Group]
"""The configurations that tables show, by name: ``best manual``, ``best learned``, ``default``, ..."""

Counts = NDArray[np.int64]

IousBySeed = Mapping[int, Mapping[str, float | None]]

MANUAL_BEST, LEARNED_BEST = "best manual", "best learned"


@dataclass(frozen=True)
class ClassRow:
    """The IoU and the F1 of one class, or of a classification its accuracy.

    Attributes:
        name: of the class.
        iou: the mean over seeds, by the configuration's name; None for a class without a labelled pixel.
        difference: of IoU, or of accuracy, best learned less best manual over their common seeds.
        difference_ci95: half-width of Student's 95 % interval; not corrected for looking at many classes.
        f1: as ``iou``.
        accuracy: the share of the class's pictures that is right, as ``iou``.
    """

    name: str
    iou: dict[str, float | None]
    difference: float | None
    difference_ci95: float | None
    f1: dict[str, float | None] = field(default_factory=dict)
    accuracy: dict[str, float | None] = field(default_factory=dict)

    @property
    def compared(self) -> dict[str, float | None]:
        """What is compared: the IoU, or the accuracy."""
        return self.iou or self.accuracy


@dataclass(frozen=True)
class GroupRow:
    """The F1 of classes that are merged.

    Attributes:
        name: of the label group.
        f1: the mean over seeds, by the configuration's name; None where the group has no labelled pixel.
        difference, difference_ci95: as of a class.
    """

    name: str
    f1: dict[str, float | None]
    difference: float | None
    difference_ci95: float | None


@dataclass(frozen=True)
class SizeRow:
    """Objects of one size: connected components of the truth, background left out.

    Attributes:
        low, high: limits of the side in pixels, ``sqrt(area)``; None for the last, which has no upper one.
        objects, pixels: how many there are in the validation split.
        share: of these pixels predicted right, the mean over seeds, by the configuration's name.
        difference, difference_ci95: as of a class.
        classes: the same shares by class: ``{class: {configuration: share}}``.
    """

    low: float
    high: float | None
    objects: int
    pixels: int
    share: dict[str, float | None]
    difference: float | None
    difference_ci95: float | None
    classes: dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class SizeMean:
    """The mean of a map over the pixels of all objects of one size, and over seeds; limits as of a :class:`SizeRow`."""

    low: float
    high: float | None
    mean: float


@dataclass(frozen=True)
class ScaleRow:
    """Whether a per-pixel method reaches further on larger objects.

    Attributes:
        method, params: the configuration.
        setting: its parameters in a few words.
        map: ``scale`` or ``dilation``.
        correlation: Spearman's between an object's side and the mean of the map over it, the mean over seeds.
        correlation_ci95: half-width over seeds; None for fewer than two.
        objects: how many; background left out.
        sizes: the mean of the map by object size, small ones first; background left out.
        classes: the same by class, background too.
    """

    method: str
    params: dict[str, object]
    map: str
    correlation: float | None
    correlation_ci95: float | None
    objects: int
    sizes: tuple[SizeMean, ...]
    classes: dict[str, float]
    setting: str = ""


def class_rows(chosen: Chosen, studies: Sequence[StudyResults], rows: Sequence[Row]) -> tuple[ClassRow, ...]:
    """One row a class, in the data set's order."""
    results = {(study.name, record.key): record.result for study in studies for record in study.records}

    def by_seed(group: Group, score: str) -> IousBySeed:
        members = members_of(group, rows)
        by_trial = {seed: results.get((row.study, row.key)) for seed, row in members.items()}
        return {seed: {} if result is None else getattr(result, score) for seed, result in by_trial.items()}

    compared, f1 = (
        {name: by_seed(group, score) for name, group in chosen.items()} for score in ("class_scores", "f1_per_class")
    )
    names = next((list(values) for seeds in compared.values() for values in seeds.values() if values), [])
    of_pictures = any(study.task == CLASSIFICATION for study in studies)
    table = []
    for name in names:
        values, f1s = (_of_name(scores, name) for scores in (compared, f1))
        means, difference = _means(values), _paired(values)
        if of_pictures:
            table.append(ClassRow(name, {}, *difference, accuracy=means))
        else:
            table.append(ClassRow(name, means, *difference, _means(f1s)))
    return tuple(table)


def label_group_rows(chosen: Chosen, rows: Sequence[Row]) -> tuple[GroupRow, ...]:
    """One row a label group, in the data set's order."""
    groups = {
        name: {seed: row.f1_groups for seed, row in members_of(group, rows).items()} for name, group in chosen.items()
    }
    names = dict.fromkeys(name for seeds in groups.values() for scores in seeds.values() for name in scores)
    table = []
    for name in names:
        values = _of_name(groups, name)
        table.append(GroupRow(name, _means(values), *_paired(values)))
    return tuple(table)


def _of_name(scores: Mapping[str, IousBySeed], name: str) -> dict[str, dict[int, float | None]]:
    return {configuration: _of_class(seeds, name) for configuration, seeds in scores.items()}


def _of_class(seeds: IousBySeed, name: str) -> dict[int, float | None]:
    return {seed: iou.get(name) for seed, iou in seeds.items()}


def _paired(values: Mapping[str, Mapping[int, float | None]]) -> tuple[float | None, float | None]:
    ours, theirs = values.get(LEARNED_BEST, {}), values.get(MANUAL_BEST, {})
    pairs = [(ours[seed], theirs[seed]) for seed in ours if seed in theirs]
    differences = [a - b for a, b in pairs if a is not None and b is not None]
    return (sum(differences) / len(differences) if differences else None), half_width(differences)


class EvidenceOf:
    """Reads the evidence of configurations when asked, once each trial."""

    def __init__(self, studies: Sequence[StudyResults], rows: Sequence[Row]) -> None:
        self._studies = {study.name: study for study in studies}
        self._rows = rows
        self._evidence: dict[tuple[str, tuple[str, ...]], Evidence | None] = {}

    def __call__(self, group: Group) -> dict[int, Evidence]:
        """By seed, those that have any."""
        by_seed = {seed: self._read(row) for seed, row in members_of(group, self._rows).items()}
        return {seed: evidence for seed, evidence in by_seed.items() if evidence is not None}

    def _read(self, row: Row) -> Evidence | None:
        place = (row.study, row.trial_keys)
        if place not in self._evidence:
            self._evidence[place] = self.of_trials(row.study, row.trial_keys)
        return self._evidence[place]

    def of_trials(self, study: str, keys: Sequence[str]) -> Evidence | None:
        """What trials on images of their own each left behind, pooled; None where one has none."""
        folders = [self._studies[study].trial_folder(key) for key in keys]
        read = [None if folder is None else read_evidence(folder) for folder in folders]
        whole = [evidence for evidence in read if evidence is not None]
        return pooled_evidence(whole) if whole and len(whole) == len(read) else None


def size_rows(chosen: Chosen, evidence_of: EvidenceOf) -> tuple[SizeRow, ...]:
    """One row an object size that occurs, small ones first; none without evidence."""
    by_name = {name: seeds for name, group in chosen.items() if (seeds := evidence_of(group))}
    first = next((evidence for seeds in by_name.values() for evidence in seeds.values()), None)
    if first is None:
        return ()
    hits = {name: _size_hits(seeds) for name, seeds in by_name.items()}
    # The truth is the same in every trial, so any one's totals tell which sizes occur, background left out.
    occurs = (first.size_totals * first.is_thing).sum(1)
    return tuple(_size_row(first, size, hits) for size in np.flatnonzero(occurs.numpy()).tolist())


def _size_hits(seeds: Mapping[int, Evidence]) -> dict[int, Counts]:
    return {seed: evidence.size_hits.numpy() for seed, evidence in seeds.items()}


def _size_row(truth: Evidence, size: int, hits: Mapping[str, Mapping[int, Counts]]) -> SizeRow:
    things = truth.is_thing.numpy()
    totals, objects = truth.size_totals.numpy()[size], truth.size_objects.numpy()[size]
    limits = (0.0, *truth.size_edges, None)

    def share(seeds: Mapping[int, Counts], classes: Counts) -> dict[int, float | None]:
        pixels = totals[classes].sum()
        return {seed: float(counts[size, classes].sum() / pixels) for seed, counts in seeds.items()}

    def shares(classes: Counts) -> dict[str, dict[int, float | None]]:
        return {name: share(seeds, classes) for name, seeds in hits.items()}

    present = np.flatnonzero(things & (totals > 0))
    together = shares(present)
    return SizeRow(
        limits[size] or 0.0,
        limits[size + 1],
        int(objects[things].sum()),
        int(totals[things].sum()),
        _means(together),
        *_paired(together),
        {truth.class_names[at]: _means(shares(np.array([at]))) for at in present.tolist()},
    )


def _means(values: Mapping[str, Mapping[int, float | None]]) -> dict[str, float | None]:
    return {name: mean_of(seeds) for name, seeds in values.items()}


def scale_rows(groups: Sequence[Group], evidence_of: EvidenceOf) -> tuple[ScaleRow, ...]:
    """One row a configuration that learned a map."""
    rows = []
    for group in groups:
        maps = [evidence for evidence in evidence_of(group).values() if evidence.map_name]
        if maps:
            rows.append(_scale_row(group, maps))
    return tuple(rows)


def _scale_row(group: Group, maps: Sequence[Evidence]) -> ScaleRow:
    first = maps[0]
    things = first.is_thing[first.objects[:, 1].long()].numpy()
    by_seed = [rank_correlation(evidence.object_sides[things], evidence.object_scales[things]) for evidence in maps]
    correlations = [value for value in by_seed if value is not None]
    return ScaleRow(
        method=group.method,
        params=group.params,
        setting=group.setting,
        map=str(first.map_name),
        correlation=sum(correlations) / len(correlations) if correlations else None,
        correlation_ci95=half_width(correlations),
        objects=int(things.sum()),
        sizes=_size_means(first, maps, things),
        classes={
            name: mean
            for label, name in enumerate(first.class_names)
            if (mean := _map_mean(maps, first.objects[:, 1].numpy() == label)) is not None
        },
    )


def _size_means(first: Evidence, maps: Sequence[Evidence], things: NDArray[np.bool_]) -> tuple[SizeMean, ...]:
    limits = (0.0, *first.size_edges, np.inf)
    sides = first.object_sides.numpy()
    size_means = []
    for low, high in pairwise(limits):
        mean = _map_mean(maps, things & (sides >= low) & (sides < high))
        if mean is not None:
            size_means.append(SizeMean(low, None if high == np.inf else high, mean))
    return tuple(size_means)


def _map_mean(maps: Sequence[Evidence], objects: NDArray[np.bool_]) -> float | None:
    """The mean of the map over the pixels of these objects and over seeds; None where there is no such pixel."""
    if not objects.any():
        return None
    by_seed = []
    for evidence in maps:
        scales, areas = evidence.object_scales.numpy(), evidence.objects[:, 2].numpy()
        by_seed.append(np.average(scales[objects], weights=areas[objects]))
    mean = float(np.mean(by_seed))
    return mean if np.isfinite(mean) else None
