"""Several studies that differ in the size of what they look at: does one rnorm fit them all?"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from autorf.comparison import FieldMap, StudyResults, study_map
from autorf.comparison.field_line import Over
from autorf.errors import InputError
from autorf.reporting.blocks import Block, Chart, Section, view
from autorf.reporting.heat_map import heat_map_figure, heat_map_table, ratio_name
from autorf.reporting.report_data import ReportData, report_data
from autorf.reporting.reproduce import reproduction
from autorf.reporting.summary import Fact, running
from autorf.reporting.sweep_figures import curve_table, study_table, sweep_figure
from autorf.reporting.tables import trial_table
from autorf.reporting.words import named, plural
from autorf.study.objectives import sign

_SIZES = ("image_size", "object_size")
_FREE = (*_SIZES, "size_jitter", "n_train", "n_val", "n_test", "augmentation", "root")
"""Settings of a data set in which the studies of a sweep may differ."""


def is_sweep(studies: Sequence[StudyResults]) -> bool:
    """Whether the studies are of one kind of data and one model, and differ in the size of images or objects."""
    data = [study.part("data") for study in studies]
    sizes = {str(_sizes(spec)) for spec in data}
    kinds = [_fixed_settings(spec) for spec in data]
    same = all(kind == kinds[0] for kind in kinds) and all(
        study.part("model") == studies[0].part("model") for study in studies
    )
    return len(sizes) > 1 and same


def _sizes(data: Mapping[str, Any]) -> list[Any]:
    return [data.get(name) for name in _SIZES]


def _fixed_settings(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in _FREE}


class Sweep:
    """The studies of a sweep, each compared for itself, and what fits all of them.

    Raises:
        InputError: when their metrics differ.
    """

    def __init__(self, studies: Sequence[StudyResults]) -> None:
        self.each: tuple[ReportData, ...] = tuple(report_data([study]) for study in studies)
        self.metric = self.each[0].comparison.metric
        for report in self.each:
            if report.comparison.metric != self.metric:
                raise InputError(
                    f"studies {self.each[0].name!r} and {report.name!r} cannot be compared: their metrics differ: "
                    f"{self.metric} and {report.comparison.metric}"
                )
        self.over: Over = "images" if len({_side(study, "image_size") for study in studies}) > 1 else "objects"
        name = "image_size" if self.over == "images" else "object_size"
        self.sizes = {study.name: _side(study, name) for study in studies}

    @cached_property
    def map(self) -> FieldMap | None:
        """The manual grids by size."""
        groups = [group for report in self.each for group in report.comparison.groups]
        return study_map(self.sizes, groups, self.over, sign(self.metric))

    def headline(self) -> str:
        """What fits all sizes, in a few words."""
        field_map = self.map
        if field_map is None or field_map.ratio is None:
            return "No ratio fits yet"
        if not field_map.line.fits:
            return f"No one {ratio_name(field_map)} for all sizes"
        return f"One {ratio_name(field_map)} for all sizes: {field_map.ratio:.2f}"

    def sentence(self) -> str:
        """The same with its ground."""
        field_map = self.map
        if field_map is None:
            return "A ratio of field to size needs complete manual trials of two sizes and three dilations."
        return field_map.line.text

    def running(self) -> str:
        """Which studies are not finished; empty where all are."""
        return " ".join(f"{report.name}: {sentence}" for report in self.each if (sentence := running(report)))

    def facts(self) -> Iterator[Fact]:
        """The key numbers."""
        if self.map is not None and self.map.ratio is not None:
            line, ratios = self.map.line, [winner.rnorm for winner in self.map.line.winners]
            note = (
                f"95 % interval {line.low:.2f} to {line.high:.2f}; fitted to the best manual field of each size: "
                f"{min(ratios):.2f} to {max(ratios):.2f}"
            )
            yield Fact(ratio_name(self.map), f"{self.map.ratio:.2f}", note, "manual")
        sides = ", ".join(f"{size:g}" for size in sorted(set(self.sizes.values())))
        trials = plural(sum(len(report.records) for report in self.each), "trial")
        yield Fact("Studies", str(len(self.each)), f"{self.over} of {sides} px; {trials}")
        outcomes = [report.comparison.verdict.equal_outcome for report in self.each]
        note = f"at equal steps; worse in {outcomes.count('worse')}; the rest cannot be told"
        yield Fact("Learning is better in", f"{outcomes.count('better')} of {len(outcomes)}", note)

    def sections(self) -> Iterator[Section]:
        """Every section that has something to show."""
        charts = tuple(self._charts())
        if charts:
            yield Section("sizes", f"{named(self.metric)} by size and receptive field", "", charts)
        yield Section("studies", "Study by study", "", (study_table(self.each, self.sizes),))
        trials = tuple(trial_table(report) for report in self.each if report.comparison.rows)
        if trials:
            yield Section("trials", "Every trial", "", trials)
        yield Section("reproduce", "How to reproduce this", "", tuple(reproduction(self.each)))

    def _charts(self) -> Iterator[Block]:
        field_map = self.map
        if field_map is not None:
            caption = "The best field of each size is framed. The line, if any, is the one ratio that fits them."
            words = f"Manual grids at {plural(len(field_map.sizes), 'size')}. {self.sentence()}"
            yield Chart("heat", caption, (view("", words, heat_map_figure, field_map),), heat_map_table(field_map))
        if any(report.comparison.groups for report in self.each):
            words = f"{named(self.metric)} of the manual grids of {', '.join(self.sizes)}, against"
            views = (
                view("rnorm", f"{words} rnorm", sweep_figure, self.each, self.sizes, "rnorm"),
                view("rf in pixels", f"{words} the field in pixels", sweep_figure, self.each, self.sizes, "rf"),
            )
            caption = "Lines are manual grids; a ringed mark is the best learned configuration of its study."
            yield Chart("curves", caption, views, curve_table(self.each))


def _side(study: StudyResults, name: str) -> float:
    """The shorter side of the images, which rnorm is of, or the mean of the stated object sizes, in pixels."""
    sides = [float(size) for size in study.part("data").get(name) or ()]
    if not sides:
        return 0.0
    return min(sides) if name == "image_size" else sum(sides) / len(sides)
