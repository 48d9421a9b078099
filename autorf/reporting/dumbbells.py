"""Best manual against best learned, a line for each class or object size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autorf.comparison import ClassRow, GroupRow, SizeRow
from autorf.reporting.blocks import Column, Table, table
from autorf.reporting.report_data import BEST
from autorf.reporting.svg import tooltip
from autorf.reporting.theme import PALETTE, WIDE, Layout, colour, drawing, legend, mark, method_handle, new_figure
from autorf.reporting.words import NONE, difference, fixed, size_limits

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Dumbbell:
    """One line: values by the configuration's name, such as ``best manual``; ``facts`` are titles and values."""

    label: str
    values: dict[str, float | None]
    difference: float | None
    half_width: float | None
    facts: tuple[tuple[str, str], ...] = ()


def of_classes(rows: Sequence[ClassRow]) -> list[Dumbbell]:
    """The IoU of every class, or its accuracy."""
    return [Dumbbell(row.name, row.compared, row.difference, row.difference_ci95) for row in rows]


def of_groups(rows: Sequence[GroupRow]) -> list[Dumbbell]:
    """The F1 of every label group."""
    return [Dumbbell(row.name, row.f1, row.difference, row.difference_ci95) for row in rows]


def of_sizes(rows: Sequence[SizeRow]) -> list[Dumbbell]:
    """The share of right pixels of every object size."""
    return [
        Dumbbell(
            size_limits(row.low, row.high),
            row.share,
            row.difference,
            row.difference_ci95,
            (("objects", f"{row.objects:,}"),),
        )
        for row in rows
    ]


@drawing
def dumbbell_figure(lines: Sequence[Dumbbell], methods: dict[str, str], axis: str, layout: Layout = WIDE) -> "Figure":
    """A dot for each way on every line, joined where both are known.

    Args:
        lines: drawn from top to bottom.
        methods: of the best configurations, by name.
        axis: what the values are.
        layout: the size to draw in.
    """
    figure, ((axes,),) = new_figure(layout, height=80 + (40 if any(line.facts for line in lines) else 28) * len(lines))
    axes.grid(visible=False)
    axes.grid(axis="x", color=PALETTE["grid"])
    for at, line in enumerate(reversed(lines)):
        values = {name: value for name in methods if (value := line.values.get(name)) is not None}
        if len(values) > 1:
            axes.plot(
                [min(values.values()), max(values.values())], [at, at], color=PALETTE["muted"], linewidth=2, alpha=0.5
            )
        for name, value in values.items():
            (dot,) = axes.plot(
                value, at, marker=mark(methods[name]), markersize=9, color=colour(methods[name]),
                markeredgecolor=PALETTE["surface"], linewidth=0, zorder=4,
            )  # fmt: skip
            tooltip(dot, f"{line.label}, {name}: {value:.3f}")
    limit = 18 if layout.narrow else 40
    labels = [_label(line, limit) for line in reversed(lines)]
    axes.set_yticks(range(len(lines)), labels, parse_math=False)
    axes.tick_params(axis="y", labelcolor=PALETTE["ink"])
    axes.set_ylim(-0.6, len(lines) - 0.4)
    axes.set_xlabel(axis)
    axes.margins(x=0.04)
    legend(figure, [method_handle(method, name) for name, method in methods.items()], layout)
    return figure


def _label(line: Dumbbell, limit: int) -> str:
    """The line's name, and under it what it stands on: a single object says less than a thousand."""
    name = line.label if len(line.label) <= limit else f"{line.label[: limit - 3]}..."
    return "\n".join([name, *(f"{value} {title}" for title, value in line.facts)])


def dumbbell_table(caption: str, first: str, lines: Sequence[Dumbbell]) -> Table:
    """A line each, with every named configuration and the difference of the two best."""
    names = list(dict.fromkeys(name for line in lines for name in line.values))
    compared = set(BEST) <= set(names)
    columns = [Column(first, False), *map(Column, (*(title for title, _ in lines[0].facts), *names))]
    columns += [Column("learned - manual"), Column("95 % interval")] if compared else []
    return table(caption, columns, [_cells(line, names, compared) for line in lines])


def _cells(line: Dumbbell, names: Sequence[str], compared: bool) -> tuple[str, ...]:
    facts = [value for _, value in line.facts]
    values = [fixed(line.values.get(name)) for name in names]
    return line.label, *facts, *values, *((difference(line.difference, "miou"), _interval(line)) if compared else ())


def _interval(line: Dumbbell) -> str:
    return NONE if line.half_width is None else f"± {line.half_width:.3f}"
