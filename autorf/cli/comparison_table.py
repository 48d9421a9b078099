"""A comparison in the terminal: what fits its width, the important columns first."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean
from typing import TypeGuard

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from autorf.comparison import ClassRow, Comparison, Cost, Group, GroupRow, MultiScaleGroup, Row, SizeMean, SizeRow
from autorf.comparison.costs import way_of
from autorf.comparison.judging import metric_name, number, signed
from autorf.comparison.rows import learned, members_of
from autorf.metrics import OVERALL
from autorf.study.objectives import sign
from autorf.study.trial import side_text
from autorf.training.results import GROUP

MOST_LINES = 40
MOST_REASONS = 12
PIPE_WIDTH = 200
"""A pipe has no width of its own; a table cut to 80 columns would lose its numbers."""

LEFT = ("", "study", "method", "setting", "class", "key")
DROPPED = ("F1", "rnorm", "CPU-s", "GPU-s", "dil.", "scale", "f", "steps", "F1 overall")
"""Columns that a narrow terminal goes without, in this order."""

KEY_DIGITS = 8
"""Of a trial's key; commands take the first digits of one."""


@dataclass(frozen=True)
class Shown:
    """What is asked for beside the configurations: every trial, a table of classes, one of object sizes."""

    trials: bool = False
    per_class: bool = False
    per_size: bool = False


def print_comparison(comparison: Comparison, shown: Shown = Shown()) -> None:
    """What to use, the tables, what needs no search, controls, the costs, and the verdict."""
    console = Console()
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    if comparison.recommendation is not None and comparison.rows:
        _say(console, f"{comparison.recommendation.text}\n")
    if shown.trials or all(group.n == 1 for group in comparison.groups):
        rows = [row for row in comparison.rows if shown.trials or not (row.control and row.counts)]
        _print_lines(console, comparison, [_of_row(row, comparison) for row in rows])
    else:
        _print_lines(console, comparison, _of_groups(comparison))
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
    for line in (*comparison.notes, *_lines_of_sizes(comparison), comparison.verdict.sentence):
        _say(console, line)
    for between in comparison.between:
        _say(console, between["sentence"])


def _lines_of_sizes(comparison: Comparison) -> list[str]:
    """What fits the best fields of all image sizes, a line each."""
    return [f"{each.name}: {each.line.text}" if each.name else each.line.text for each in comparison.rnorm]


def _print_reasons(console: Console, rows: Sequence[Row]) -> None:
    for row in rows[:MOST_REASONS]:
        _say(console, f"{row.method} ({row.setting}) seed {row.seed}: {row.reason}")
    if len(rows) > MOST_REASONS:
        _say(console, f"{len(rows) - MOST_REASONS} more with a reason: --format csv")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=not console.is_terminal)


Line = dict[str, str]
"""A table's row: a text for every column's title; ``""`` is what marks it."""


def _print_lines(console: Console, comparison: Comparison, lines: Sequence[Line]) -> None:
    left_out = len(lines) - MOST_LINES if len(lines) > MOST_LINES else 0
    if left_out:
        lines = _best_first(lines, metric_name(comparison.metric), sign(comparison.metric))
    seeds, images = len({row.seed for row in comparison.rows}), comparison.verdict.n_images
    ground = f"{seeds} seeds" if seeds > 1 else "1 seed"
    title = f"{comparison.study}: validation split{f' ({images} images)' if images else ''}, {ground}"
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
        if _width(console, table) <= console.width or name is None:
            break
        kept = [column for column in kept if column != name]
    console.print(table)


def _width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update(width=10 * PIPE_WIDTH), table).maximum


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


def _of_groups(comparison: Comparison) -> list[Line]:
    """A line for every configuration but controls, then those without a complete trial."""
    lines = [_of_group(group, comparison) for group in comparison.groups if group.control is None]
    counted = {group.configuration for group in comparison.groups}
    return [*lines, *(_of_row(row, comparison) for row in comparison.rows if row.configuration not in counted)]


def _of_group(group: Group, comparison: Comparison) -> Line:
    rows = list(members_of(group, comparison.rows).values())

    def average(value: Callable[[Row], float | None]) -> float | None:
        values = [measured for row in rows if (measured := value(row)) is not None]
        return mean(values) if values else None

    metric = comparison.metric
    line = _line(comparison, group.configuration, group.method, group.setting, group.study)
    line |= {"seeds": str(group.n), "rf": side_text(group.rf), "rnorm": f"{group.rnorm:.2f}"}
    line |= {"f": _each(learned(rows, "f")), "dil.": _each(learned(rows, "dilation"))}
    line |= {"scale": _each(learned(rows, "scale"))}
    line |= {metric_name(metric): number(group.mean, metric)}
    half = group.ci95 if group.ci95_images is None or group.n < 2 else group.ci95_images
    line |= {"± 95 %": _of_cost(half, metric)}
    for name in comparison.objectives[1:]:
        measured = average(partial(_measured, objective=name))
        line[metric_name(name)] = _of_cost(measured, name)
    if metric == "miou":
        line["F1"] = _decimals(average(lambda row: row.f1), 3)
    return {**line, **_overall(group.f1_groups, comparison), **_training(group, comparison)}


def _of_row(row: Row, comparison: Comparison) -> Line:
    metric = comparison.metric
    line = _line(comparison, row.configuration, row.method, row.setting, row.study, "" if row.counts else row.state)
    line |= {"seed": str(row.seed), "rf": "" if row.rf is None else side_text(row.rf), "rnorm": _decimals(row.rnorm, 2)}
    line |= {"f": _each(learned([row], "f")), "dil.": _each(learned([row], "dilation"))}
    line |= {"scale": _each(learned([row], "scale"))}
    line |= {metric_name(metric): _of_cost(row.score, metric)}
    for name in comparison.objectives[1:]:
        line[metric_name(name)] = _of_cost(_measured(row, name), name)
    if metric == "miou":
        line["F1"] = _decimals(row.f1, 3)
    overall = _overall(row.f1_groups, comparison)
    return {**line, **overall, **_training(row, comparison), "key": row.key[:KEY_DIGITS]}


def _overall(groups: Mapping[str, float], comparison: Comparison) -> Line:
    """The F1 of the union of the inner parts, unless it is shown as an objective."""
    name = f"{GROUP}{OVERALL}"
    return {} if name in comparison.objectives else {metric_name(name): _decimals(groups.get(OVERALL), 3)}


def _training(trained: Group | Row, comparison: Comparison) -> Line:
    """How long a trial was trained, in steps and in seconds of its device."""
    steps = "" if trained.steps is None else str(trained.steps)
    return {"steps": steps, f"{comparison.unit[:3]}-s": _decimals(trained.own_seconds, 0)}


def _measured(row: Row, objective: str) -> float | None:
    value: float | None = row.measured.get(objective, getattr(row, objective, None))
    return value


def _line(comparison: Comparison, configuration: str, method: str, setting: str, study: str, state: str = "") -> Line:
    where = {"study": study} if " + " in comparison.study else {}
    return {"": state or _marks(comparison).get(configuration, ""), **where, "method": method, "setting": setting}


def _marks(comparison: Comparison) -> dict[str, str]:
    verdict = comparison.verdict
    best = {"best manual": verdict.best_manual, "best learned": verdict.best_learned}
    marks = {group.configuration: mark for mark, choice in best.items() if (group := comparison.group_of(choice))}
    front = {row.configuration: "front" for row in comparison.rows if row.on_front}
    broken = {row.configuration: "infeasible" for row in comparison.rows if row.infeasible}
    controls = {row.configuration: f"control, {row.control}" for row in comparison.rows if row.control}
    both = {configuration: f"{marks[configuration]}, front" for configuration in marks.keys() & front.keys()}
    measured = {named.group.configuration: named.name for named in comparison.named if _is_baseline(named.group)}
    return {**controls, **front, **broken, **marks, **both, **measured}


def _is_baseline(group: Group | None) -> TypeGuard[Group]:
    return group is not None and not group.searched and group.control is None


def _each(values: Sequence[float]) -> str:
    """What branches or layers learned: one by one, or of more than three the least and the largest."""
    if len(values) > 3:
        return f"{min(values):.2f} to {max(values):.2f}"
    return ", ".join(f"{value:.2f}" for value in values)


def _decimals(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"


def _of_cost(value: float | None, metric: str) -> str:
    return "" if value is None else number(value, metric)


def _print_classes(console: Console, comparison: Comparison) -> None:
    def line(row: ClassRow) -> Line:
        return {"class": row.name, **_columns(row.iou, comparison), **_difference(row)}

    def f1_line(row: ClassRow) -> Line:
        return {"class": row.name, **_columns(row.f1, comparison)}

    def group_line(row: GroupRow) -> Line:
        return {"class": f"group {row.name}", **_columns(row.f1, comparison), **_difference(row)}

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
            "mIoU": _decimals(group.miou, 3),
            "± 95 %": _decimals(group.miou_ci95, 3),
            "less single": "" if group.gain is None else f"{group.gain:+.3f}",
            "F1": _decimals(group.f1, 3),
            "F1 overall": _decimals(group.f1_groups.get(OVERALL), 3),
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
    missing = "no compared trial has per-image evidence"
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
            columns[name.removeprefix("best ")] = _decimals(value, 3)
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
            size = named.name if named.object_size is None else f"rf = objects, {named.object_size:.3g} px"
            table.add_row("no search", size, *_named(named.group, comparison))
    for group in comparison.groups:
        if group.control is not None:
            table.add_row("control", f"equal {group.control}", *_named(group, comparison))
    for cost in comparison.costs:
        table.add_row("cost", *_cost(cost, "full grid" if _has_grid(comparison) else "manual trials"))
    if table.row_count:
        console.print(table, highlight=False, markup=False)
        console.print()


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
