"""The sections that stand on what the trials predicted: pictures, classes, object sizes."""

from collections.abc import Iterator, Sequence

from autorf.comparison import object_map
from autorf.reporting.blocks import Block, Chart, Samples, Section, view
from autorf.reporting.dumbbells import Dumbbell, dumbbell_figure, dumbbell_table, of_classes, of_sizes
from autorf.reporting.heat_map import heat_map_figure, heat_map_table, ratio_name
from autorf.reporting.pictures import map_bounds
from autorf.reporting.report_data import ReportData
from autorf.reporting.samples import Shown, class_legend, sample_rows
from autorf.reporting.tables import scale_table
from autorf.reporting.words import configuration, short
from autorf.study.objectives import sign


def sample_section(found: ReportData) -> Iterator[Section]:
    """The same validation images: truth, the best of both ways, and the per-pixel maps."""
    best = dict(found.best())
    shown = [Shown(name, evidence) for name, group in best.items() if (evidence := found.first_evidence(group))]
    if not shown:
        return
    maps = list(_maps(found))
    ends = ((one.title, *map_bounds(one.evidence)) for one in maps)
    scales = tuple((title, short(low, 2), short(high, 2)) for title, low, high in ends)
    words = "; ".join(f"{name}: {configuration(group)}" for name, group in best.items())
    blocks: list[Block] = [
        Samples(
            f"{words}. Each is shown by its first seed.",
            tuple(class_legend(shown[0].evidence)),
            sample_rows(shown, maps),
            scales,
        )
    ]
    if found.comparison.scales:
        blocks.append(scale_table(found.comparison))
    lead = "The same validation images, evenly spaced over the split and not picked."
    yield Section("samples", "Predictions and maps", lead, tuple(blocks))


def _maps(found: ReportData) -> Iterator[Shown]:
    """The best trial of each method that has a map for every pixel."""
    methods = dict.fromkeys(group.method for group in found.comparison.groups if not group.manual)
    for method in methods:
        groups = [group for group in found.comparison.groups if group.method == method]
        evidence = found.first_evidence(max(groups, key=lambda group: sign(found.comparison.metric) * group.mean))
        if evidence is not None and evidence.maps is not None:
            yield Shown(f"{evidence.map_name} of {method}", evidence)


def size_sections(found: ReportData) -> Iterator[Section]:
    """How the best field grows with the objects, and who does better on which."""
    blocks: list[Block] = []
    map = object_map(found.comparison.groups, found.evidence_of)
    if map is not None:
        words = (
            f"Share of the objects' pixels predicted right, by object size and dilation; over sizes of "
            f"{map.sizes[0]:g} to {map.sizes[-1]:g} pixels the best field is {map.ratio:.2f} times the size"
        )
        caption = (
            f"The best field of each size is framed. The line is the one ratio that fits them: {ratio_name(map)} "
            f"{map.ratio:.2f}. An object's size is the side of a square of its area."
        )
        blocks.append(Chart("heat", caption, (view("", words, heat_map_figure, map),), heat_map_table(map)))
    if found.comparison.sizes:
        lines = of_sizes(found.comparison.sizes)
        blocks.append(_dumbbells(found, "sizes", "share of the objects' pixels predicted right", "object size", lines))
    if blocks:
        yield Section("sizes", "By object size", "", tuple(blocks))


def class_section(found: ReportData) -> Iterator[Section]:
    """The IoU of every class."""
    if found.comparison.classes:
        chart = _dumbbells(found, "classes", "IoU", "class", of_classes(found.comparison.classes))
        lead = "Intervals are over paired seeds, and not corrected for looking at many classes."
        yield Section("classes", "Class by class", lead, (chart,))


def _dumbbells(found: ReportData, name: str, axis: str, first: str, lines: Sequence[Dumbbell]) -> Chart:
    methods = {title: group.method for title, group in found.best()}
    known = [line for line in lines if line.difference is not None]
    words = f"{axis} of {' and '.join(methods)} for each {first}"
    if known:
        most = max(known, key=lambda line: abs(line.difference or 0.0))
        words += f"; they differ most on {most.label}, by {most.difference:+.3f}"
    caption = f"{axis[0].upper()}{axis[1:]}, the mean over seeds."
    drawn = view("", words, dumbbell_figure, lines, methods, axis)
    return Chart(name, caption, (drawn,), dumbbell_table(f"{axis} by {first}", first, lines))
