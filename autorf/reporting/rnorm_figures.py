"""Figures over image sizes: the winning fields with their lines through the origin, and a curve for every size."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from autorf.comparison import FieldMap
from autorf.reporting.blocks import Line, Table, table
from autorf.reporting.svg import tooltip
from autorf.reporting.theme import PALETTE, WIDE, Layout, drawing, legend, new_figure
from autorf.reporting.words import NONE, fixed, named, score, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from autorf.reporting.metric import Against

COLOURS = ("manual", "inflation", "learned-dilation", "scale-adaptive", "pixel-adaptive", "other")
MARKS = "oD^sPX"
"""Of one map or size after the other; over again where there are more."""


@drawing
def lines_figure(maps: Sequence[FieldMap], layout: Layout = WIDE) -> "Figure":
    """The winning field of every size, and the line that fits them inside its 95 % interval.

    Winners at an end of their grid are hollow. Paper: Wei et al., *Accurate facial image parsing at real-time speed*,
    2019, figure 2, b and c: splits and networks on one line.
    """
    from matplotlib.lines import Line2D

    figure, ((axes,),) = new_figure(layout)
    largest = max(size for each in maps for size in each.sizes)
    handles = []
    for at, each in enumerate(maps):
        hue, mark = PALETTE[COLOURS[at % len(COLOURS)]], MARKS[at % len(MARKS)]
        _draw_line(axes, each, hue, largest)
        _draw_winners(axes, each, hue, mark)
        handles.append(Line2D([], [], color=hue, marker=mark, linewidth=2, label=_label(each)))
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1.1 * largest)
    axes.set_xlabel("receptive field, side in input pixels")
    axes.set_ylabel("image side in pixels")
    legend(figure, handles, layout)
    return figure


def _label(each: FieldMap) -> str:
    ratio = "no line fits yet" if each.ratio is None else f"{each.line.name} {each.ratio:.2f}"
    return f"{each.name}: {ratio}" if each.name else ratio


def _draw_line(axes: "Axes", each: FieldMap, hue: str, largest: float) -> None:
    line, sides = each.line, np.array([0.0, 1.1 * largest])
    if line.ratio is None or line.low is None or line.high is None:
        return
    axes.fill_betweenx(sides, line.low * sides, line.high * sides, color=hue, alpha=0.12, linewidth=0)
    (drawn,) = axes.plot(line.ratio * sides, sides, color=hue, linewidth=2)
    tooltip(drawn, line.text)


def _draw_winners(axes: "Axes", each: FieldMap, hue: str, mark: str) -> None:
    for winner in each.line.winners:
        (point,) = axes.plot(
            winner.field, winner.size, marker=mark, markersize=9, color=hue, linewidth=0, zorder=4,
            fillstyle="full" if winner.end is None else "none",
            markeredgecolor=hue if winner.end else PALETTE["surface"], markeredgewidth=1.4,
        )  # fmt: skip
        end = f", the {winner.end} of its grid" if winner.end else ""
        tooltip(point, f"{winner.size:g} px: {winner.setting}, rf {winner.field:g} px{end}")


def lines_table(maps: Sequence[FieldMap]) -> Table:
    """A line for each size of each map."""
    columns = ("of", "image side", "winner", "rf", "rnorm", "steps from the line", "fitted rnorm", "95 % interval")
    lines = []
    for each in maps:
        line = each.line
        interval = NONE if line.low is None or line.high is None else f"{line.low:.2f} to {line.high:.2f}"
        for winner in line.winners:
            end = f"{winner.end} of the grid" if winner.end else ""
            cells = (
                each.name or "all",
                f"{winner.size:g}",
                f"{winner.setting}, {line.winner}",
                short(winner.field, 1),
                fixed(winner.rnorm, 2),
                NONE if winner.off is None else fixed(winner.off, 1),
                fixed(line.ratio, 2),
                interval,
            )
            lines.append(Line(cells, end))
    return table("The winning field of every size and the line that fits them", columns, lines)


@drawing
def curves_figure(each: FieldMap, metric: str, against: "Against" = "rnorm", layout: Layout = WIDE) -> "Figure":
    """The metric against the field, a curve for every size; under rnorm, curves of one task lie on each other."""
    from matplotlib.lines import Line2D

    figure, ((axes,),) = new_figure(layout)
    handles = []
    for row, size in enumerate(each.sizes):
        hue, mark = PALETTE[COLOURS[row % len(COLOURS)]], MARKS[row % len(MARKS)]
        tried = [(at, value) for at, value in enumerate(each.scores[row]) if value is not None]
        places = [each.fields[at] / (size if against == "rnorm" else 1) for at, _ in tried]
        axes.plot(places, [value for _, value in tried], color=hue, linewidth=2)
        for place, (at, value) in zip(places, tried, strict=True):
            (point,) = axes.plot(
                place, value, marker=mark, markersize=7, color=hue, markeredgecolor=PALETTE["surface"], zorder=4
            )
            rf = f"rf {each.fields[at]:g} px, rnorm {each.fields[at] / size:.2f}"
            tooltip(point, f"{size:g} px, {each.settings[at]}\n{rf}: {score(value, metric)}")
        handles.append(Line2D([], [], color=hue, marker=mark, linewidth=2, label=f"{size:g} px"))
    if each.ratio is not None and against == "rnorm":
        axes.axvline(each.ratio, color=PALETTE["muted"], linewidth=1.2, linestyle=(0, (5, 2)), zorder=1)
    axes.set_xlabel(
        "rnorm: receptive field over image side" if against == "rnorm" else "receptive field, side in pixels"
    )
    axes.set_ylabel(named(metric))
    axes.margins(x=0.04, y=0.12)
    legend(figure, handles, layout)
    return figure
