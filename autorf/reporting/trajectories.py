"""What the learning methods did while they trained: f, dilation or mean scale, and the receptive field with it."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autorf.methods import Quantity, is_manual, method_class
from autorf.reporting.search_window import draw_window
from autorf.reporting.theme import PALETTE, WIDE, Layout, colour, drawing, new_figure
from autorf.store.store import Record
from autorf.store.time_axis import TimeAxis
from autorf.store.traces import parts, stepped
from autorf.study.trial import fold_words
from autorf.training.results import EpochReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 12

_AXES = 90
"""Pixels of a panel beside its title: labels and numbers of both axes."""

_LINE = 18
"""Pixels of a line of a title."""


@dataclass(frozen=True)
class Trajectory:
    """One learning configuration's reports, over its seeds; ``shown`` is what its method learns."""

    method: str
    setting: str
    shown: Quantity
    records: tuple[Record, ...]

    @property
    def quantity(self) -> str:
        """The name of the value in each report."""
        return self.shown.name

    @property
    def label(self) -> str:
        """The configuration in a few words."""
        return f"{self.method} ({self.setting})"


def trajectories(records: Iterable[Record]) -> list[Trajectory]:
    """The learning configurations whose reports have a learned value, each with its seeds."""
    together: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if not is_manual(record.method) and _reports(record):
            together.setdefault((record.method, record.setting), []).append(record)
    return [
        Trajectory(method, setting, method_class(method).quantity, tuple(members))
        for (method, setting), members in together.items()
    ]


def shared_time(shown: Iterable[Trajectory]) -> TimeAxis:
    """The axis on which trajectories can be drawn and listed together."""
    return TimeAxis.of(record for trajectory in shown for record in trajectory.records)


@drawing
def trajectory_figure(records: Iterable[Record], layout: Layout = WIDE) -> "Figure":
    """A panel for each learning configuration: the learned value, and dashed on the right the receptive field.

    Args:
        records: trials of a study; manual ones and those that reported nothing are passed over.
        layout: the size to draw in.

    Returns:
        A matplotlib figure; at most :data:`MOST_PANELS` configurations, the first ones, are drawn.
    """
    shown = trajectories(records)[:MOST_PANELS]
    columns = 1 if layout.narrow else min(3, max(1, len(shown)))
    rows = max(1, math.ceil(len(shown) / columns))
    settings = [_wrapped(trajectory.setting, layout, columns) for trajectory in shown]
    lines = max((setting.count("\n") + 1 for setting in settings), default=1)
    figure, axes = new_figure(layout, rows, columns, height=30 + (195 + _LINE * (lines - 1)) * rows)
    time = shared_time(shown)
    fields: list[Axes] = []
    for index, axis in enumerate(axes.flat):
        if index < len(shown):
            last = layout.narrow or index % columns == columns - 1 or index == len(shown) - 1
            fields.append(_draw(axis, shown[index], time, settings[index], label_field=last))
            axis.set_xlabel(time.label if index + columns >= len(shown) else "")
        else:
            axis.set_axis_off()
    _equal_limits(fields)
    for quantity in {trajectory.quantity for trajectory in shown}:
        panels = zip(axes.flat, shown, strict=False)
        _equal_limits([axis for axis, trajectory in panels if trajectory.quantity == quantity])
    return figure


def _wrapped(setting: str, layout: Layout, columns: int) -> str:
    """A setting in lines that fit a panel; the layout would squeeze all panels to nothing for one that does not."""
    # A letter is about .6 of the font's size wide.
    return textwrap.fill(setting, int((layout.width / columns - _AXES) / (0.6 * layout.font_size)))


def _equal_limits(panels: "Sequence[Axes]") -> None:
    """Give every panel the same scale, so that a line's height means the same in all of them."""
    limits = [panel.get_ylim() for panel in panels]
    for panel in panels:
        panel.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _draw(axes: "Axes", trajectory: Trajectory, time: TimeAxis, setting: str, *, label_field: bool) -> "Axes":
    from matplotlib.ticker import MaxNLocator

    from autorf.reporting.svg import tooltip

    field = axes.twinx()
    hue, quantity = colour(trajectory.method), trajectory.quantity
    trace = stepped(trajectory.records[0])
    draw_window(axes, trace, time.along(trace), hue)
    for record in trajectory.records:
        run_label = f"{trajectory.label}, seed {record.seed}{fold_words(record.fold)}"
        ends = [time.at(report) for report in record.history]
        values = [report.learned[quantity] for report in record.history]
        for name in parts(record.history[-1].learned, quantity) or [quantity]:
            times, course = _course(record, name, time)
            mark = "." if len(times) < 4 else ""
            (line,) = axes.plot(times, course, color=hue, linewidth=1.8, marker=mark, alpha=_fade(trajectory))
            tooltip(
                line,
                f"{run_label}: {name} {course[0]:.3g} to {course[-1]:.3g}",
            )
            if name != quantity:
                # Which branch or layer it is.
                axes.annotate(name.rpartition(".")[2], (times[-1], course[-1]), color=hue, fontsize="small")
        _draw_spread(axes, record.history, ends, values, trajectory.shown, hue)
        sides = [report.side for report in record.history]
        (dashes,) = field.plot(ends, sides, color=PALETTE["muted"], linewidth=1.2, linestyle=(0, (4, 3)), alpha=0.8)
        tooltip(dashes, f"{run_label}: rf {sides[0]:g} to {sides[-1]:g} pixels")
    axes.set_title(f"{trajectory.method}\n{setting}", loc="left", color=hue)
    axes.set_ylabel(trajectory.shown.label)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    for axis in (axes, field):
        axis.yaxis.set_major_locator(MaxNLocator(4, min_n_ticks=2))
        axis.margins(y=0.15)
    for spine in ("top", "left", "right"):
        field.spines[spine].set_visible(False)
    field.spines["bottom"].set_visible(False)
    field.tick_params(length=0, labelcolor=PALETTE["muted"])
    field.set_ylabel("rf in pixels, dashed" if label_field else "", color=PALETTE["muted"])
    return field


def _course(record: Record, quantity: str, time: TimeAxis) -> tuple[list[float], list[float]]:
    """When and what: step by step where the trial kept that, else at every report."""
    trace = stepped(record)
    ends = [(float(time.at(report)), report.learned[quantity]) for report in record.history]
    if quantity in trace.values:
        points = [*zip(time.along(trace), trace.values[quantity], strict=True), ends[-1]]
    else:
        start = None if record.trial is None else record.trial.method.initial
        points = [*([(0.0, start)] if start is not None and record.history[0].epoch == 0 else []), *ends]
    return [when for when, _ in points], [value for _, value in points]


def _draw_spread(
    axes: "Axes",
    history: Sequence[EpochReport],
    ends: Sequence[int],
    values: Sequence[float],
    quantity: Quantity,
    hue: str,
) -> None:
    """A band of one standard deviation over pixels, where the method has a value for each pixel."""
    spreads = [spread for report in history if (spread := quantity.spread(report.learned)) is not None]
    if len(spreads) < len(values):
        return
    low = [value - spread for value, spread in zip(values, spreads, strict=True)]
    high = [value + spread for value, spread in zip(values, spreads, strict=True)]
    axes.fill_between(ends, low, high, color=hue, alpha=0.1, linewidth=0)


def _fade(trajectory: Trajectory) -> float:
    return 1.0 if len(trajectory.records) == 1 else 0.75


def _reports(record: Record) -> bool:
    """Whether every report, of at least one, says what the method has learned."""
    name = method_class(record.method).quantity.name
    return bool(record.history) and all(name in report.learned for report in record.history)
