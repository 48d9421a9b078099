"""What the best so far cost: regret against training time, and the bill of both ways."""

from typing import TYPE_CHECKING, Literal

from autorf.comparison import Comparison, Curve
from autorf.reporting.blocks import Column, Table, table
from autorf.reporting.svg import tooltip
from autorf.reporting.theme import PALETTE, WIDE, Layout, drawing, legend, new_figure
from autorf.reporting.words import NONE, device_time, named, percent, score

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Shows = Literal["regret", "score"]

_COLOURS = {"manual": "manual", "learned": "inflation", "all": "ink"}
_UNITS = ((7200.0, 3600.0, "hours"), (240.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))


@drawing
def cost_figure(comparison: Comparison, shows: Shows = "regret", layout: Layout = WIDE) -> "Figure":
    """How good the best configuration so far was, against the training time spent until then.

    Args:
        comparison: of a study with at least one complete trial.
        shows: ``regret``, how far below the best of all, or the ``score`` itself.
        layout: the size to draw in.

    Returns:
        A matplotlib figure: a step line for each way as it was run, dashed the manual grid in random order.
    """
    figure, ((axes,),) = new_figure(layout)
    unit, divisor = _unit(comparison)
    handles = []
    for curve in comparison.curves:
        places = [point["seconds"] / divisor for point in curve.points]
        values = [point[shows] for point in curve.points]
        (line,) = axes.step(
            places,
            values,
            where="post",
            color=PALETTE[_COLOURS[curve.way]],
            linewidth=1.4 if curve.way == "all" else 2,
            linestyle=(0, (4, 3)) if curve.order == "random" else "-",
            marker="o" if len(places) < 40 else "",
            markersize=4,
            alpha=0.6 if curve.order == "random" else 1.0,
            label=_label(curve),
        )
        spent = device_time(curve.points[-1]["seconds"], comparison.unit)
        tooltip(line, f"{_label(curve)}: {score(values[-1], comparison.metric)} after {spent}")
        handles.append(line)
    axes.set_xlabel(f"{comparison.unit.removesuffix('seconds')}{unit} of training")
    name = named(comparison.metric)
    axes.set_ylabel(f"{name} below the best of all" if shows == "regret" else f"{name} of the best so far")
    axes.set_xlim(left=0)
    legend(figure, handles, layout)
    return figure


def curve_table(comparison: Comparison) -> Table:
    """Every point of the cost curves."""
    lines = [
        (
            _label(curve),
            device_time(point["seconds"], comparison.unit),
            score(point["score"], comparison.metric),
            score(point["regret"], comparison.metric),
        )
        for curve in comparison.curves
        for point in curve.points
    ]
    columns: list[Column | str] = [Column("curve", False), "training", f"best {named(comparison.metric)}", "regret"]
    return table("Best so far by training time", columns, lines)


def cost_table(comparison: Comparison) -> Table:
    """What each way has cost in all, failed, pruned and repeated trials included."""
    unit = comparison.costs[0].unit
    lines = [
        (
            cost.way,
            str(cost.trials),
            f"{cost.complete} / {cost.pruned} / {cost.failed}",
            f"{cost.seconds:,.0f}",
            f"{cost.failed_seconds + cost.pruned_seconds:,.0f}",
            f"{cost.retrain_seconds:,.0f}",
            NONE if cost.ratio is None else percent(cost.ratio),
        )
        for cost in comparison.costs
    ]
    columns: list[Column | str] = [
        Column("way", False), "trials", "complete / pruned / failed", f"{unit} in all", "of these failed or pruned",
        "retraining besides", "to the full grid",
    ]  # fmt: skip
    return table("What each way has cost", columns, lines)


def _label(curve: Curve) -> str:
    return {"all": "both together"}.get(curve.way, curve.way) + (
        "" if curve.order == "as run" else f", {curve.order} order"
    )


def _unit(comparison: Comparison) -> tuple[str, float]:
    longest = max(point["seconds"] for curve in comparison.curves for point in curve.points)
    return next((name, divisor) for least, divisor, name in _UNITS if longest >= least)
