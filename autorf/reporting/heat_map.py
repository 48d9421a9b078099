"""Sizes against the manual grid, with the line of the one ratio that fits the best of every size."""

from typing import TYPE_CHECKING

import numpy as np

from autorf.comparison import FieldMap
from autorf.reporting.blocks import Column, Line, Table, table
from autorf.reporting.svg import tooltip
from autorf.reporting.theme import PALETTE, WIDE, Layout, drawing, new_figure
from autorf.reporting.words import fixed, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RATIOS = {"objects": "field / object size", "images": "rnorm"}
_SIZES = {"objects": "object size in pixels", "images": "image side in pixels"}


@drawing
def heat_map_figure(found: FieldMap, layout: Layout = WIDE) -> "Figure":
    """A cell for each size and manual configuration, the best of a size framed, the fitted ratio as a line."""
    figure, ((axes,),) = new_figure(layout, height=110 + 44 * len(found.sizes))
    axes.grid(visible=False)
    known = [value for row in found.scores for value in row if value is not None]
    for row, values in enumerate(found.scores):
        for column, value in enumerate(values):
            if value is not None:
                _draw_cell(axes, found, row, column, (value - min(known)) / max(max(known) - min(known), 1e-9), layout)
    _draw_line(axes, found)
    axes.set_xlim(-0.5, len(found.fields) - 0.5)
    axes.set_ylim(-0.5, len(found.sizes) - 0.5)
    lines = [f"{setting.split()[-1]}\n{field:g}" for setting, field in zip(found.settings, found.fields, strict=True)]
    axes.set_xticks(range(len(found.fields)), lines)
    axes.set_yticks(range(len(found.sizes)), [f"{size:g}" for size in found.sizes])
    axes.set_xlabel("dilation, and below it the receptive field in pixels")
    axes.set_ylabel(_SIZES[found.over])
    axes.spines["bottom"].set_visible(False)
    return figure


def heat_map_table(found: FieldMap) -> Table:
    """A line for each size; the last columns are the best field and its ratio to the size."""
    columns = [_SIZES[found.over].capitalize(), *(f"{setting}, rf {field:g}" for setting, field in _columns(found))]
    lines = [
        Line((f"{size:g}", *map(fixed, values), short(found.fields[best], 1), fixed(found.fields[best] / size, 2)))
        for size, values, best in zip(found.sizes, found.scores, found.best, strict=True)
    ]
    return table("Scores by size", [*map(Column, columns), Column("best rf"), Column(ratio_name(found))], lines)


def ratio_name(found: FieldMap) -> str:
    """What the fitted ratio is called."""
    return _RATIOS[found.over]


def _columns(found: FieldMap) -> list[tuple[str, float]]:
    return list(zip(found.settings, found.fields, strict=True))


def _draw_cell(axes: "Axes", found: FieldMap, row: int, column: int, level: float, layout: Layout) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    value = found.scores[row][column]
    best = found.best[row] == column
    corner, sides = (column - 0.47, row - 0.45), (0.94, 0.9)
    cell = Rectangle(corner, *sides, facecolor=colormaps["cividis"](level), linewidth=0)
    axes.add_patch(cell)
    place = f"size {found.sizes[row]:g} px, {found.settings[column]}, rf {found.fields[column]:g} px"
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


def _draw_line(axes: "Axes", found: FieldMap) -> None:
    """Where ``ratio * size`` lies between the columns; at the border where it lies beyond them."""
    places = np.arange(len(found.fields), dtype=float)
    across = np.interp(found.ratio * np.array(found.sizes), found.fields, places)
    (line,) = axes.plot(across, range(len(found.sizes)), color=PALETTE["inflation"], linewidth=4, alpha=0.85, zorder=5)
    tooltip(line, f"{ratio_name(found)} {found.ratio:.2f}")
