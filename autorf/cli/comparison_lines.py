"""A comparison's groups and trials as the rows of a table: a text a column."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import mean
from typing import TypeGuard

from autorf.comparison import Comparison, Group, Row
from autorf.comparison.groups import members_of, steps_in_words
from autorf.comparison.judging import metric_name, number
from autorf.comparison.rows import learned
from autorf.metrics import OVERALL
from autorf.study.trial import side_text
from autorf.tasks import TASKS
from autorf.training.results import GROUP

Line = dict[str, str]
"""A table's row: a text for every column's title; ``""`` is what marks it."""

KEY_DIGITS = 8
"""Of a trial's key; commands take the first digits of one."""


def lines_of_groups(comparison: Comparison) -> list[Line]:
    """A line for every configuration but controls, then those without a complete trial."""
    lines = [_of_group(group, comparison) for group in comparison.groups if group.control is None]
    counted = {group.configuration for group in comparison.groups}
    return [*lines, *(line_of_row(row, comparison) for row in comparison.rows if row.configuration not in counted)]


def _of_group(group: Group, comparison: Comparison) -> Line:
    rows = list(members_of(group, comparison.members).values())

    def average(value: Callable[[Row], float | None]) -> float | None:
        values = [measured for row in rows if (measured := value(row)) is not None]
        return mean(values) if values else None

    metric = comparison.metric
    line = _line(comparison, group.configuration, group.method, group.setting, group.study)
    line |= {
        "seeds": str(group.n),
        "folds": "" if group.folds is None else str(group.folds),
        "rf": side_text(group.rf),
        "rnorm": f"{group.rnorm:.2f}",
    }
    line |= {"f": _each(learned(rows, "f")), "dil.": _each(learned(rows, "dilation"))}
    line |= {"scale": _each(learned(rows, "scale"))}
    line |= {metric_name(metric): number(group.mean, metric)}
    half = group.ci95 if group.ci95_images is None or group.n < 2 else group.ci95_images
    line |= {"± 95 %": _of_cost(half, metric)}
    for name in comparison.objectives[1:]:
        measured = average(partial(_measured, objective=name))
        line[metric_name(name)] = _of_cost(measured, name)
    for name in _beside(comparison):
        line[metric_name(name)] = decimals(average(partial(_measured, objective=name)), 3)
    return {**line, **_overall(group.f1_groups, comparison), **_training(group, comparison)}


def line_of_row(row: Row, comparison: Comparison) -> Line:
    """A line for one trial."""
    metric = comparison.metric
    line = _line(comparison, row.configuration, row.method, row.setting, row.study, "" if row.counts else row.state)
    line |= {"seed": str(row.seed), "fold": "" if row.fold is None else str(row.fold)}
    line |= {"rf": "" if row.rf is None else side_text(row.rf), "rnorm": decimals(row.rnorm, 2)}
    line |= {"f": _each(learned([row], "f")), "dil.": _each(learned([row], "dilation"))}
    line |= {"scale": _each(learned([row], "scale"))}
    line |= {metric_name(metric): _of_cost(row.score, metric)}
    for name in comparison.objectives[1:]:
        line[metric_name(name)] = _of_cost(_measured(row, name), name)
    for name in _beside(comparison):
        line[metric_name(name)] = decimals(_measured(row, name), 3)
    overall = _overall(row.f1_groups, comparison)
    return {**line, **overall, **_training(row, comparison), "key": row.key[:KEY_DIGITS]}


def _beside(comparison: Comparison) -> tuple[str, ...]:
    """Metrics that are shown beside the first of a task, unless they are objectives too."""
    task = TASKS[comparison.task]
    if comparison.metric != task.metrics[0]:
        return ()
    return tuple(name for name in task.beside if name not in comparison.objectives)


def _overall(groups: Mapping[str, float], comparison: Comparison) -> Line:
    """The F1 of the union of the inner parts, unless it is shown as an objective."""
    name = f"{GROUP}{OVERALL}"
    return {} if name in comparison.objectives else {metric_name(name): decimals(groups.get(OVERALL), 3)}


def _training(trained: Group | Row, comparison: Comparison) -> Line:
    """How long a trial was trained, in steps and in seconds of its device."""
    if isinstance(trained, Group):
        steps = trained.steps_in_words
    else:
        steps = steps_in_words(trained.steps, trained.steps, int(trained.stopped_early)).replace("(1 ", "(")
    return {"steps": steps, f"{comparison.unit[:3]}-s": decimals(trained.own_seconds, 0)}


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
    front = {row.configuration: "front" for row in comparison.members if row.on_front}
    broken = {row.configuration: "infeasible" for row in comparison.members if row.infeasible}
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


def decimals(value: float | None, places: int) -> str:
    """A number as a table shows it; nothing where there is none."""
    return "" if value is None else f"{value:.{places}f}"


def _of_cost(value: float | None, metric: str) -> str:
    return "" if value is None else number(value, metric)
