"""The line through the origin that joins the best receptive fields of several sizes: field = ratio * size.

Over image sizes the ratio is the best normalised receptive field. Paper: Wei et al., *Accurate facial image parsing at
real-time speed*, 2019, equation 1 and figure 2.

A winner at either end of its grid is a bound and no measurement: a larger or smaller field may do better still. Such
sizes take no part in the fit; what is fitted is held against them all the same. The interval counts two errors: how far
the winners lie from the line, with Student's few degrees of freedom, and that a grid tells a field to half a step only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autorf.statistics import LEVEL, half_widths

Over = Literal["objects", "images"]
End = Literal["smallest", "largest"]

RATIOS = {"objects": "field / object size", "images": "rnorm"}
"""What the ratio is called, by what the sizes are of."""

_MANY = 1_000_000
"""Degrees of freedom of the grid's own error, whose size is known."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SizeWinner:
    """The winning field of one size.

    Attributes:
        size: side in pixels: of the objects, or the shorter one of the images.
        field: side of the winning receptive field in pixels of the image.
        rnorm: ``field / size``.
        setting: of the configuration, in a few words.
        end: the end of the size's grid at which the field lies; None inside it.
        step: distance in pixels to the next field of the grid, in the direction of the line where there is one.
        off: how many such steps the line is away, 0 at an end that the line lies beyond; None without a line.
    """

    size: float
    field: float
    rnorm: float
    setting: str
    end: End | None = None
    step: float = 0.0
    off: float | None = None


@dataclass(frozen=True)
class FieldLine:
    """One ratio of field to size for all sizes.

    Attributes:
        over: what the sizes are of.
        winner: what the fields are that it joins: ``best``, or ``smallest sufficient`` where every size has one.
        winners: of every size, small ones first.
        ratio: of field to size, by least squares through the origin over the winners inside their grids; None for
            fewer than two.
        low, high: its 95 % interval; None without a ratio.
        fits: whether every winner is within one step of its grid from the line; None without a line.
        text: what fits, how well, and for which sizes the grid ends too early.
    """

    over: Over
    winner: str
    winners: tuple[SizeWinner, ...]
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    fits: bool | None = None
    text: str = ""

    @property
    def name(self) -> str:
        """What the ratio is called."""
        return RATIOS[self.over]

    @property
    def at_the_end(self) -> tuple[SizeWinner, ...]:
        """The winners at an end of their grids."""
        return tuple(winner for winner in self.winners if winner.end is not None)


@dataclass(frozen=True)
class SizeGrid:
    """The fields that were tried at one size, ascending, and which one won."""

    size: float
    fields: tuple[float, ...]
    settings: tuple[str, ...]
    winner: int


def field_line(over: Over, grids: Sequence[SizeGrid], winner: str = "best") -> FieldLine:
    """Fit the line.

    Args:
        over: what the sizes are of.
        grids: one a size.
        winner: what the winners are, in words.

    Example:
        >>> fields, names = (19, 27, 35, 43, 59), ("1", "2", "3", "4", "6")
        >>> line = field_line("images", [SizeGrid(64, fields, names, 1), SizeGrid(96, fields, names, 3)])
        >>> round(line.ratio, 2), line.fits
        (0.44, True)
    """
    ordered = sorted(grids, key=lambda grid: grid.size)
    winners = tuple(map(_winner, ordered))
    inside = [grid for grid, measured in zip(ordered, winners, strict=True) if measured.end is None]
    line = FieldLine(over, winner, winners)
    if len({grid.size for grid in inside}) > 1:
        line = _fitted(line, ordered, inside)
    return replace(line, text=" ".join(_sentences(line)))


def _winner(grid: SizeGrid) -> SizeWinner:
    field = grid.fields[grid.winner]
    end: End | None = None
    if field == max(grid.fields):
        end = "largest"
    elif field == min(grid.fields):
        end = "smallest"
    return SizeWinner(grid.size, field, field / grid.size, grid.settings[grid.winner], end)


def _fitted(line: FieldLine, grids: Sequence[SizeGrid], inside: Sequence[SizeGrid]) -> FieldLine:
    sizes = np.array([grid.size for grid in inside])
    fields = np.array([grid.fields[grid.winner] for grid in inside])
    weight = float((sizes**2).sum())
    ratio = float((sizes * fields).sum()) / weight
    residual = float(((fields - ratio * sizes) ** 2).sum()) / (len(inside) - 1) / weight
    # A field of the grid stands for all that are nearer to it than to its neighbours: evenly spread over that width.
    widths = np.array([(_next(grid, up=True) + _next(grid, up=False)) / 2 for grid in inside])
    grid_error = float(((sizes * widths) ** 2).sum()) / 12 / weight**2
    half = float(half_widths(residual, grid_error, len(inside) - 1, _MANY, (1 - LEVEL) / 2))
    winners = tuple(_placed(winner, grid, ratio) for winner, grid in zip(line.winners, grids, strict=True))
    fits = all(winner.off is not None and winner.off <= 1 for winner in winners)
    return replace(line, winners=winners, ratio=ratio, low=max(ratio - half, 0.0), high=ratio + half, fits=fits)


def _next(grid: SizeGrid, *, up: bool) -> float:
    """Distance to the next larger or smaller field; 0 where the grid ends."""
    field = grid.fields[grid.winner]
    others = [other - field for other in grid.fields if (other > field if up else other < field)]
    return min(map(abs, others), default=0.0)


def _placed(winner: SizeWinner, grid: SizeGrid, ratio: float) -> SizeWinner:
    away = ratio * winner.size - winner.field
    beyond = (winner.end == "largest" and away > 0) or (winner.end == "smallest" and away < 0)
    step = _next(grid, up=away > 0) or _next(grid, up=away <= 0)
    off = 0.0 if beyond or away == 0 else abs(away) / step if step else float("inf")
    return replace(winner, step=step, off=off)


def _sentences(line: FieldLine) -> list[str]:
    sentences = []
    if line.ratio is None or line.low is None or line.high is None:
        needed = "two sizes need their winner inside the grid"
        sentences.append(f"No {line.name} fits yet: {_listed(line)}; {needed}.")
    else:
        interval = f"95 % interval {line.low:.2f} to {line.high:.2f}"
        sentences.append(
            f"Fitted {line.name} of {len(line.winners)} sizes: {line.ratio:.2f} ({interval}), through the "
            f"{line.winner} fields ({_listed(line)}). {_fit(line)}"
        )
    sentences += [_caution(line, end) for end in ("largest", "smallest") if _at(line, end)]
    return sentences


def _listed(line: FieldLine) -> str:
    return ", ".join(f"{winner.size:g} px: {_pixels(winner.field)}" for winner in line.winners)


def _pixels(side: float) -> str:
    return f"{round(side, 1):g}"


def _fit(line: FieldLine) -> str:
    if line.fits:
        return "The fit is close: every size's field is within one step of its grid from the line."
    far = [winner for winner in line.winners if winner.off is not None and winner.off > 1]
    names = ", ".join(f"{winner.size:g} px by {winner.off:.1f} steps" for winner in far)
    return f"The fit is poor: the line misses {names} of the grid, so one {line.name} does not hold for all."


def _at(line: FieldLine, end: End) -> list[SizeWinner]:
    return [winner for winner in line.winners if winner.end == end]


def _caution(line: FieldLine, end: End) -> str:
    winners = _at(line, end)
    sizes = ", ".join(f"{winner.size:g}" for winner in winners)
    fields = ", ".join(dict.fromkeys(_pixels(winner.field) for winner in winners))
    if end == "largest":
        more = "a larger one may be better still: add larger dilations"
    else:
        more = "a smaller one may do as well: add smaller fields, or model.upsample where dilation 1 sees too much"
    left_out = "" if line.ratio is None else ", and is left out of the fit"
    return f"Caution: at {sizes} px the {line.winner} field ({fields} px) is the {end} of the grid{left_out}; {more}."
