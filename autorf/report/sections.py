"""The sections of a report; each is left out where the study has no data for it."""

from collections.abc import Iterator, Mapping
from typing import Any

from autorf.methods import METHODS
from autorf.report.blocks import Chart, Column, Samples, Section, Table, table, view
from autorf.report.metric import metric_figure
from autorf.report.pareto import front, measured, pareto_figure, pareto_table
from autorf.report.reproduce import reproduction
from autorf.report.results import StudyResults
from autorf.report.samples import Shown, class_legend, map_range, sample_rows
from autorf.report.tables import group_table, trial_table
from autorf.report.trajectories import MOST_PANELS, trajectories, trajectory_figure
from autorf.report.words import METRIC_NAMES, configuration, number
from autorf.study.comparison import Group


def sections(results: StudyResults) -> tuple[Section, ...]:
    """Every section that has something to show, in reading order."""
    makers = (_field, _trajectories, _samples, _pareto, _trials, _reproduce)
    return tuple(section for make in makers for section in make(results))


def _field(results: StudyResults) -> Iterator[Section]:
    comparison = results.comparison
    if not comparison.groups:
        return
    metric = METRIC_NAMES.get(comparison.metric, comparison.metric)
    best = max(comparison.groups, key=lambda group: group.miou_mean)
    words = (
        f"{metric} of {len(comparison.groups)} configurations against their receptive field; "
        f"the highest is {best.miou_mean:.3f} by {_words(best)} at {number(max(best.rf), 1)} pixels"
    )
    views = (
        view("rf in pixels", words, metric_figure, comparison, "rf"),
        view("rnorm", f"{words}, rnorm {best.rnorm:.2f}", metric_figure, comparison, "rnorm"),
    )
    several = any(group.n > 1 for group in comparison.groups)
    band = " The band and the bars are 95 % intervals over seeds; dots are single seeds." if several else ""
    caption = f"The line is the manual grid; marks are learned fields where training left them.{band}"
    data = group_table(comparison.groups, comparison.metric)
    chart = Chart("metric", caption, views, data)
    lead = "Too small a field does not see an object whole; too large a one sees its neighbours."
    yield Section("field", f"{metric} against the receptive field", lead, (chart,))


def _trajectories(results: StudyResults) -> Iterator[Section]:
    found = trajectories(results.records)
    if not found:
        return
    words = f"Learned values over the epochs of {len(found)} configurations: " + "; ".join(
        f"{one.label} {one.quantity} ends at {number(float(one.records[0].history[-1][one.quantity]), 2)}"
        for one in found
    )
    more = f" The first {MOST_PANELS} of {len(found)} configurations." if len(found) > MOST_PANELS else ""
    caption = (
        "One line a seed; the dashed line is the receptive field, on the right scale. "
        f"A band is the spread over pixels.{more}"
    )
    chart = Chart("trajectories", caption, (view("", words, trajectory_figure, results.records),), _epochs(results))
    yield Section("learning", "How the fields were learned", "", (chart,))


def _epochs(results: StudyResults) -> Table:
    lines = [
        (
            one.label,
            str(record.seed),
            str(int(epoch["epoch"]) + 1),
            one.quantity,
            number(float(epoch[one.quantity])),
            number(max(epoch["rf"]), 1),
            number(epoch.get("miou")),
        )
        for one in trajectories(results.records)
        for record in one.records
        for epoch in record.history
    ]
    columns = (Column("configuration", False), "seed", "epoch", Column("value", False), "", "rf", "mIoU")
    return table("Learned values after every epoch", columns, lines)


def _samples(results: StudyResults) -> Iterator[Section]:
    verdict = results.comparison.verdict
    chosen = {"best manual": verdict.best_manual, "best learned": verdict.best_learned}
    shown = [
        Shown(title, evidence)
        for title, best in chosen.items()
        if best is not None and (evidence := results.first_evidence(results.complete_rows(best))) is not None
    ]
    if not shown:
        return
    maps = list(_maps(results))
    rows = sample_rows(shown, maps)
    named = "; ".join(f"{title}: {configuration(best)}" for title, best in chosen.items() if best is not None)
    ends = ((one.title, *map_range(one.evidence)) for one in maps)
    scales = tuple((title, number(low, 2), number(high, 2)) for title, low, high in ends)
    caption = f"{named}. Each is shown by its first seed."
    block = Samples(caption, tuple(class_legend(shown[0].evidence)), rows, scales)
    lead = "The same validation images, evenly spaced over the split and not picked."
    yield Section("samples", "Predictions and maps", lead, (block,))


def _maps(results: StudyResults) -> Iterator[Shown]:
    """The best trial of each method that has a map for every pixel."""
    for method in METHODS:
        groups = [group for group in results.comparison.groups if group.method == method]
        if not groups:
            continue
        best = max(groups, key=lambda group: group.miou_mean)
        evidence = results.first_evidence(results.complete_rows({"method": best.method, "params": best.params}))
        if evidence is not None and evidence.maps is not None:
            yield Shown(f"{evidence.map_name} of {method}", evidence)


def _pareto(results: StudyResults) -> Iterator[Section]:
    objectives: list[str] = list(_search(results).get("objectives", ()))
    records = measured(results.records, objectives) if len(objectives) == 2 else []
    if not records:
        return
    best = front(records, objectives)
    words = f"{len(best)} of {len(records)} trials are beaten by no other in both {objectives[0]} and {objectives[1]}"
    drawn = view("", words, pareto_figure, records, objectives)
    chart = Chart("pareto", f"{words}; the line joins them.", (drawn,), pareto_table(records, objectives))
    yield Section("pareto", f"{objectives[0]} against {objectives[1]}", "", (chart,))


def _trials(results: StudyResults) -> Iterator[Section]:
    if results.comparison.rows:
        yield Section("trials", "Every trial", "", (trial_table(results),))


def _reproduce(results: StudyResults) -> Iterator[Section]:
    texts = tuple(reproduction(results))
    if texts:
        yield Section("reproduce", "How to reproduce this", "", texts)


def _search(results: StudyResults) -> Mapping[str, Any]:
    return (results.spec or {}).get("search") or {}


def _words(group: Group) -> str:
    return configuration({"method": group.method, "params": group.params})
