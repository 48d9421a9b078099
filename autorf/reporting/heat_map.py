"""Sizes against the manual grid, with the line of the one ratio that fits the best of every size."""

from typing import TYPE_CHECKING

import numpy as np

from autorf.comparison import FieldMap
from autorf.reporting.blocks import Line, Table, table
from autorf.reporting.svg import tooltip
from autorf.reporting.theme import PALETTE, WIDE, Layout, drawing, new_figure
from autorf.reporting.words import fixed, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZES = {"objects": "object size in pixels", "images": "image side in pixels"}


@drawing
def heat_map_figure(field_map: FieldMap, layout: Layout = WIDE) -> "Figure":
    """A cell for each size and manual configuration, the best of a size framed, the fitted ratio, if any, as a line."""
    figure, ((axes,),) = new_figure(layout, height=110 + 44 * len(field_map.sizes))
    axes.grid(visible=False)
    scores = [value for row in field_map.scores for value in row if value is not None]
    lowest, spread = min(scores), max(max(scores) - min(scores), 1e-9)
    for row, values in enumerate(field_map.scores):
        for column, value in enumerate(values):
            if value is not None:
                _draw_cell(axes, field_map, row, column, (value - lowest) / spread, layout)
    _draw_line(axes, field_map)
    axes.set_xlim(-0.5, len(field_map.fields) - 0.5)
    axes.set_ylim(-0.5, len(field_map.sizes) - 0.5)
    lines = [f"{setting.split()[-1]}\n{field:g}" for setting, field in _columns(field_map)]
    axes.set_xticks(range(len(field_map.fields)), lines)
    axes.set_yticks(range(len(field_map.sizes)), [f"{size:g}" for size in field_map.sizes])
    axes.set_xlabel("dilation, and below it the receptive field in pixels")
    axes.set_ylabel(_SIZES[field_map.over])
    axes.spines["bottom"].set_visible(False)
    return figure


def heat_map_table(field_map: FieldMap) -> Table:
    """A line for each size; the last columns are the best field and its ratio to the size."""
    settings = [f"{setting}, rf {field:g}" for setting, field in _columns(field_map)]
    columns = [_SIZES[field_map.over].capitalize(), *settings, "best rf", ratio_name(field_map)]
    lines = []
    for size, values, at in zip(field_map.sizes, field_map.scores, field_map.best, strict=True):
        best = field_map.fields[at]
        lines.append(Line((f"{size:g}", *map(fixed, values), short(best, 1), fixed(best / size, 2))))
    return table("Scores by size", columns, lines)


def ratio_name(field_map: FieldMap) -> str:
    """What the fitted ratio is called."""
    return field_map.line.name


def _columns(field_map: FieldMap) -> list[tuple[str, float]]:
    return list(zip(field_map.settings, field_map.fields, strict=True))


def _draw_cell(axes: "Axes", field_map: FieldMap, row: int, column: int, level: float, layout: Layout) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    value = field_map.scores[row][column]
    best = field_map.best[row] == column
    corner, sides = (column - 0.47, row - 0.45), (0.94, 0.9)
    cell = Rectangle(corner, *sides, facecolor=colormaps["cividis"](level), linewidth=0)
    axes.add_patch(cell)
    place = f"size {field_map.sizes[row]:g} px, {field_map.settings[column]}, rf {field_map.fields[column]:g} px"
    tooltip(cell, f"{place}: {value:.3f}")
    axes.text(
        column,
        row,
        f"{value:.2f}".lstrip("0") if layout.narrow else f"{value:.3f}",
        ha="center",
        va="center",
        color="white" if level < 0.55 else "black",
        fontweight="bold" if best else "normal",
        zorder=6,
    )
    if best:
        axes.add_patch(Rectangle(corner, *sides, fill=False, edgecolor=PALETTE["ink"], linewidth=2.5, zorder=4))


def _draw_line(axes: "Axes", field_map: FieldMap) -> None:
    """Where ``ratio * size``, if any, lies between the columns; at the border where it lies beyond them."""
    if field_map.ratio is None:
        return
    places = np.arange(len(field_map.fields), dtype=float)
    across = np.interp(field_map.ratio * np.array(field_map.sizes), field_map.fields, places)
    rows = range(len(field_map.sizes))
    (line,) = axes.plot(across, rows, color=PALETTE["inflation"], linewidth=4, alpha=0.85, zorder=5)
    tooltip(line, f"{ratio_name(field_map)} {field_map.ratio:.2f}")
