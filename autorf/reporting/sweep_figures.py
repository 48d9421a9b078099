"""The studies of a sweep in one figure and two tables."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from autorf.comparison import Group
from autorf.reporting.blocks import Column, Table, table
from autorf.reporting.metric import AXES, Against, field_of, lines_of
from autorf.reporting.report_data import BEST, ReportData
from autorf.reporting.rnorm_figures import COLOURS, MARKS
from autorf.reporting.svg import tooltip
from autorf.reporting.theme import PALETTE, WIDE, Layout, drawing, legend, new_figure
from autorf.reporting.words import NONE, configuration, difference, named, percent, score
from autorf.study.trial import side_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@drawing
def sweep_figure(
    each: Sequence[ReportData], sizes: Mapping[str, float], against: Against = "rnorm", layout: Layout = WIDE
) -> "Figure":
    """The manual grid of every study as a line, and its best learned configuration.

    Args:
        each: the studies.
        sizes: in pixels, by the study's name.
        against: ``rnorm``, under which curves of one shape lie on each other, or ``rf`` in pixels.
        layout: the size to draw in.
    """
    from matplotlib.lines import Line2D

    figure, ((axes,),) = new_figure(layout)
    handles = []
    for at, report in enumerate(each):
        hue, mark = PALETTE[COLOURS[at % len(COLOURS)]], MARKS[at % len(MARKS)]
        _draw(axes, report, against, hue, mark)
        label = f"{report.name}, {sizes[report.name]:g} px"
        handles.append(Line2D([], [], color=hue, marker=mark, linewidth=2, label=label))
    axes.set_xlabel(AXES[against])
    axes.set_ylabel(named(each[0].comparison.metric))
    axes.margins(x=0.04, y=0.12)
    legend(figure, handles, layout)
    return figure


def _draw(axes: "Axes", report: ReportData, against: Against, hue: str, mark: str) -> None:
    manual = sorted(
        (group for group in report.comparison.groups if group.manual), key=lambda group: field_of(group, against)
    )
    learned = [group for name, group in report.best() if name == BEST[1]]
    for line in lines_of(manual):
        axes.plot([field_of(group, against) for group in line], [group.mean for group in line], color=hue, linewidth=2)
    for group in [*manual, *learned]:
        place = field_of(group, against)
        (point,) = axes.plot(
            place, group.mean, marker=mark, markersize=7, color=hue, markeredgecolor=PALETTE["surface"], zorder=4
        )
        words = f"rf {side_text(group.rf)} px, rnorm {group.rnorm:.2f}"
        tooltip(point, f"{report.name}: {configuration(group)}\n{words}: {score(group.mean, report.comparison.metric)}")
        if group in learned:
            axes.plot(place, group.mean, marker="o", markersize=16, fillstyle="none", color=hue, markeredgewidth=1.4)


def curve_table(each: Sequence[ReportData]) -> Table:
    """Every configuration of every study, by rnorm."""
    metric = each[0].comparison.metric
    columns = [Column("study", False), Column("configuration", False), *map(Column, ("rf", "rnorm", named(metric)))]
    lines = [
        (report.name, configuration(group), side_text(group.rf), f"{group.rnorm:.2f}", score(group.mean, metric))
        for report in each
        for group in sorted(report.comparison.groups, key=lambda group: group.rnorm)
    ]
    return table("Every configuration of every study", columns, lines)


def study_table(each: Sequence[ReportData], sizes: Mapping[str, float]) -> Table:
    """The verdict of every study, by size."""
    titles = (*BEST, "difference", "95 % interval", "cost", "at equal steps, learning is")
    lines = [_study_cells(report, sizes[report.name]) for report in sorted(each, key=lambda report: sizes[report.name])]
    return table("The verdict of every study", [Column("study", False), *map(Column, titles)], lines)


def _study_cells(report: ReportData, size: float) -> tuple[str, ...]:
    metric, verdict, best = report.comparison.metric, report.comparison.verdict, dict(report.best())
    low, high = verdict.difference_low, verdict.difference_high
    return (
        f"{report.name}, {size:g} px",
        *(_best_words(best.get(name), metric) for name in BEST),
        difference(verdict.difference, metric),
        NONE if low is None else f"{difference(low, metric)} to {difference(high, metric)}",
        NONE if verdict.cost_ratio is None else percent(verdict.cost_ratio),
        verdict.equal_outcome,
    )


def _best_words(group: Group | None, metric: str) -> str:
    return NONE if group is None else f"{score(group.mean, metric)}, rf {side_text(group.rf)}, rnorm {group.rnorm:.2f}"
