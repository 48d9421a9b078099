"""Two objectives against each other, and the trials that no other beats in both."""

from typing import TYPE_CHECKING

from autorf.comparison import Comparison, Row
from autorf.reporting.blocks import Column, Line, Table, table
from autorf.reporting.svg import tooltip
from autorf.reporting.theme import PALETTE, WIDE, Layout, colour, drawing, legend, mark, method_handles, new_figure
from autorf.reporting.words import named, score
from autorf.study.objectives import sign

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def measured(comparison: Comparison) -> list[Row]:
    """The complete trials that have both objectives, along the second; none with one objective."""
    if len(comparison.objectives) != 2:
        return []
    first, second = comparison.objectives
    counted = [row for row in comparison.members if row.counts]
    both = [row for row in counted if _value(row, first) is not None and _value(row, second) is not None]
    return sorted(both, key=lambda row: _value(row, second) or 0.0)


@drawing
def pareto_figure(comparison: Comparison, layout: Layout = WIDE) -> "Figure":
    """The first objective against the second, the front joined by steps.

    Args:
        comparison: of a study with two objectives.
        layout: the size to draw in.
    """
    figure, ((axes,),) = new_figure(layout)
    first, second = comparison.objectives
    rows = measured(comparison)
    front = [row for row in rows if row.on_front]
    across, up = [_value(row, second) or 0.0 for row in front], [_value(row, first) or 0.0 for row in front]
    axes.step(across, up, where="post" if sign(second) < 0 else "pre", color=PALETTE["ink"], linewidth=1.4, alpha=0.7)
    for row in rows:
        (point,) = axes.plot(
            _value(row, second) or 0.0,
            _value(row, first) or 0.0,
            marker=mark(row.method),
            markersize=9 if row.on_front else 6,
            color=colour(row.method),
            markeredgecolor=PALETTE["surface"],
            alpha=1 if row.on_front else 0.45,
            zorder=4 if row.on_front else 3,
        )
        values = (f"{named(name)} {score(_value(row, name), name)}" for name in comparison.objectives)
        tooltip(point, "\n".join([_label(row), *values]))
    axes.set_xlabel(named(second))
    axes.set_ylabel(named(first))
    axes.margins(x=0.06, y=0.12)
    legend(figure, method_handles(row.method for row in rows), layout)
    return figure


def pareto_table(comparison: Comparison) -> Table:
    """Every trial with both objectives; those of the front are marked."""
    lines = []
    for row in measured(comparison):
        scores = [score(_value(row, name), name) for name in comparison.objectives]
        lines.append(Line((_label(row), *scores), "front" if row.on_front else ""))
    columns = [Column("trial", False), *(Column(named(name)) for name in comparison.objectives)]
    return table("Trials by both objectives", columns, lines)


def _label(row: Row) -> str:
    return f"{row.method} ({row.setting}) seed {row.seed}"


def _value(row: Row, name: str) -> float | None:
    return row.measured.get(name, getattr(row, name, None))
