"""The figure of an effective receptive field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autorf.errors import InputError
from autorf.fields.effective import EffectiveField
from autorf.ops._arguments import kind_of, positive_number

_COLUMNS = 3
_PANEL, _LONE_PANEL, _GAP = 300, 640, 70
"""On the screen: a map's longer side among others and alone, and the gap between maps, in pixels."""
_AROUND = {"l": 50, "r": 130, "t": 100, "b": 70}
_MARGIN = 1.5
"""The part of the image that is shown, over the field."""
_LEAST = 1e-6
_SQUARES = ((0.5, "half of the gradient", "#e66100", "solid"), (0.99, "99 % of the gradient", "#c2185b", "dash"))


def figure(
    field: EffectiveField,
    names: Sequence[str] | None = None,
    *,
    title: str | None = None,
    rf: tuple[float, float] | None = None,
) -> Any:
    """A plotly figure: a map of the gradient for all classes and one for each in ``per_class``, titled by ``names``.

    Colours are the gradient's logarithm; squares around the centre hold half and 99 % of it.

    Args:
        field: what :func:`effective_receptive_field` found.
        names: of the classes in ``per_class``.
        title: of the whole figure.
        rf: ``(height, width)`` of the theoretical receptive field in input pixels, drawn too where it fits the image.

    Raises:
        InputError: for a number of names other than that of the classes.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from autorf.fields import effective_receptive_field, figure
        >>> field = effective_receptive_field(nn.Conv2d(3, 3, 5, padding=2), torch.rand(1, 3, 32, 32))
        >>> figure(field, rf=(5, 5)).layout.title.text is not None
        True
    """
    from plotly.subplots import make_subplots

    if not isinstance(field, EffectiveField):
        raise InputError(f"figure takes what effective_receptive_field gives, got {kind_of(field)}")
    if names is not None and (isinstance(names, str) or not isinstance(names, Sequence)):
        raise InputError(f"figure: names must be a list of the classes' names, got {kind_of(names)}")
    if rf is not None:
        if not isinstance(rf, Sequence) or len(rf) != 2:
            raise InputError(f"figure: rf must be (height, width) in pixels, got {kind_of(rf)}")
        rf = (positive_number("figure", "rf", rf[0]), positive_number("figure", "rf", rf[1]))
    fields = (field, *field.per_class)
    titles = ["all classes", *(names if names is not None else map("class {}".format, range(len(fields) - 1)))]
    if len(titles) != len(fields):
        raise InputError(f"names: {len(titles) - 1} given for {len(fields) - 1} classes")
    grid = _Grid.of(fields, rf)
    captions = [_caption(name, shown) for name, shown in zip(titles, fields, strict=True)]
    plot = make_subplots(rows=grid.rows, cols=grid.columns, subplot_titles=captions, **grid.spacing())
    floor = _floor(fields)
    for i, shown in enumerate(fields):
        at = {"row": i // grid.columns + 1, "col": i % grid.columns + 1}
        plot.add_trace(_map(shown, floor, first=i == 0), **at)
        for line in _outlines(shown, rf):
            plot.add_trace(line.update(showlegend=i == 0), **at)
        _fit_axes(plot, grid, at)
    heading = title or "Effective receptive field of the central output"
    return plot.update_layout(title={"text": heading, "x": 0.02, "xanchor": "left"}, **grid.layout())


@dataclass(frozen=True)
class _Grid:
    """How many maps stand beside and below each other, what part of the image they show, how large on the screen."""

    rows: int
    columns: int
    shown: tuple[tuple[float, float], tuple[float, float]]
    scale: float

    @classmethod
    def of(cls, fields: Sequence[EffectiveField], rf: tuple[float, float] | None) -> _Grid:
        columns = min(_COLUMNS, len(fields))
        shape, widest = fields[0].map.shape, max(field.sides[0.99] for field in fields)
        # A field that is a speck in its image is shown enlarged.
        reach = [_MARGIN * max([widest, *([size] if rf and size <= whole else [])]) / 2
                 for whole, size in zip(shape, rf or shape, strict=True)]  # fmt: skip
        rows, across = ((max(-0.5, whole // 2 - r), min(whole - 0.5, whole // 2 + r))
                        for whole, r in zip(shape, reach, strict=True))  # fmt: skip
        longer = max(rows[1] - rows[0], across[1] - across[0])
        scale = (_LONE_PANEL if columns == 1 else _PANEL) / longer
        return cls(math.ceil(len(fields) / columns), columns, (rows, across), scale)

    @property
    def panel(self) -> tuple[float, float]:
        """Height and width of one map in pixels of the screen."""
        (top, bottom), (left, right) = self.shown
        return (bottom - top) * self.scale, (right - left) * self.scale

    @property
    def area(self) -> tuple[float, float]:
        """Height and width of all maps with the gaps between them."""
        height, width = self.panel
        return self.rows * height + (self.rows - 1) * _GAP, self.columns * width + (self.columns - 1) * _GAP

    def spacing(self) -> dict[str, float]:
        return {"vertical_spacing": _GAP / self.area[0], "horizontal_spacing": _GAP / self.area[1]}

    def layout(self) -> dict[str, Any]:
        return {
            "template": "plotly_white",
            "height": round(self.area[0]) + _AROUND["t"] + _AROUND["b"],
            "width": round(self.area[1]) + _AROUND["l"] + _AROUND["r"],
            "margin": _AROUND,
            "legend": {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        }


def _caption(name: str, field: EffectiveField) -> str:
    return f"{name}: half in {field.sides[0.5]} px, 99 % in {field.sides[0.99]} px"


def _floor(fields: Sequence[EffectiveField]) -> int:
    """The decade at which colours end: all but the faintest hundredth of the pixels lie above it."""
    faintest = min(float(np.quantile(field.map[field.map > 0] / field.map.max(), 0.01)) for field in fields)
    return math.floor(math.log10(max(faintest, _LEAST)))


def _map(field: EffectiveField, floor: int, *, first: bool) -> Any:
    from plotly.graph_objects import Heatmap

    decades = np.log10(np.maximum(field.map / field.map.max(), 10.0**floor)).astype(np.float32)
    ticks = list(range(floor, 1))
    bar = {"title": {"text": "gradient,<br>of the largest"}, "tickvals": ticks, "ticktext": [_power(t) for t in ticks]}
    return Heatmap(
        z=decades, zmin=floor, zmax=0, colorscale="Blues", showscale=first, colorbar=bar,
        hovertemplate="row %{y}, column %{x}: 10^%{z:.2f} of the largest<extra></extra>",
    )  # fmt: skip


def _power(exponent: int) -> str:
    return "1" if exponent == 0 else f"10<sup>{exponent}</sup>"


def _outlines(field: EffectiveField, rf: tuple[float, float] | None) -> list[Any]:
    """The squares of the effective field and the rectangle of the theoretical one, as far as the image shows them."""
    outlines: list[tuple[tuple[float, float], str, str, str]] = [
        ((field.sides[energy], field.sides[energy]), name, color, dash) for energy, name, color, dash in _SQUARES
    ]
    if rf is not None:
        outlines.append((rf, "receptive field", "#222222", "dot"))
    height, width = field.map.shape
    return [_outline(field, *each) for each in outlines if each[0][0] <= height or each[0][1] <= width]


def _outline(field: EffectiveField, size: tuple[float, float], name: str, color: str, dash: str) -> Any:
    from plotly.graph_objects import Scatter

    height, width = size

    row, column = (length // 2 for length in field.map.shape)
    top, bottom, left, right = row - height / 2, row + height / 2, column - width / 2, column + width / 2
    return Scatter(
        x=[left, right, right, left, left], y=[top, top, bottom, bottom, top], mode="lines", name=name,
        legendgroup=name, hoverinfo="skip", line={"color": color, "width": 2, "dash": dash},
    )  # fmt: skip


def _fit_axes(plot: Any, grid: _Grid, at: dict[str, int]) -> None:
    """Show a part of the image and nothing around it, rows downwards, pixels square."""
    (top, bottom), across = grid.shown
    plain = {"constrain": "domain", "showgrid": False, "zeroline": False, "ticks": "outside"}
    plot.update_xaxes(range=list(across), **plain, **at)
    anchor = next(plot.select_xaxes(**at)).plotly_name.removeprefix("xaxis")
    plot.update_yaxes(range=[bottom, top], scaleanchor=f"x{anchor}", **plain, **at)
