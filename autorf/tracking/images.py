"""What a run shows as pictures: samples with truth, prediction and map, and how the receptive field moved."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autorf.data.class_colours import Picture, palette
from autorf.methods import method_class
from autorf.reporting.pictures import entries, heat, map_bounds
from autorf.reporting.search_window import draw_window
from autorf.running.evidence import Evidence
from autorf.store.store import Record
from autorf.store.time_axis import TimeAxis
from autorf.store.traces import parts, stepped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GAP = 4
_LEGEND = 12  # trials named at most


def sample_strips(evidence: Evidence) -> list[Picture]:
    """One picture a sample, ``(h, w, 3)``: image, truth, prediction and, where the method has one, its map."""
    colours, bounds = palette(), map_bounds(evidence)
    strips = []
    for index in range(len(evidence.samples)):
        parts = [evidence.samples[index].permute(1, 2, 0).numpy()]
        for labels in (evidence.sample_truth[index], evidence.sample_prediction[index]):
            parts.append(colours[entries(labels.numpy(), evidence.n_classes)])
        if evidence.maps is not None:
            parts.append(heat(evidence.maps[index].float().numpy(), bounds))
        strips.append(_beside(parts))
    return strips


def trajectory(record: Record) -> "Figure | None":
    """What the trial learned and its receptive field while it trained; None where nothing was learned."""
    learned = method_class(record.method).quantity.name
    if len({report.learned.get(learned) for report in record.history} - {None}) < 2:
        return None
    time, trace = TimeAxis.of([record]), stepped(record)
    figure, axes = _axes(record.label, time)
    ends = [time.at(report) for report in record.history]
    draw_window(axes, trace, time.along(trace), "C0")
    for name in parts(record.history[-1].learned, learned) or [learned]:
        if name in trace.values:
            axes.plot(time.along(trace), trace.values[name], marker=".", label=name)
        else:
            axes.plot(ends, [report.learned.get(name, math.nan) for report in record.history], marker="o", label=name)
    axes.set_ylabel(learned)
    rf_axes = axes.twinx()
    rf_axes.plot(ends, [report.side for report in record.history], color="0.5", linestyle="--", label="rf")
    rf_axes.set_ylabel("receptive field in pixels (dashed)")
    axes.legend()
    return figure


def trajectories(records: Sequence[Record]) -> "Figure | None":
    """The receptive field of every trial while it trained; None before the first report."""
    shown = [record for record in records if record.history]
    if not shown:
        return None
    time = TimeAxis.of(shown)
    figure, axes = _axes("receptive field while training", time)
    moved = [record.key for record in shown if len(set(_sides(record))) > 1]
    for record in shown:
        learns, sides = record.key in moved, _sides(record)
        style: dict[str, Any] = {"linewidth": 2, "label": record.label} if learns else {"color": "0.8", "linewidth": 1}
        axes.plot([time.at(report) for report in record.history], sides, **style)
    axes.set_ylabel("receptive field in pixels (grey: set by hand)")
    if 0 < len(moved) <= _LEGEND:
        axes.legend(fontsize="small")
    return figure


def _sides(record: Record) -> list[float]:
    return [report.side for report in record.history]


def _axes(title: str, time: TimeAxis) -> tuple[Any, Any]:
    # The Figure alone: pyplot keeps a global state that is not for threads.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_xlabel(time.label)
    return figure, axes


def _beside(parts: Sequence[Picture]) -> Picture:
    gap = np.full((len(parts[0]), _GAP, 3), 255, np.uint8)
    return np.concatenate([piece for part in parts for piece in (gap, part)][1:], axis=1)
