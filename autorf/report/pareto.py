"""Two objectives against each other, and the trials that no other beats in both."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from autorf.methods import MANUAL
from autorf.report.blocks import Column, Line, Table, table
from autorf.report.svg import tooltip
from autorf.report.theme import PALETTE, WIDE, Layout, colour, drawing, legend, mark, method_handles, new_figure
from autorf.report.words import METRIC_NAMES, number
from autorf.study.objectives import sign
from autorf.study.pareto import pareto_front
from autorf.study.store import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS = {"parameters": "parameters", "flops": "FLOPs", "latency_ms": "latency in ms", "peak_memory_mb": "memory in MB"}


def measured(records: Iterable[Record], objectives: Sequence[str]) -> list[Record]:
    """The complete trials that have every objective."""
    return [
        record
        for record in records
        if record.state == "complete" and all(record.result.get(name) is not None for name in objectives)
    ]


def front(records: Sequence[Record], objectives: Sequence[str]) -> list[Record]:
    """Those of ``records`` that no other beats in every objective, along the second one."""
    results = [{**record.result, "row": record.row} for record in records]
    rows = {result["row"] for result in pareto_front(results, objectives)}
    kept = [record for record in records if record.row in rows]
    return sorted(kept, key=lambda record: float(record.result[objectives[1]]))


@drawing
def pareto_figure(records: Sequence[Record], objectives: Sequence[str], layout: Layout = WIDE) -> "Figure":
    """The first objective against the second, the front joined by steps.

    Args:
        records: of :func:`measured`.
        objectives: two names.
        layout: the size to draw in.
    """
    figure, ((axes,),) = new_figure(layout)
    best = front(records, objectives)
    shape = "post" if sign(objectives[1]) < 0 else "pre"
    values = [[float(record.result[name]) for record in best] for name in reversed(objectives)]
    axes.step(*values, where=shape, color=PALETTE["ink"], linewidth=1.4, alpha=0.7)
    for record in records:
        method, on_front = str(record.configuration["method"]), record in best
        (point,) = axes.plot(
            float(record.result[objectives[1]]),
            float(record.result[objectives[0]]),
            marker=mark(method),
            markersize=9 if on_front else 6,
            color=colour(method),
            markeredgecolor=PALETTE["surface"],
            alpha=1 if on_front else 0.45,
            zorder=4 if on_front else 3,
        )
        tooltip(point, "\n".join([record.label, *(f"{name} {number(record.result[name])}" for name in objectives)]))
    axes.set_xlabel(_title(objectives[1]))
    axes.set_ylabel(_title(objectives[0]))
    axes.margins(x=0.06, y=0.12)
    legend(figure, method_handles((str(record.configuration["method"]) for record in records), MANUAL), layout)
    return figure


def pareto_table(records: Sequence[Record], objectives: Sequence[str]) -> Table:
    """Every trial with both objectives; those of the front are marked."""
    best = front(records, objectives)
    columns = [Column("trial", False), *(Column(_title(name)) for name in objectives)]
    ordered = sorted(records, key=lambda record: float(record.result[objectives[1]]))
    lines = [
        Line(
            (record.label, *(number(record.result[name], 4) for name in objectives)), "front" if record in best else ""
        )
        for record in ordered
    ]
    return table("Trials by both objectives", columns, lines)


def _title(objective: str) -> str:
    return METRIC_NAMES.get(objective) or UNITS.get(objective, objective)
