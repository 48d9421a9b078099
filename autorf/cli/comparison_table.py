"""A comparison in the terminal: what fits its width, the important columns first."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autorf.cli.comparison_lines import Line, decimals, line_of_row, lines_of_groups
from autorf.cli.piped import console_for, measured_width
from autorf.comparison import (
    ClassRow,
    Comparison,
    Cost,
    Group,
    GroupRow,
    MultiScaleGroup,
    NamedGroup,
    Row,
    SizeMean,
    SizeRow,
)
from autorf.comparison.costs import way_of
from autorf.comparison.judging import metric_name, number, signed
from autorf.metrics import OVERALL
from autorf.study.objectives import sign
from autorf.study.trial import fold_words, side_text
from autorf.tasks import CLASSIFICATION, TITLES

MOST_LINES = 40
MOST_REASONS = 12

LEFT = ("", "study", "method", "setting", "class", "key")
DROPPED = (
    "F1",
    *(TITLES[name] for name in reversed(CLASSIFICATION.beside)),
    "rnorm",
    "CPU-s",
    "GPU-s",
    "dil.",
    "scale",
    "f",
    "steps",
    "F1 overall",
)
"""Columns that a narrow terminal goes without, in this order."""


@dataclass(frozen=True)
class Shown:
    """What is asked for beside the configurations: every trial, a table of classes, one of object sizes."""

    trials: bool = False
    per_class: bool = False
    per_size: bool = False


def print_comparison(comparison: Comparison, shown: Shown = Shown()) -> None:
    """What to use, the tables, what needs no search, controls, the costs, and the verdict."""
    console = console_for()
    if comparison.recommendation is not None and comparison.rows:
        _say(console, f"{comparison.recommendation.text}\n")
    if shown.trials or (not comparison.replicates and all(group.n == 1 for group in comparison.groups)):
        rows = [row for row in comparison.rows if shown.trials or not (row.control and row.counts)]
        _print_lines(console, comparison, [line_of_row(row, comparison) for row in rows])
    else:
        _print_lines(console, comparison, lines_of_groups(comparison))
    if comparison.means is not None:
        _say(console, f"{comparison.means.sentence}\n")
    if comparison.multiscale:
        _print_multiscale(console, comparison)
    _print_reasons(console, [row for row in comparison.rows if row.reason])
    if shown.per_class:
        _print_classes(console, comparison)
    if shown.per_size:
        _print_sizes(console, comparison)
    _print_reference(console, comparison)
    for figure in comparison.published:
        _say(console, figure.sentence)
    for images in comparison.validation_images:
        _say(console, images.sentence)
    for line in (*comparison.notes, *_lines_of_sizes(comparison), comparison.verdict.sentence):
        _say(console, line)
    for between in comparison.between:
        _say(console, between["sentence"])


def _lines_of_sizes(comparison: Comparison) -> list[str]:
    """What fits the best fields of all image sizes, a line each."""
    return [f"{each.name}: {each.line.text}" if each.name else each.line.text for each in comparison.rnorm]


def _print_reasons(console: Console, rows: Sequence[Row]) -> None:
    for row in rows[:MOST_REASONS]:
        _say(console, f"{row.method} ({row.setting}) seed {row.seed}{fold_words(row.fold)}: {row.reason}")
    if len(rows) > MOST_REASONS:
        _say(console, f"{len(rows) - MOST_REASONS} more with a reason: --format csv")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=not console.is_terminal)


def _print_lines(console: Console, comparison: Comparison, lines: Sequence[Line]) -> None:
    left_out = len(lines) - MOST_LINES if len(lines) > MOST_LINES else 0
    if left_out:
        lines = _best_first(lines, metric_name(comparison.metric), sign(comparison.metric))
    seeds, images = len({row.seed for row in comparison.rows}), comparison.verdict.n_images
    ground = f"{seeds} seeds" if seeds > 1 else "1 seed"
    split = "all folds" if comparison.replicates else "validation split"
    title = f"{comparison.study}: {split}{f' ({images} images)' if images else ''}, {ground}"
    _print_fitting(console, title, lines)
    if left_out:
        _say(console, f"{left_out} more: --format csv or json has them all\n")


def _best_first(lines: Sequence[Line], score: str, direction: int) -> list[Line]:
    """As many as are shown: marked ones, then by score."""

    def place(line: Line) -> float:
        value = line.get(score)
        return -direction * float(value) if value else math.inf

    ranked = sorted(lines, key=place)
    return sorted(ranked, key=lambda line: not line[""].startswith("best"))[:MOST_LINES]


def _used(lines: Sequence[Line]) -> list[str]:
    """The titles of the columns that hold anything, in order."""
    titles = dict.fromkeys(name for line in lines for name in line)
    return [name for name in titles if any(line.get(name) for line in lines)]


def _print_fitting(console: Console, title: str, lines: Sequence[Line]) -> None:
    kept = _used(lines)
    for name in (*DROPPED, None):
        table = _table(title, kept, lines)
        if measured_width(console, table) <= console.width or name is None:
            break
        kept = [column for column in kept if column != name]
    console.print(table)


def _table(title: str, titles: Sequence[str], lines: Iterable[Line]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in titles:
        table.add_column(name, justify="left" if name in LEFT else "right", no_wrap=name != "setting")
    for line in lines:
        mark = line.get("", "")
        table.add_row(
            *(escape(line.get(name, "")) for name in titles), style="bold" if mark.startswith("best") else None
        )
    return table


def _print_classes(console: Console, comparison: Comparison) -> None:
    def line(row: ClassRow) -> Line:
        return {"class": row.name, **_columns(row.compared, comparison), **_difference(row)}

    def f1_line(row: ClassRow) -> Line:
        return {"class": row.name, **_columns(row.f1, comparison)}

    def group_line(row: GroupRow) -> Line:
        return {"class": f"group {row.name}", **_columns(row.f1, comparison), **_difference(row)}

    if comparison.task == CLASSIFICATION.name:
        lines = [line(row) for row in comparison.classes]
        _print_breakdown(console, "Accuracy by class", lines, "no trial is complete")
        return
    _print_breakdown(console, "IoU by class", [line(row) for row in comparison.classes], "no trial is complete")
    lines = [*map(f1_line, comparison.classes), *map(group_line, comparison.label_groups)]
    title = "F1 by class and label group" if comparison.label_groups else "F1 by class"
    _print_breakdown(console, title, lines, "no trial is complete")


def _print_multiscale(console: Console, comparison: Comparison) -> None:
    """Rows of their own: what the same models reach over several sizes of the images."""

    def line(group: MultiScaleGroup) -> Line:
        return {
            "method": group.method,
            "setting": group.setting,
            "seeds": str(group.n),
            "mIoU": decimals(group.miou, 3),
            "± 95 %": decimals(group.miou_ci95, 3),
            "less single": "" if group.gain is None else f"{group.gain:+.3f}",
            "F1": decimals(group.f1, 3),
            "F1 overall": decimals(group.f1_groups.get(OVERALL), 3),
        }

    for evaluation in dict.fromkeys(group.evaluation for group in comparison.multiscale):
        lines = [line(group) for group in comparison.multiscale if group.evaluation == evaluation]
        _print_fitting(console, f"Over {evaluation}; nothing is chosen by it", lines)


def _print_sizes(console: Console, comparison: Comparison) -> None:
    def line(row: SizeRow) -> Line:
        return {
            "side, px": _side(row),
            "objects": str(row.objects),
            **_columns(row.share, comparison),
            **_difference(row),
        }

    title = "Share of pixels predicted right, by object size"
    missing = (
        "pictures with one class each have no objects"
        if comparison.task == CLASSIFICATION.name
        else "no compared trial has per-image evidence"
    )
    _print_breakdown(console, title, [line(row) for row in comparison.sizes], missing)
    for scales in comparison.scales:
        if scales.correlation is not None:
            spread = "" if scales.correlation_ci95 is None else f" ± {scales.correlation_ci95:.2f}"
            means = "".join(f"{_side(size)} px {size.mean:.2f}, " for size in scales.sizes)
            _say(
                console,
                f"{scales.method} ({scales.setting}): mean {scales.map} of objects of {means}"
                f"rank correlation with their size {scales.correlation:+.2f}{spread} ({scales.objects} objects)\n",
            )


def _side(size: SizeRow | SizeMean) -> str:
    return f"{size.low:g} up" if size.high is None else f"{size.low:g}-{size.high:g}"


def _columns(values: dict[str, float | None], comparison: Comparison) -> Line:
    """The compared configurations, each once: the default may be the best manual one."""
    names = {named.name: named.group.configuration for named in comparison.named if named.group}
    verdict = comparison.verdict
    best = [comparison.group_of(choice) for choice in (verdict.best_manual, verdict.best_learned)]
    shown = {group.configuration for group in best if group}
    columns = {}
    for name, value in values.items():
        if name not in names or names[name] not in shown:
            columns[name.removeprefix("best ")] = decimals(value, 3)
            shown.add(names.get(name, ""))
    return columns


def _difference(row: ClassRow | GroupRow | SizeRow) -> Line:
    if row.difference is None:
        return {}
    spread = "" if row.difference_ci95 is None else f"{row.difference_ci95:.3f}"
    return {"difference": f"{row.difference:+.3f}", "± 95 %": spread}


def _print_breakdown(console: Console, title: str, lines: Sequence[Line], missing: str) -> None:
    if not lines:
        _say(console, f"{title}: {missing}")
        return
    console.print(_table(title, _used(lines), lines))


def _print_reference(console: Console, comparison: Comparison) -> None:
    """What needs no search, what was trained as long as the best learned, and what each way has cost."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for named in comparison.named:
        if named.group is not None:
            table.add_row("no search", _rule(named), *_named(named.group, comparison))
    for group in comparison.groups:
        if group.control is not None:
            table.add_row("control", f"equal {group.control}", *_named(group, comparison))
    for cost in comparison.costs:
        table.add_row("cost", *_cost(cost, "full grid" if _has_grid(comparison) else "manual trials"))
    if table.row_count:
        console.print(table, highlight=False, markup=False)
        console.print()


def _rule(named: NamedGroup) -> str:
    if named.field is not None:
        return f"{named.name}, {named.field:.3g} px: {named.rule}"
    return named.name if named.object_size is None else f"rf = objects, {named.object_size:.3g} px"


def _named(group: Group, comparison: Comparison) -> tuple[str, str]:
    learned = comparison.group_of(comparison.verdict.best_learned)
    gain = "" if learned is None else f", learned {signed(learned.mean - group.mean, comparison.metric)}"
    words = f"{group.method} ({group.setting}; rf {side_text(group.rf)})"
    return words, f"{number(group.mean, comparison.metric)}{gain}"


def _has_grid(comparison: Comparison) -> bool:
    """Whether there is more to the manual way than the default."""
    return len({row.configuration for row in comparison.rows if way_of(row) == "manual"}) > 1


def _cost(cost: Cost, whole: str) -> tuple[str, str, str]:
    names = ("failed or repeated", "pruned")
    parts = zip(names, (cost.failed_seconds, cost.pruned_seconds), strict=True)
    inside = "".join(f", {seconds:.0f} of it {name}" for name, seconds in parts if seconds >= 0.5)
    inside += f"; {cost.retrain_seconds:.0f} more to retrain" if cost.retrain_seconds >= 0.5 else ""
    ratio = "" if cost.ratio is None else f"{cost.ratio:.0%} of the {whole}"
    trials = f"{cost.trials} trial{'s' * (cost.trials != 1)}"
    return f"{cost.way}, {trials}", f"{cost.seconds:.0f} {cost.unit}{inside}", ratio
