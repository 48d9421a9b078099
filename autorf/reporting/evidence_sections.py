"""The sections that stand on what the trials predicted: pictures, classes, object sizes."""

from collections.abc import Iterator, Sequence

from autorf.comparison import at_best_size, object_map
from autorf.reporting.blocks import Block, Chart, Samples, Section, view
from autorf.reporting.dumbbells import Dumbbell, dumbbell_figure, dumbbell_table, of_classes, of_groups, of_sizes
from autorf.reporting.heat_map import heat_map_figure, heat_map_table
from autorf.reporting.pictures import map_bounds
from autorf.reporting.report_data import ReportData
from autorf.reporting.samples import Shown, class_legend, sample_rows
from autorf.reporting.tables import class_f1_table, scale_table
from autorf.reporting.words import configuration, short
from autorf.study.objectives import sign
from autorf.tasks import CLASSIFICATION

_NOT_CORRECTED = "Intervals are over paired seeds, and not corrected for looking at many classes."


def sample_section(report: ReportData) -> Iterator[Section]:
    """The same validation images: truth, the best of both ways, and the per-pixel maps."""
    best = dict(report.best())
    shown = [Shown(name, evidence) for name, group in best.items() if (evidence := report.first_evidence(group))]
    if not shown:
        return
    maps = list(_maps(report))
    ends = ((trial.title, *map_bounds(trial.evidence)) for trial in maps)
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
    if any(row.objects for row in report.comparison.scales):
        blocks.append(scale_table(report.comparison))
    lead = "The same validation images, evenly spaced over the split and not picked."
    yield Section("samples", "Predictions and maps", lead, tuple(blocks))


def _maps(report: ReportData) -> Iterator[Shown]:
    """The best trial of each method that has a map for every pixel."""
    methods = dict.fromkeys(group.method for group in report.comparison.groups if group.learned)
    for method in methods:
        groups = [group for group in report.comparison.groups if group.method == method]
        evidence = report.first_evidence(max(groups, key=lambda group: sign(report.comparison.metric) * group.mean))
        if evidence is not None and evidence.maps is not None:
            yield Shown(f"{evidence.map_name} of {method}", evidence)


def size_sections(report: ReportData) -> Iterator[Section]:
    """How the best field grows with the objects, and who does better on which."""
    blocks: list[Block] = []
    map = object_map(at_best_size(report.comparison.groups, sign(report.comparison.metric)), report.evidence_of)
    if map is not None:
        words = f"Share of the objects' pixels predicted right, by object size and dilation. {map.line.text}"
        caption = (
            f"The best field of each size is framed, the line, if any, the one ratio that fits them. {map.line.text} "
            "An object's size is the side of a square of its area."
        )
        blocks.append(Chart("heat", caption, (view("", words, heat_map_figure, map),), heat_map_table(map)))
    if report.comparison.sizes:
        lines = of_sizes(report.comparison.sizes)
        blocks.append(_dumbbells(report, "sizes", "share of the objects' pixels predicted right", "object size", lines))
    if blocks:
        yield Section("sizes", "By object size", "", tuple(blocks))


def class_section(report: ReportData) -> Iterator[Section]:
    """The IoU of every class, and the F1 of classes and of merged ones; of a classification its accuracy."""
    comparison = report.comparison
    if comparison.classes and comparison.task == CLASSIFICATION.name:
        chart = _dumbbells(report, "classes", "accuracy", "class", of_classes(comparison.classes))
        yield Section("classes", "Class by class", _NOT_CORRECTED, (chart,))
    elif comparison.classes:
        blocks: list[Block] = [_dumbbells(report, "classes", "IoU", "class", of_classes(comparison.classes))]
        if comparison.label_groups:
            blocks.append(_dumbbells(report, "groups", "F1", "label group", of_groups(comparison.label_groups)))
        blocks.append(class_f1_table(comparison.classes))
        yield Section("classes", "Class by class", _NOT_CORRECTED, tuple(blocks))


def _dumbbells(report: ReportData, name: str, axis: str, first: str, lines: Sequence[Dumbbell]) -> Chart:
    methods = {title: group.method for title, group in report.best()}
    compared = [line for line in lines if line.difference is not None]
    words = f"{axis} of {' and '.join(methods)} for each {first}"
    if compared:
        most = max(compared, key=lambda line: abs(line.difference or 0.0))
        words += f"; they differ most on {most.label}, by {most.difference:+.3f}"
    counts = "; under each size is how many objects it has" if any(line.facts for line in lines) else ""
    caption = f"{axis[0].upper()}{axis[1:]}, the mean over seeds{counts}."
    drawn = view("", words, dumbbell_figure, lines, methods, axis)
    return Chart(name, caption, (drawn,), dumbbell_table(f"{axis} by {first}", first, lines))
