"""Everything that ``autorf compare`` shows of one study or of several."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib import import_module
from math import isfinite
from typing import Any, Literal

from autorf.comparison.breakdown import (
    LEARNED_BEST,
    MANUAL_BEST,
    ClassRow,
    EvidenceOf,
    GroupRow,
    ScaleRow,
    SizeRow,
    class_rows,
    label_group_rows,
    scale_rows,
    size_rows,
)
from autorf.comparison.costs import Cost, Curve, costs_of, curves_of
from autorf.comparison.field_map import FieldMap
from autorf.comparison.flatness import flat_notes
from autorf.comparison.folds import fold_notes
from autorf.comparison.groups import Group, groups_of, members_of
from autorf.comparison.image_sizes import at_best_size
from autorf.comparison.images import MOST_TRIALS, ImageNoise
from autorf.comparison.judging import judge, judgement
from autorf.comparison.looks import GRID
from autorf.comparison.mean_classes import MeanClasses, by_one_rule, mean_classes
from autorf.comparison.multiscale import MultiScaleGroup, multiscale_groups
from autorf.comparison.named import NamedGroup, named_groups
from autorf.comparison.published import PublishedFigure, published_figures
from autorf.comparison.recommendation import Recommendation, recommendation_of
from autorf.comparison.results import StudyResults, bare_results, check_comparable
from autorf.comparison.rnorm import rnorm_maps
from autorf.comparison.rows import Row, rows_of
from autorf.comparison.same_images import SameImages, same_images
from autorf.comparison.stopped import stopped_notes
from autorf.comparison.sufficient import MARGIN
from autorf.comparison.verdict import Verdict, verdict_of
from autorf.errors import InputError, shown
from autorf.methods import method_class
from autorf.statistics import half_width
from autorf.store.code import accepted_changes
from autorf.store.store import Record
from autorf.study.objectives import is_metric, sign
from autorf.tasks import SEGMENTATION

_JSON_COLUMNS = (
    "params",
    "rf",
    "each",
    "alike",
    "measured",
    "infeasible",
    "winner",
    "f1_groups",
    "image_size",
    "fold_keys",
)


@dataclass(frozen=True)
class Comparison:
    """A study, or several, as they stand; figures are from the validation split.

    Attributes:
        study: its name; of several, joined by `` + ``.
        metric: the first objective of the search.
        rows: every trial that was begun.
        groups: configurations over their seeds.
        verdict: best manual against best learned.
        recommendation: what to use.
        objectives: of the search, ``metric`` first.
        named: configurations that need no search.
        costs: what each way has cost.
        curves: the best so far against the cost.
        classes, sizes, scales: where the difference comes from.
        between: of several studies: the best of each later one against the best of the first.
        notes: what else the reader has to know, such as settings in which the studies differ.
        means: over which classes mIoU and the mean F1 are; None before a trial is complete.
        label_groups: the F1 of merged classes, where the data set has any.
        multiscale: configurations evaluated over several sizes of the images, apart from all else.
        rnorm: the manual grids by image size, each with the line that fits its winners; empty for one size.
        validation_images: of several studies: whether each later one saw the first one's.
        replicates: of data in folds: each configuration under each seed, whose scores are those of its folds pooled.
            Groups and all that is said of them are over these; ``rows`` are single folds.
        published: the figures of papers that the studies' files name, beside ours.
        task: ``segmentation``, or ``classification``, whose rows have ``accuracy``, ``top5_accuracy`` and
            ``class_accuracy`` in the place of ``miou``, ``f1`` and ``pixel_accuracy``.
    """

    study: str
    metric: str
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    verdict: Verdict
    recommendation: Recommendation | None = None
    objectives: tuple[str, ...] = ("miou",)
    named: tuple[NamedGroup, ...] = ()
    costs: tuple[Cost, ...] = ()
    curves: tuple[Curve, ...] = ()
    classes: tuple[ClassRow, ...] = ()
    sizes: tuple[SizeRow, ...] = ()
    scales: tuple[ScaleRow, ...] = ()
    between: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    means: MeanClasses | None = None
    label_groups: tuple[GroupRow, ...] = ()
    multiscale: tuple[MultiScaleGroup, ...] = ()
    rnorm: tuple[FieldMap, ...] = ()
    validation_images: tuple[SameImages, ...] = ()
    replicates: tuple[Row, ...] = ()
    published: tuple[PublishedFigure, ...] = ()
    task: str = SEGMENTATION.name

    @property
    def members(self) -> tuple[Row, ...]:
        """What groups are made of: the replicates of data in folds, else the trials."""
        return self.replicates or self.rows

    @property
    def answer(self) -> str:
        """What to use, in a sentence or two, or why nothing can be recommended."""
        if self.recommendation is None:
            return "No field is recommended: nothing is complete."
        return self.recommendation.text

    @property
    def unit(self) -> str:
        """What the seconds of training are, such as ``CPU-seconds``."""
        return self.costs[0].unit if self.costs else "CPU-seconds"

    def to_json(self) -> str:
        """The contract of ``autorf compare --format json``; what is no number is null."""
        return json.dumps(_plain(asdict(self)), indent=2, allow_nan=False)

    def to_csv(self) -> str:
        """The rows; what holds several values, such as ``params`` and ``f1_groups``, as JSON."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            values = asdict(row)
            lists = {name: None if values[name] is None else json.dumps(values[name]) for name in _JSON_COLUMNS}
            writer.writerow({**values, **lists})
        return text.getvalue()

    def frame(self, part: Literal["groups", "rows"] = "groups") -> Any:
        """Configurations over their seeds, or every trial, as a pandas DataFrame; what does not apply is None.

        Args:
            part: ``groups``, or ``rows``, which has the columns of ``autorf compare --format csv``.

        Raises:
            InputError: for another part, or without pandas.
        """
        if part not in ("groups", "rows"):
            raise InputError(f"frame: part must be groups or rows, got {shown(part)}")
        try:
            pandas: Any = import_module("pandas")
        except ImportError:
            raise InputError("frame needs pandas: pip install pandas") from None
        kind = Group if part == "groups" else Row
        entries = self.groups if part == "groups" else self.rows
        return pandas.DataFrame([asdict(entry) for entry in entries], columns=[field.name for field in fields(kind)])

    def group_of(self, best: dict[str, Any] | None) -> Group | None:
        """The group that ``verdict.best_manual`` or ``best_learned`` describes."""
        if best is None:
            return None
        return next(
            group for group in self.groups if group.keys == tuple(best["keys"]) and group.study == best["study"]
        )


def _plain(value: Any) -> Any:
    """The same with None for numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def compare(study: str, records: Iterable[Record]) -> Comparison:
    """Rows, groups and verdict from records alone, without what the trials' files and attempts add."""
    return compare_studies([bare_results(study, records)])


def compare_studies(studies: Sequence[StudyResults], *, margin: float | None = None) -> Comparison:
    """Compare everything in ``studies``, as they stand.

    Args:
        studies: the first one's metric is compared.
        margin: what a field may lose and still suffice, above 0; None for the studies' ``search.margin``.

    Raises:
        InputError: when the studies differ in metric, classes or validation images; for a margin that is not above 0.
    """
    notes = check_comparable(studies)
    pooled = [study.pooled for study in studies]
    code_notes = [sentence for study in studies for sentence in accepted_changes(study.notes)]
    metric = studies[0].objectives[0]
    trials = by_one_rule([row for study in studies for row in rows_of(study)])
    in_folds = any(study.folds for study in studies)
    # Everything below is over replicates; where the data is not in folds each trial is one.
    rows = by_one_rule([row for study in pooled for row in rows_of(study)]) if in_folds else trials
    noise = ImageNoise(studies, rows, metric)
    groups = groups_of(rows)
    # Large studies are not read whole for their intervals.
    if is_metric(metric) and sum(row.counts for row in rows) <= MOST_TRIALS:
        groups = tuple(_with_images(group, rows, noise) for group in groups)
    verdict = verdict_of(rows, groups, noise)
    lost = _margin(studies) if margin is None else margin
    recommendation = _at_one_size(studies[0], groups, rows, noise, lost)
    names = " + ".join(study.name for study in studies)
    comparison = Comparison(names, metric, trials, groups, verdict, recommendation)
    named = named_groups(pooled, rows, groups)
    configurations = [
        (MANUAL_BEST, comparison.group_of(verdict.best_manual)),
        (LEARNED_BEST, comparison.group_of(verdict.best_learned)),
        *((configuration.name, configuration.group) for configuration in named),
    ]
    chosen = {name: group for name, group in configurations if group}
    evidence_of = EvidenceOf(studies, rows)
    return replace(
        comparison,
        objectives=studies[0].objectives,
        task=studies[0].task.name,
        named=named,
        costs=costs_of(studies, trials),
        curves=curves_of(pooled, rows, groups, sign(metric)),
        classes=class_rows(chosen, pooled, rows),
        label_groups=label_group_rows(chosen, rows),
        sizes=size_rows(chosen, evidence_of),
        scales=scale_rows(_with_maps(groups, sign(metric)), evidence_of),
        between=tuple(_between(studies[0], other, groups, rows, noise) for other in studies[1:]),
        notes=(*notes, *fold_notes(pooled), *stopped_notes(trials), *flat_notes(trials), *code_notes),
        means=mean_classes(pooled),
        multiscale=multiscale_groups(pooled, rows),
        rnorm=rnorm_maps(groups, rows, noise, lost),
        validation_images=tuple(same_images(studies[0], other) for other in studies[1:]),
        replicates=rows if in_folds else (),
        published=published_figures(studies, groups, rows),
    )


def _at_one_size(
    study: StudyResults, groups: Sequence[Group], rows: Sequence[Row], noise: ImageNoise, margin: float
) -> Recommendation:
    """The recommendation at the image size of the best manual configuration, which it names where there are several."""
    compared = at_best_size(groups, sign(noise.metric))
    grid_size = study.notes.get(GRID, {}).get("configurations")
    recommendation = recommendation_of(compared, rows, noise, margin, looks=study.looks, grid_size=grid_size)
    if len(compared) == len(groups):
        return recommendation
    height, width = compared[0].image_size or (0, 0)
    return replace(recommendation, text=f"At {height} x {width} px, the best image size: {recommendation.text}")


def _margin(studies: Sequence[StudyResults]) -> float:
    stated = [study.part("search").get("margin") for study in studies]
    return next((float(margin) for margin in stated if margin is not None), MARGIN)


def _with_images(group: Group, rows: Sequence[Row], noise: ImageNoise) -> Group:
    """The group with its interval over other images too."""
    one_seed = group.n < 2
    variance = noise.of_group(group, only_images=one_seed)
    if variance is None:
        return group
    scores = [row.score for row in members_of(group, rows).values() if row.score is not None]
    # Twice the same score has no spread of its own: what is left is that of the images.
    half = half_width(scores * 2 if one_seed else scores, variance, noise.n_images)
    return replace(group, ci95_images=half)


_MOST_MAPS = 12


def _with_maps(groups: Sequence[Group], direction: int) -> list[Group]:
    """Configurations that may have learned a map, the best ones of many; ``direction`` is the metric's sign."""
    per_pixel = [group for group in groups if method_class(group.method).per_pixel]
    return sorted(per_pixel, key=lambda group: -direction * group.mean)[:_MOST_MAPS]


def _feasible(groups: Sequence[Group], study: StudyResults) -> list[Group]:
    return [group for group in groups if group.study == study.name and group.feasible and group.searched]


def _between(
    first: StudyResults, other: StudyResults, groups: Sequence[Group], rows: Sequence[Row], noise: ImageNoise
) -> dict[str, Any]:
    """The best of ``other`` against the best of ``first``; without numbers where either has none."""
    ours, theirs = _feasible(groups, other), _feasible(groups, first)
    names = {"study": other.name, "against": first.name}
    if not ours or not theirs:
        empty = other.name if not ours else first.name
        return {**names, "outcome": "unknown", "sentence": f"No trial of {empty} is complete yet."}
    judged = judge(ours, theirs, rows, noise)
    choices = f"{len(theirs)} of {first.name} and {len(ours)} of {other.name}" if len(ours) + len(theirs) > 2 else ""
    meaning = judgement(judged, noise.metric, choices, f"{other.name} is")
    return {
        **names,
        "best": asdict(judged.first),
        "best_against": asdict(judged.second),
        "difference": judged.difference,
        "difference_low": judged.low,
        "difference_high": judged.high,
        "outcome": judged.outcome,
        "sentence": f"Best of {other.name} against best of {first.name}: {meaning}.",
    }
