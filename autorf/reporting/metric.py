"""The metric against the receptive field: the manual grid with its interval, and the learned points on it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from autorf.comparison import Comparison, Group
from autorf.reporting.svg import tooltip
from autorf.reporting.theme import PALETTE, WIDE, Layout, colour, drawing, legend, mark, method_handles, new_figure
from autorf.reporting.words import configuration, named, plural, score, short
from autorf.study.objectives import is_metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Against = Literal["rf", "rnorm"]
Where = Callable[[Group], float]

_OTHER_LINE = ("model.", "data.image_size", "data.half")
"""Keys of the study file whose values tell lines apart."""

Dashes = str | tuple[int, tuple[int, ...]]

_DASHES: tuple[Dashes, ...] = ("-", (0, (5, 2)), (0, (2, 2)), (0, (6, 2, 1, 2)))
"""Of the lines of different networks."""

AXES = {"rf": "receptive field, side in input pixels", "rnorm": "rnorm: receptive field over image side"}


@drawing
def metric_figure(comparison: Comparison, against: Against = "rf", layout: Layout = WIDE) -> "Figure":
    """The metric of every configuration against its receptive field.

    Args:
        comparison: of a study; only complete trials are drawn.
        against: ``rf`` in input pixels (the longer side), or ``rnorm``.
        layout: the size to draw in.

    Returns:
        A matplotlib figure: manual configurations of one study and network joined by a line inside their 95 % band,
        controls as hollow marks, learned ones as marks with
        error bars, single seeds as faint dots; the default and the field as large as the objects are named.
    """
    figure, ((axes,),) = new_figure(layout)
    manual = sorted((group for group in comparison.groups if group.manual), key=_position(against))
    learned = [group for group in comparison.groups if group.learned]
    where = _position(against)
    _draw_seeds(axes, comparison, against)
    for at, groups in enumerate(lines_of(manual)):
        _draw_manual(axes, groups, where, comparison.metric, _DASHES[at % len(_DASHES)])
    for group in comparison.groups:
        if group.control is not None:
            _draw_point(axes, group, where, comparison.metric, size=9, hollow=True)
    for group in learned:
        _draw_learned(axes, group, where, comparison.metric)
    axes.set_xlabel(AXES[against])
    axes.set_ylabel(named(comparison.metric))
    axes.margins(x=0.04, y=0.14)
    if is_metric(comparison.metric):
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 0.0), min(high, 1.0))
    _draw_named(axes, comparison, against)
    _name_the_best(axes, comparison, where)
    legend(figure, method_handles(group.method for group in [*manual, *learned]), layout)
    return figure


def lines_of(groups: Sequence[Group]) -> list[list[Group]]:
    """Configurations that one line may join: of one study, network, image size and half of the data."""
    lines: dict[str, list[Group]] = {}
    for group in groups:
        network = {name: value for name, value in group.params.items() if name.startswith(_OTHER_LINE)}
        lines.setdefault(f"{group.study} {network}", []).append(group)
    return list(lines.values())


def interval(group: Group) -> float | None:
    """Half the 95 % interval that is drawn: over seeds, or with one seed over other validation images."""
    return group.ci95_images if group.n < 2 else group.ci95


def field_of(group: Group, against: Against) -> float:
    """Where a configuration stands: the longer side of its field in pixels, or its rnorm."""
    return max(group.rf) if against == "rf" else group.rnorm


def _position(against: Against) -> Where:
    return lambda group: field_of(group, against)


def _draw_manual(axes: "Axes", groups: Sequence[Group], where: Where, metric: str, dashes: Dashes) -> None:
    hue = PALETTE["manual"]
    with_interval = [(where(group), group.mean, half) for group in groups if (half := interval(group)) is not None]
    if len(with_interval) > 1:
        places, low, high = zip(*((x, y - half, y + half) for x, y, half in with_interval), strict=True)
        axes.fill_between(places, low, high, color=hue, alpha=0.14, linewidth=0)
    axes.plot(
        [where(group) for group in groups], [group.mean for group in groups], color=hue, linewidth=2, linestyle=dashes
    )
    for group in groups:
        _draw_point(axes, group, where, metric, size=7)


def _draw_learned(axes: "Axes", group: Group, where: Where, metric: str) -> None:
    half = interval(group)
    if half is not None:
        axes.errorbar(where(group), group.mean, yerr=half, color=colour(group.method), linewidth=1.4, alpha=0.7)
    _draw_point(axes, group, where, metric, size=9)


def _draw_point(axes: "Axes", group: Group, where: Where, metric: str, size: float, *, hollow: bool = False) -> None:
    (point,) = axes.plot(
        where(group),
        group.mean,
        marker=mark(group.method),
        markersize=size,
        color=colour(group.method),
        fillstyle="none" if hollow else "full",
        markeredgecolor=colour(group.method) if hollow else PALETTE["surface"],
        markeredgewidth=1.2,
        zorder=4,
    )
    half = interval(group)
    spread = "" if half is None else f" ± {score(half, metric)}"
    place = f"rf {short(max(group.rf), 1)} px, rnorm {group.rnorm:.2f}"
    words = f"{configuration(group)}, {plural(group.n, 'seed')}"
    tooltip(point, f"{words}\n{named(metric)} {score(group.mean, metric)}{spread}\n{place}")


def _draw_seeds(axes: "Axes", comparison: Comparison, against: Against) -> None:
    if all(group.n < 2 for group in comparison.groups):
        return
    for row in comparison.members:
        if row.counts and row.rf and row.rnorm is not None and row.score is not None:
            place = max(row.rf) if against == "rf" else row.rnorm
            axes.plot(place, row.score, marker=".", markersize=5, color=colour(row.method), alpha=0.4, linewidth=0)


def _draw_named(axes: "Axes", comparison: Comparison, against: Against) -> None:
    """The default's name beside it, a dotted line where the field is as large as the objects."""
    for rule in comparison.named:
        if rule.object_size is not None:
            scale = 1.0 if against == "rf" or rule.group is None else rule.group.rnorm / max(rule.group.rf)
            place = rule.object_size * scale
            axes.axvline(place, color=PALETTE["muted"], linewidth=1.2, linestyle=(0, (1, 2)), zorder=1)
            axes.annotate(
                rule.name, (place, 0.02), xycoords=("data", "axes fraction"), xytext=(5, 0),
                textcoords="offset points", color=PALETTE["muted"],
            )  # fmt: skip
        elif rule.group is not None and rule.field is None and not _is_best(rule.group, comparison):
            place = field_of(rule.group, against)
            axes.annotate(
                rule.name, (place, rule.group.mean), xytext=(10, -3), textcoords="offset points", va="top",
                color=PALETTE["muted"],
            )  # fmt: skip


def _is_best(group: Group, comparison: Comparison) -> bool:
    verdict = comparison.verdict
    return any(group is comparison.group_of(best) for best in (verdict.best_manual, verdict.best_learned))


def _name_the_best(axes: "Axes", comparison: Comparison, where: Where) -> None:
    """Ring the best of both ways and write their names beside them, the higher one's above the lower one's.

    A best that has another name too, as the default, is given both in one label.
    """
    verdict = comparison.verdict
    chosen = {"best manual": verdict.best_manual, "best learned": verdict.best_learned}
    ringed = [(title, group) for title, best in chosen.items() if (group := comparison.group_of(best)) is not None]
    ringed.sort(key=lambda titled: -titled[1].mean)
    low, high = axes.get_xlim()
    for rank, (title, group) in enumerate(ringed):
        other_names = [
            rule.name
            for rule in comparison.named
            if rule.group is group and rule.field is None and rule.object_size is None
        ]
        hue, to_the_right = colour(group.method), (where(group) - low) / (high - low) < 0.6
        axes.plot(
            where(group), group.mean, marker="o", markersize=17, fillstyle="none", color=hue, markeredgewidth=1.4,
            zorder=3,
        )  # fmt: skip
        axes.annotate(
            ", ".join([title, *other_names]),
            (where(group), group.mean),
            xytext=(12 if to_the_right else -12, 8 if rank == 0 else -8),
            textcoords="offset points",
            ha="left" if to_the_right else "right",
            va="bottom" if rank == 0 else "top",
            color=hue,
            fontweight="bold",
        )
