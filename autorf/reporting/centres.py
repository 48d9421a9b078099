"""How far the centres of the contextual loss lie apart, class against class."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from autorf.reporting.blocks import Chart, Column, Section, Table, table, view
from autorf.reporting.report_data import ReportData
from autorf.reporting.svg import tooltip
from autorf.reporting.theme import WIDE, Layout, drawing, new_figure
from autorf.reporting.words import NONE, configuration
from autorf.running.evidence import Evidence
from autorf.study.objectives import sign

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 4
"""Configurations that are shown, the best first."""

_LEAD = (
    "The contextual loss pushes the centres of two classes apart until their squared distance reaches its margin; a "
    "class without a pixel in training has none."
)


def centre_section(report: ReportData) -> Iterator[Section]:
    """A matrix for each of the best configurations that were trained with the contextual loss, of its first seed."""
    metric = report.comparison.metric
    groups = sorted(report.comparison.groups, key=lambda group: -sign(metric) * group.mean)
    shown: dict[str, Evidence] = {}
    for group in groups:
        evidence = report.first_evidence(group) if len(shown) < MOST else None
        if evidence is not None and evidence.centre_distances is not None:
            shown[configuration(group)] = evidence
    yield from centres_of(shown)


def centres_of(evidence: Mapping[str, Evidence]) -> Iterator[Section]:
    """The section of trainings by their names, those that have centres; none where none has."""
    with_centres = {name: each for name, each in evidence.items() if each.centre_distances is not None}
    if not with_centres:
        return
    views = [
        view(name, f"Squared distances between the classes' centres of {name}", centre_figure, each)
        for name, each in with_centres.items()
    ]
    caption = "Squared distance of the centres of two classes at the end of the training, by the first seed."
    chart = Chart("centres", caption, tuple(views), centre_table(with_centres))
    yield Section("centres", "Centres of the classes", _LEAD, (chart,))


@drawing
def centre_figure(evidence: Evidence, layout: Layout = WIDE) -> "Figure":
    """A cell for each pair of classes, darker where their centres are nearer.

    Args:
        evidence: of a training with the contextual loss.
        layout: of the figure.
    """
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    assert evidence.centre_distances is not None, "only such a training has centres"
    names, distances = evidence.class_names, evidence.centre_distances.tolist()
    largest = max((value for row in distances for value in row if value == value), default=0.0) or 1.0
    figure, ((axes,),) = new_figure(layout, height=120 + 34 * len(names))
    axes.grid(visible=False)
    for row, values in enumerate(distances):
        for column, value in enumerate(values[:row]):
            if value != value:
                continue
            # Distances span decades: the square root shows the small ones apart.
            level = (value / largest) ** 0.5
            cell = Rectangle(
                (column - 0.48, row - 0.47), 0.96, 0.94, facecolor=colormaps["cividis"](level), linewidth=0
            )
            axes.add_patch(cell)
            tooltip(cell, f"{names[row]} and {names[column]}: {value:.3g}")
            if not layout.narrow:
                ink = "white" if level < 0.55 else "black"
                axes.text(column, row, f"{value:.3g}", ha="center", va="center", color=ink, zorder=6)
    axes.set_xlim(-0.5, len(names) - 1.5)
    axes.set_ylim(len(names) - 0.5, 0.5)
    axes.set_xticks(range(len(names) - 1), names[:-1], rotation=45, ha="right")
    axes.set_yticks(range(1, len(names)), names[1:])
    axes.spines["bottom"].set_visible(False)
    return figure


def centre_table(evidence: Mapping[str, Evidence]) -> Table:
    """A line and a column for each class, of each training by its name."""
    lines: list[tuple[str, ...]] = []
    classes: tuple[str, ...] = ()
    for name, each in evidence.items():
        assert each.centre_distances is not None, "only such a training has centres"
        classes = each.class_names
        for of_class, values in zip(classes, each.centre_distances.tolist(), strict=True):
            lines.append((of_class, *(NONE if value != value else f"{value:.3g}" for value in values), name))
    columns: list[Column | str] = [Column("class", False), *classes, Column("training", False)]
    return table("Squared distances between centres", columns, lines)
