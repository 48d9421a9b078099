"""The report's tables of configurations and trials."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from autorf.comparison import ClassRow, Comparison, Group, Row
from autorf.comparison.rows import learned
from autorf.reporting.blocks import Column, Line, Table, table
from autorf.reporting.metric import interval
from autorf.reporting.report_data import BEST, ReportData
from autorf.reporting.words import (
    COST_NAMES,
    NONE,
    configuration,
    difference,
    fixed,
    named,
    score,
    several,
    short,
    size_limits,
)
from autorf.study.objectives import sign
from autorf.study.trial import side_text
from autorf.tasks import CLASSIFICATION, TITLES

Cell = Callable[[Row], str]

_STATES = ("complete", "pruned", "running", "failed", "waiting")


def trial_table(report: ReportData) -> Table:
    """Every trial that began: the best first, then those without a result; with the reason where there is one."""
    metric = report.comparison.metric
    rows = sorted(
        report.comparison.rows, key=lambda row: (_STATES.index(row.state), -sign(metric) * (row.score or 0), row.seed)
    )
    marks = {(group.study, key): name for name, group in report.best() for key in group.keys}
    kept = {column: cell for column, cell in _trial_columns(report) if _says_anything(cell, rows)}
    cells = tuple(kept.values())
    lines = [_trial_line(row, cells, marks.get((row.study, row.key), "")) for row in rows]
    return table(f"All trials of {report.name}", tuple(kept), lines)


def _says_anything(cell: Cell, rows: Iterable[Row]) -> bool:
    return any(cell(row) != NONE for row in rows)


def _trial_line(row: Row, cells: Iterable[Cell], mark: str) -> Line:
    return Line(tuple(cell(row) for cell in cells), mark, _note(row))


def _trial_columns(report: ReportData) -> Iterator[tuple[Column, Cell]]:
    yield Column("configuration", False), lambda row: f"{row.method} ({row.setting})"
    if len(report.studies) > 1:
        yield Column("study", False), lambda row: row.study
    yield Column("seed"), lambda row: str(row.seed)
    yield Column("fold"), lambda row: NONE if row.fold is None else str(row.fold)
    yield Column("state", False), lambda row: row.state
    yield Column("mIoU"), lambda row: fixed(row.miou)
    yield Column("F1"), lambda row: fixed(row.f1)
    for group in dict.fromkeys(name for row in report.comparison.rows for name in row.f1_groups):
        yield Column(f"F1 {group}"), partial(_group_f1, group)
    yield Column("accuracy"), lambda row: fixed(row.pixel_accuracy)
    for metric in CLASSIFICATION.metrics:
        yield Column(TITLES[metric]), partial(_score, metric)
    yield Column("rf"), lambda row: NONE if row.rf is None else side_text(row.rf)
    yield Column("rnorm"), lambda row: fixed(row.rnorm, 2)
    yield Column("f"), lambda row: several(learned([row], "f"), fixed)
    yield Column("dilation"), lambda row: several(learned([row], "dilation"), short)
    yield Column("scale"), lambda row: several(learned([row], "scale"), fixed)
    for name in report.comparison.objectives:
        if name in COST_NAMES:
            yield Column(COST_NAMES[name]), partial(_cost, name)
    # Trainings of earlier versions did not say their steps.
    yield Column("epochs"), lambda row: str(row.epochs or 0) if row.steps is None else NONE
    yield Column("steps"), lambda row: _steps(row)
    yield Column(report.unit), lambda row: NONE if row.own_seconds is None else f"{row.own_seconds:.3g}"
    yield Column("control", False), lambda row: NONE if row.control is None else f"equal {row.control}"
    yield Column("attempts"), lambda row: NONE if row.attempts < 2 else str(row.attempts)
    yield Column("key", False), lambda row: row.key


def _steps(row: Row) -> str:
    return NONE if row.steps is None else f"{row.steps}{' (stopped)' if row.stopped_early else ''}"


def _group_f1(name: str, row: Row) -> str:
    return fixed(row.f1_groups.get(name))


def _score(metric: str, row: Row) -> str:
    return fixed(getattr(row, metric))


def _cost(name: str, row: Row) -> str:
    return score(row.measured.get(name), name)


def group_table(comparison: Comparison) -> Table:
    """The points of the figures of the metric against the receptive field, by ascending field."""
    metric = comparison.metric
    several = len({group.study for group in comparison.groups}) > 1
    label_groups = list(dict.fromkeys(name for group in comparison.groups for name in group.f1_groups))
    groups = [f"F1 {name}" for name in label_groups]
    columns = [
        Column("configuration", False),
        *([Column("study", False)] if several else []),
        *map(Column, ("rf", "rnorm", named(metric), "95 % interval", *groups, "seeds", "steps")),
        Column(f"{comparison.unit} each"),
    ]
    marks = _marks(comparison)
    lines = [
        Line(
            (
                configuration(group),
                *([group.study] if several else []),
                side_text(group.rf),
                fixed(group.rnorm, 2),
                score(group.mean, metric),
                NONE if (half := interval(group)) is None else f"± {score(half, metric)}",
                *(fixed(group.f1_groups.get(name)) for name in label_groups),
                str(group.n),
                group.steps_in_words or NONE,
                f"{group.own_seconds:.3g}",
            ),
            marks.get(group.configuration, ""),
        )
        for group in sorted(comparison.groups, key=lambda group: max(group.rf))
    ]
    return table("Every configuration with a complete trial", columns, lines)


def search_free_table(comparison: Comparison) -> Table:
    """What the default and the field as large as the objects reach, against the best of both ways."""
    metric, best = comparison.metric, [comparison.verdict.best_manual, comparison.verdict.best_learned]
    columns = [Column("rule", False), Column("configuration", False), *map(Column, ("rf", named(metric)))]
    columns += [Column(f"less {name}") for name, group in zip(BEST, best, strict=True) if group]
    lines = []
    for rule in comparison.named:
        if rule.group is not None:
            side = rule.field if rule.object_size is None else rule.object_size
            name = rule.name if side is None else f"{rule.name}, {side:.3g} px"
            mean = rule.group.mean
            less = [difference(mean - group["mean"], metric) for group in best if group is not None]
            lines.append((name, configuration(rule.group), side_text(rule.group.rf), score(mean, metric), *less))
    return table("What needs no search", columns, lines)


def scale_table(comparison: Comparison) -> Table:
    """Whether the learned maps follow the size of the objects, and their mean over objects of each size."""
    limits = sorted(
        {(size.low, size.high) for row in comparison.scales for size in row.sizes}, key=lambda limit: limit[0]
    )
    lines = []
    for row in comparison.scales:
        means = {(size.low, size.high): size.mean for size in row.sizes}
        lines.append(
            (
                f"{row.map} of {row.method} ({row.setting})",
                fixed(row.correlation, 2),
                NONE if row.correlation_ci95 is None else f"± {row.correlation_ci95:.2f}",
                f"{row.objects:,}",
                *(fixed(means.get(limit), 2) for limit in limits),
            )
        )
    columns: list[Column | str] = [
        Column("map", False),
        "correlation with object size",
        "95 % interval",
        "objects",
        *(f"mean, {size_limits(*limit)}" for limit in limits),
    ]
    return table("Do the maps reach further on larger objects?", columns, lines)


def multiscale_table(comparison: Comparison) -> Table:
    """What the same models reach over several sizes of the images, beside their own size."""
    label_groups = list(dict.fromkeys(name for group in comparison.multiscale for name in group.f1_groups))
    lines = [
        (
            f"{group.method} ({group.setting})",
            group.evaluation,
            fixed(group.miou),
            NONE if group.miou_ci95 is None else f"± {group.miou_ci95:.3f}",
            difference(group.gain, "miou"),
            fixed(group.f1),
            *(fixed(group.f1_groups.get(name)) for name in label_groups),
            str(group.n),
        )
        for group in comparison.multiscale
    ]
    columns: list[Column | str] = [Column("configuration", False), Column("evaluation", False)]
    columns += ["mIoU", "95 % interval", "less single scale", "F1", *(f"F1 {name}" for name in label_groups), "seeds"]
    return table("Averaged over several sizes of the images", columns, lines)


def class_f1_table(rows: Sequence[ClassRow]) -> Table:
    """The F1 of every class, the means over seeds."""
    names = list(dict.fromkeys(name for row in rows for name in row.f1))
    lines = [(row.name, *(fixed(row.f1.get(name)) for name in names)) for row in rows]
    return table("F1 by class", [Column("class", False), *map(Column, names)], lines)


def between_table(comparison: Comparison) -> Table:
    """The best of each later study against the best of the first."""
    metric = comparison.metric
    lines = [
        (
            pair["study"],
            pair["against"],
            difference(pair.get("difference"), metric),
            _range(pair.get("difference_low"), pair.get("difference_high"), metric),
            pair["outcome"],
        )
        for pair in comparison.between
    ]
    titles = ("best of", "against best of", "difference", "95 % interval", "outcome")
    is_number = (False, False, True, True, False)
    return table("Studies against the first", [*map(Column, titles, is_number)], lines)


def _range(low: float | None, high: float | None, metric: str) -> str:
    return NONE if low is None or high is None else f"{difference(low, metric)} to {difference(high, metric)}"


def _note(row: Row) -> str:
    broken = f"breaks {', '.join(row.infeasible)}" if row.infeasible else ""
    return "; ".join(text for text in (row.reason, broken) if text)


def _marks(comparison: Comparison) -> dict[str, str]:
    marks: dict[str, list[str]] = {}
    verdict = comparison.verdict
    chosen: list[tuple[str, Group | None]] = [
        ("best manual", comparison.group_of(verdict.best_manual)),
        ("best learned", comparison.group_of(verdict.best_learned)),
        *((rule.name, rule.group) for rule in comparison.named),
        *((f"control, equal {group.control}", group) for group in comparison.groups if group.control),
    ]
    for name, group in chosen:
        if group is not None:
            marks.setdefault(group.configuration, []).append(name)
    return {key: ", ".join(names) for key, names in marks.items()}
