"""A search among options, drawn: how its window narrows, and what it knew of every option's loss."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from autorf.methods import Dilation, Quantity, is_manual, method_class
from autorf.reporting.theme import PALETTE, WIDE, Layout, colour, drawing, new_figure
from autorf.store.record import Record
from autorf.store.traces import SteppedTrace, stepped
from autorf.tasks import SEGMENTATION, TASKS, TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_window(axes: "Axes", trace: SteppedTrace, times: Sequence[float], hue: str) -> None:
    """Shade every option's weight in the window behind a trajectory; ``times`` are those of the trace's points."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    if len(trace.window) < 2:
        return
    times = times[: len(trace.window)]
    between = [(first + second) / 2 for first, second in pairwise(trace.rates)]
    low = 1.5 * trace.rates[0] - 0.5 * trace.rates[1]
    edges = [max(low, 0.0), *between, 1.5 * trace.rates[-1] - 0.5 * trace.rates[-2]]
    shades = LinearSegmentedColormap.from_list("weight", [(*to_rgb(hue), 0.0), (*to_rgb(hue), 0.55)])
    weights = [list(row) for row in zip(*trace.window, strict=True)]
    columns = [*times, 2 * times[-1] - times[-2]]
    mesh = axes.pcolormesh(columns, edges, weights, cmap=shades, vmin=0.0, vmax=0.5, zorder=0)
    mesh.set_rasterized(True)


def searches(records: Iterable[Record]) -> list[tuple[Record, SteppedTrace]]:
    """The trials that know of the loss of several options, each with its trace."""
    traced = [(record, stepped(record)) for record in records]
    return [(record, trace) for record, trace in traced if _compares(trace)]


def _compares(trace: SteppedTrace) -> bool:
    return any(len(_known(trace, profile)) > 1 for profile in trace.profiles)


def _known(trace: SteppedTrace, profile: Iterable[float | None]) -> list[tuple[float, float]]:
    """The options whose loss a search knows, with it."""
    return [(rate, loss) for rate, loss in zip(trace.rates, profile, strict=True) if loss is not None]


def quantity_of(record: Record) -> Quantity:
    """What a trial searches among, such as ``f`` or ``dilation``."""
    return method_class(record.method).quantity


def named_profiles(record: Record, trace: SteppedTrace) -> list[tuple[str, list[float | None]]]:
    """Every profile under the name of what was searched: ``dilation``, of several layers ``dilation.1`` and so on."""
    quantity = quantity_of(record).name
    if len(trace.profiles) == 1:
        return [(quantity, trace.profiles[0])]
    return [(f"{quantity}.{number}", profile) for number, profile in enumerate(trace.profiles, 1)]


@drawing
def loss_profile_figure(records: Iterable[Record], layout: Layout = WIDE) -> "Figure":
    """What every search knew of its options' losses; dilations above the mIoU of separate trainings at the same ones.

    Args:
        records: trials of a study.
        layout: the size to draw in.
    """
    listed = list(records)
    searching = searches(listed)
    by_name = {quantity.name: quantity for quantity in (quantity_of(record) for record, _ in searching)}
    quantities = [by_name[name] for name in sorted(by_name)]
    figure, axes = new_figure(layout, len(quantities), 1, height=300 * len(quantities))
    for axis, quantity in zip(axes.flat, quantities, strict=True):
        shown = [(record, trace) for record, trace in searching if quantity_of(record).name == quantity.name]
        _draw_profiles(axis, shown)
        axis.set_xlabel(quantity.label)
        rates = {rate for _, trace in shown for rate in trace.rates}
        if quantity.name == Dilation.quantity.name:
            rates |= _draw_separate_trainings(axis, listed).keys()
        most = 6 if layout.narrow else 12
        ticks = sorted(rates)[:: max(1, math.ceil(len(rates) / most))]
        axis.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
        axis.minorticks_off()
    return figure


def _draw_profiles(axis: "Axes", shown: Iterable[tuple[Record, SteppedTrace]]) -> None:
    for record, trace in shown:
        hue = colour(record.method)
        for number, profile in enumerate(trace.profiles, 1):
            points = _known(trace, profile)
            least = min((loss for _, loss in points), default=0.0)
            rates, heights = [rate for rate, _ in points], [loss - least for _, loss in points]
            axis.plot(rates, heights, color=hue, linewidth=1.4, alpha=0.6, marker=".")
            if points and len(trace.profiles) > 1:
                # Which layer it is.
                axis.annotate(str(number), (rates[-1], heights[-1]), color=hue, fontsize="small")
    axis.set_xscale("log", base=2)
    axis.set_ylabel("loss above the lowest, in the search")


def _headline(records: Iterable[Record]) -> str:
    """What people call the first metric that the trials' task has."""
    results = [record.result for record in records if record.result is not None]
    metrics = [task.metrics[0] for task in TASKS.values() if any(task.metrics[0] in each.metrics for each in results)]
    return TITLES[next(iter(metrics), SEGMENTATION.metrics[0])]


def _draw_separate_trainings(axis: "Axes", records: Sequence[Record]) -> dict[float, list[float]]:
    """Draw and return the scores of the manual grid, by dilation."""
    scores: dict[float, list[float]] = {}
    for record in records:
        rate, metric = record.set_dilation, math.nan if record.result is None else record.result.headline
        if record.control is None and is_manual(record.method) and rate is not None and math.isfinite(metric):
            scores.setdefault(rate, []).append(metric)
    if scores:
        right = axis.twinx()
        means = [sum(scores[rate]) / len(scores[rate]) for rate in sorted(scores)]
        right.plot(sorted(scores), means, color=PALETTE["manual"], marker="o", linestyle=(0, (4, 3)), linewidth=1.4)
        right.set_ylabel(f"{_headline(records)} of separate trainings (dashed)", color=PALETTE["manual"])
        for spine in right.spines.values():
            spine.set_visible(False)
        right.tick_params(length=0, labelcolor=PALETTE["manual"])
    return scores
