"""What each network of a distillation scores against how many images it segments a second."""

from typing import TYPE_CHECKING

from autorf.distillation.stage import Stage
from autorf.distillation.table import LABELS, Row, Table
from autorf.reporting.blocks import Chart, Column, table, view
from autorf.reporting.svg import tooltip
from autorf.reporting.theme import PALETTE, WIDE, Layout, drawing, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKS: dict[Stage, str] = {"teacher": "s", "alone": "o", "supervised": "^", "unsupervised": "D"}


def speed_chart(distilled: Table) -> Chart:
    """The figure, and its data as a table."""
    lines = [
        (LABELS[row.stage], f"{row.cost.frames_per_second:.4g}", f"{row.metrics['f1']['mean']:.3f}")
        for row in distilled.rows
    ]
    words = "; ".join(f"{name}: F1 {f1} at {speed} images a second" for name, speed, f1 in lines)
    caption = "Mean F1 against images a second, one after the other, on a scale of ratios; bars are 95 % intervals."
    data = table("F1 and images a second", (Column("network", False), "images/s", "F1"), lines)
    return Chart("speed", caption, (view("", words, speed_figure, distilled),), data)


@drawing
def speed_figure(distilled: Table, layout: Layout = WIDE) -> "Figure":
    """A point for each network, with its interval; those of one speed stand one above the other.

    Args:
        distilled: of a distillation.
        layout: of the figure.
    """
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    figure, ((axes,),) = new_figure(layout)
    for row in distilled.rows:
        speed, f1 = row.cost.frames_per_second, row.metrics["f1"]
        tone = PALETTE["inflation" if row.stage == "teacher" else "manual"]
        if f1["ci95"] is not None:
            axes.plot([speed, speed], [f1["mean"] - f1["ci95"], f1["mean"] + f1["ci95"]], color=tone, alpha=0.35)
        (point,) = axes.plot(speed, f1["mean"], marker=_MARKS[row.stage], markersize=9, color=tone, linestyle="")
        tooltip(point, f"{LABELS[row.stage]}: F1 {f1['mean']:.3f}, {speed:.4g} images a second")
        axes.annotate(LABELS[row.stage], (speed, f1["mean"]), xytext=(9, _shift(row)), textcoords="offset points")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(sorted({round(row.cost.frames_per_second) for row in distilled.rows}))
    axes.set_xlabel("images a second")
    axes.set_ylabel("F1")
    axes.margins(x=0.35, y=0.15)
    return figure


def _shift(row: Row) -> int:
    """Points upwards, so that the labels of networks of one speed do not lie on each other."""
    return {"teacher": -4, "alone": -14, "supervised": -4, "unsupervised": 6}[row.stage]
