"""The report's part on image sizes: which field is best at each, and whether one rnorm fits them all."""

from collections.abc import Iterator, Sequence

from autorf.comparison import FieldMap
from autorf.reporting.blocks import Block, Chart, Line, Section, Table, View, view
from autorf.reporting.heat_map import heat_map_figure, heat_map_table
from autorf.reporting.report_data import ReportData
from autorf.reporting.rnorm_figures import curves_figure, lines_figure, lines_table
from autorf.reporting.words import named, plural


def rnorm_section(report: ReportData) -> Iterator[Section]:
    """Size against field, the fitted lines of splits and networks, and a curve for every size."""
    maps = report.comparison.rnorm
    if maps:
        lead = " ".join(f"{each.name}: {each.line.text}" if each.name else each.line.text for each in maps)
        yield Section("rnorm", "One normalised field for all image sizes?", lead, tuple(_blocks(report, maps)))


def _blocks(report: ReportData, maps: Sequence[FieldMap]) -> Iterator[Block]:
    metric = report.comparison.metric
    words = f"{named(metric)} by image size and receptive field"
    heat = [view(each.name, f"{words}. {each.line.text}", heat_map_figure, each) for each in maps]
    caption = (
        "The best field of each size is framed; the line is where the fitted rnorm lies. Scores are taken at the "
        "masks' own size, so that sizes can be compared."
    )
    scores = _joined([(each.name, heat_map_table(each)) for each in maps])
    yield Chart("rnorm-heat", caption, tuple(heat), scores)
    several = f" of {plural(len(maps), 'grid')}" if len(maps) > 1 else ""
    caption = (
        "Winning fields and the line through the origin that fits them, in its 95 % interval; a hollow mark is a "
        "winner at an end of its grid, which is a bound and takes no part in the fit."
    )
    words = f"Winning field of every image size{several}. {' '.join(each.line.text for each in maps)}"
    yield Chart("rnorm-lines", caption, (view("", words, lines_figure, maps),), lines_table(maps))
    caption = "A curve is the manual grid at one image size; under rnorm, curves of one task lie on each other."
    yield Chart("rnorm-curves", caption, tuple(_curves(maps, metric)), scores)


def _curves(maps: Sequence[FieldMap], metric: str) -> Iterator[View]:
    for each in maps:
        words = f"{named(metric)} at every image size against"
        title = f"{each.name}, " if each.name else ""
        yield view(f"{title}rnorm", f"{words} rnorm", curves_figure, each, metric, "rnorm")
        yield view(f"{title}rf in pixels", f"{words} the field in pixels", curves_figure, each, metric, "rf")


def _joined(tables: Sequence[tuple[str, Table]]) -> Table:
    """Tables of the same columns one under the other; where there are several, a line says of what."""
    if len(tables) == 1:
        return tables[0][1]
    widest = max((shown for _, shown in tables), key=lambda shown: len(shown.columns))
    lines: list[Line] = []
    for name, shown in tables:
        for line in shown.lines:
            padding = ("",) * (len(widest.columns) - len(line.cells))
            lines.append(Line((*line.cells, *padding), name, line.note))
    return Table(widest.caption, widest.columns, tuple(lines))
