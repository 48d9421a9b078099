"""The metric against the receptive field: the manual grid with its interval, and the learned points on it."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from autorf.methods import MANUAL
from autorf.report.svg import tooltip
from autorf.report.theme import PALETTE, WIDE, Layout, colour, drawing, legend, mark, method_handles, new_figure
from autorf.report.words import METRIC_NAMES, number, setting
from autorf.study.comparison import Comparison, Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Against = Literal["rf", "rnorm"]

_AXES = {"rf": "receptive field, side in input pixels", "rnorm": "rnorm: receptive field over image side"}


@drawing
def metric_figure(comparison: Comparison, against: Against = "rf", layout: Layout = WIDE) -> "Figure":
    """The metric of every configuration against its receptive field.

    Args:
        comparison: of a study; only complete trials are drawn.
        against: ``rf`` in input pixels (the longer side), or ``rnorm``.
        layout: the size to draw in.

    Returns:
        A matplotlib figure: manual configurations joined by a line inside their 95 % band, learned ones as marks with
        error bars, single seeds as faint dots.
    """
    figure, ((axes,),) = new_figure(layout)
    where = _position(against)
    manual = sorted((group for group in comparison.groups if group.method in MANUAL), key=where)
    learned = [group for group in comparison.groups if group.method not in MANUAL]
    _draw_seeds(axes, comparison, against)
    _draw_manual(axes, manual, where)
    for group in learned:
        _draw_learned(axes, group, where)
    axes.set_xlabel(_AXES[against])
    axes.set_ylabel(METRIC_NAMES.get(comparison.metric, comparison.metric))
    axes.margins(x=0.04, y=0.12)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0), min(high, 1.0))
    _name_the_best(axes, comparison, where)
    legend(figure, method_handles((group.method for group in [*manual, *learned]), MANUAL), layout)
    return figure


def field_of(group: Group, against: Against) -> float:
    """Where a configuration stands: the longer side of its field in pixels, or its rnorm."""
    return max(group.rf) if against == "rf" else group.rnorm


def _position(against: Against) -> Callable[[Group], float]:
    return lambda group: field_of(group, against)


def _draw_manual(axes: "Axes", groups: Sequence[Group], where: Callable[[Group], float]) -> None:
    hue = colour("dilation")
    known = [group for group in groups if group.miou_ci95 is not None]
    if len(known) > 1:
        low = [group.miou_mean - (group.miou_ci95 or 0) for group in known]
        high = [group.miou_mean + (group.miou_ci95 or 0) for group in known]
        axes.fill_between([where(group) for group in known], low, high, color=hue, alpha=0.14, linewidth=0)
    axes.plot([where(group) for group in groups], [group.miou_mean for group in groups], color=hue, linewidth=2)
    for group in groups:
        _draw_point(axes, group, where, size=7)


def _draw_learned(axes: "Axes", group: Group, where: Callable[[Group], float]) -> None:
    if group.miou_ci95 is not None:
        axes.errorbar(
            where(group), group.miou_mean, yerr=group.miou_ci95, color=colour(group.method), linewidth=1.4, alpha=0.7
        )
    _draw_point(axes, group, where, size=9)


def _draw_point(axes: "Axes", group: Group, where: Callable[[Group], float], size: float) -> None:
    (point,) = axes.plot(
        where(group),
        group.miou_mean,
        marker=mark(group.method),
        markersize=size,
        color=colour(group.method),
        markeredgecolor=PALETTE["surface"],
        markeredgewidth=1.2,
        zorder=4,
    )
    spread = "" if group.miou_ci95 is None else f" ± {group.miou_ci95:.3f}"
    tooltip(
        point,
        f"{group.method} ({setting(group.method, group.params)}), {group.n} seed{'s' * (group.n != 1)}\n"
        f"{group.miou_mean:.3f}{spread}\nrf {number(max(group.rf), 1)} px, rnorm {group.rnorm:.2f}",
    )


def _draw_seeds(axes: "Axes", comparison: Comparison, against: Against) -> None:
    if all(group.n < 2 for group in comparison.groups):
        return
    for row in comparison.rows:
        if row.state == "complete" and row.miou is not None and row.rf and row.rnorm is not None:
            place = max(row.rf) if against == "rf" else row.rnorm
            axes.plot(place, row.miou, marker=".", markersize=5, color=colour(row.method), alpha=0.4, linewidth=0)


def _name_the_best(axes: "Axes", comparison: Comparison, where: Callable[[Group], float]) -> None:
    """Ring the best of both ways and write their names beside them, the higher one's above the lower one's."""
    verdict = comparison.verdict
    chosen = [("best manual", verdict.best_manual), ("best learned", verdict.best_learned)]
    found = [(title, group) for title, best in chosen if (group := _group_of(comparison, best)) is not None]
    found.sort(key=lambda one: -one[1].miou_mean)
    low, high = axes.get_xlim()
    for rank, (title, group) in enumerate(found):
        hue, left = colour(group.method), (where(group) - low) / (high - low) < 0.6
        axes.plot(
            where(group), group.miou_mean, marker="o", markersize=17, fillstyle="none", color=hue,
            markeredgewidth=1.4, zorder=3,
        )  # fmt: skip
        axes.annotate(
            title,
            (where(group), group.miou_mean),
            xytext=(12 if left else -12, 8 if rank == 0 else -8),
            textcoords="offset points",
            ha="left" if left else "right",
            va="bottom" if rank == 0 else "top",
            color=hue,
            fontweight="bold",
        )


def _group_of(comparison: Comparison, best: Mapping[str, Any] | None) -> Group | None:
    if best is None:
        return None
    same = (group for group in comparison.groups if (group.method, group.params) == (best["method"], best["params"]))
    return next(same, None)
