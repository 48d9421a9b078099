"""The sections of a report; each is left out where the study has no data for it."""

from collections.abc import Iterator, Sequence

from autorf.reporting.blocks import Block, Chart, Column, Section, Table, table, view
from autorf.reporting.centres import centre_section
from autorf.reporting.costs import cost_figure, cost_table, curve_table
from autorf.reporting.evidence_sections import class_section, sample_section, size_sections
from autorf.reporting.figures import added_sections
from autorf.reporting.going_on import next_section, word_section
from autorf.reporting.metric import metric_figure
from autorf.reporting.pareto import measured, pareto_figure, pareto_table
from autorf.reporting.report_data import ReportData
from autorf.reporting.reproduce import reproduction
from autorf.reporting.rnorm_section import rnorm_section
from autorf.reporting.search_window import loss_profile_figure, named_profiles, searches
from autorf.reporting.tables import between_table, group_table, multiscale_table, search_free_table, trial_table
from autorf.reporting.trajectories import MOST_PANELS, Trajectory, shared_time, trajectories, trajectory_figure
from autorf.reporting.words import NONE, configuration, fixed, headline, named, plural, score, short
from autorf.study.objectives import sign
from autorf.study.trial import fold_words


def sections(report: ReportData) -> tuple[Section, ...]:
    """Every section that has something to show, in reading order."""
    makers = (
        _field, _published, rnorm_section, _between, _trajectories, size_sections, sample_section, _pareto, _cost,
        class_section, centre_section, _trials, _reproduce, next_section, added_sections, word_section,
    )  # fmt: skip
    return tuple(section for make in makers for section in make(report))


def _field(report: ReportData) -> Iterator[Section]:
    comparison = report.comparison
    if not comparison.groups:
        return
    metric = named(comparison.metric)
    best = max(comparison.groups, key=lambda group: sign(comparison.metric) * group.mean)
    words = (
        f"{metric} of {plural(len(comparison.groups), 'configuration')} against their receptive field; the best is "
        f"{score(best.mean, comparison.metric)} by {configuration(best)} at {short(max(best.rf), 1)} pixels"
    )
    views = (
        view("rf in pixels", words, metric_figure, comparison, "rf"),
        view("rnorm", f"{words}, rnorm {best.rnorm:.2f}", metric_figure, comparison, "rnorm"),
    )
    controls = "; hollow ones are controls" if any(group.control for group in comparison.groups) else ""
    line = "A line is the manual grid of one network at one image size"
    joined = f"{line}; marks are learned fields where training left them{controls}."
    caption = f"{joined}{_band(report)}"
    blocks: list[Block] = [Chart("metric", caption, views, group_table(comparison))]
    if any(rule.group for rule in comparison.named):
        blocks.append(search_free_table(comparison))
    if comparison.multiscale:
        blocks.append(multiscale_table(comparison))
    means = "" if comparison.means is None else f" {comparison.means.sentence}"
    lead = f"Too small a field does not see an object whole; too large a one sees its neighbours.{means}"
    yield Section("field", f"{metric} against the receptive field", lead, tuple(blocks))


def _published(report: ReportData) -> Iterator[Section]:
    figures = report.comparison.published
    if not figures:
        return
    lines = [
        (
            f"{figure.paper}, Table {figure.table}, {figure.row}",
            NONE if figure.method is None else f"{figure.method} ({figure.setting})",
            named(figure.metric),
            fixed(figure.published, 4),
            fixed(figure.ours, 4),
            fixed(figure.ci95, 4),
            str(figure.n),
        )
        for figure in figures
    ]
    columns = (Column("paper", False), Column("here", False), Column("metric", False))
    listed = table("Published figures and ours", (*columns, "published", "ours", "± 95 %", "seeds"), lines)
    lead = "Published figures are of the papers' test splits, ours of the validation split; nothing is chosen by them."
    yield Section("published", "Against the paper", lead, (listed,))


def _band(report: ReportData) -> str:
    groups = report.comparison.groups
    if any(group.n > 1 for group in groups):
        return " The band and the bars are 95 % intervals over seeds; dots are single seeds."
    if any(group.ci95_images is not None for group in groups):
        return " One seed: the band and the bars are 95 % intervals over other validation images alone."
    return ""


def _between(report: ReportData) -> Iterator[Section]:
    if report.comparison.between:
        lead = " ".join(entry["sentence"] for entry in report.comparison.between)
        yield Section("between", "Study against study", lead, (between_table(report.comparison),))


def _trajectories(report: ReportData) -> Iterator[Section]:
    shown = trajectories(report.records)
    if not shown:
        return
    words = (
        f"Learned values over the training of {plural(len(shown), 'configuration')}: {'; '.join(map(_end_of, shown))}"
    )
    more = f" The first {MOST_PANELS} of {len(shown)} configurations." if len(shown) > MOST_PANELS else ""
    caption = (
        "One line a seed, and one a branch or layer that learns its own, with its number; the dashed line is the "
        "receptive field, on the right scale. "
        "A band is the spread over pixels; the shading is what share of images a search gives to each option."
        f"{more}"
    )
    chart = Chart(
        "trajectories",
        caption,
        (view("", words, trajectory_figure, report.records),),
        _courses(shown, headline(report.comparison)),
    )
    yield Section("learning", "How the fields were learned", "", (chart, *_profiles(report)))


def _end_of(trajectory: Trajectory) -> str:
    last = trajectory.records[0].history[-1]
    return f"{trajectory.label} {trajectory.quantity} ends at {short(last.learned[trajectory.quantity], 2)}"


def _profiles(report: ReportData) -> Iterator[Chart]:
    searched = searches(report.records)
    if not searched:
        return
    lines = [
        (record.label, str(record.seed), f"{name} {rate:g}", short(loss, 4))
        for record, trace in searched
        for name, profile in named_profiles(record, trace)
        for rate, loss in zip(trace.rates, profile, strict=True)
    ]
    caption = (
        "What each search knew of the loss at every option when it ended, one line a training, and one a layer that "
        "searched its own, with its number; dashed, on the right scale, the "
        f"{headline(report.comparison)} of separate trainings. Where the line is lowest is what the search chose."
    )
    words = f"Loss over the options as {plural(len(searched), 'search')} knew it"
    columns = (Column("configuration", False), "seed", "option", "loss less the first option's")
    listed = table("What the searches knew of every option", columns, lines)
    yield Chart("profiles", caption, (view("", words, loss_profile_figure, report.records),), listed)


def _courses(shown: Sequence[Trajectory], metric: str) -> Table:
    time = shared_time(shown)
    lines = [
        (
            trajectory.label,
            f"{record.seed}{fold_words(record.fold)}",
            str(time.at(reported)),
            f"{trajectory.quantity} {short(reported.learned[trajectory.quantity])}",
            short(reported.side, 1),
            short(reported.headline),
        )
        for trajectory in shown
        for record in trajectory.records
        for reported in record.history
    ]
    columns = (Column("configuration", False), "seed", time.label, "learned value", "rf", metric)
    return table("Learned values at every report", columns, lines)


def _pareto(report: ReportData) -> Iterator[Section]:
    comparison = report.comparison
    rows = measured(comparison)
    if not rows:
        return
    first, second = map(named, comparison.objectives)
    best = sum(bool(row.on_front) for row in rows)
    words = f"{best} of {plural(len(rows), 'trial')} are beaten by no other in both {first} and {second}"
    chart = Chart(
        "pareto",
        f"{words}; the line joins them.",
        (view("", words, pareto_figure, comparison),),
        pareto_table(comparison),
    )
    yield Section("pareto", f"{first} against {second}", "", (chart,))


def _cost(report: ReportData) -> Iterator[Section]:
    comparison = report.comparison
    blocks: list[Block] = []
    if any(len(curve.points) > 1 for curve in comparison.curves):
        ends = ", ".join(
            f"{curve.way} ends at {score(curve.points[-1]['score'], comparison.metric)}"
            for curve in comparison.curves
            if curve.order == "as run"
        )
        words = f"{named(comparison.metric)} of the best so far against the training time spent: {ends}"
        views = (
            view("regret", f"{words}; drawn as the distance to the best of all", cost_figure, comparison, "regret"),
            view("best so far", words, cost_figure, comparison, "score"),
        )
        caption = (
            "Solid: trials in the order in which they ran. Dashed: the mean over all orders of the manual grid, as if "
            "every configuration ran with all its seeds. The score is the mean over seeds of what looked best by then."
        )
        blocks.append(Chart("cost", caption, views, curve_table(comparison)))
    if comparison.costs:
        blocks.append(cost_table(comparison))
    if blocks:
        yield Section("cost", "What it cost", "", tuple(blocks))


def _trials(report: ReportData) -> Iterator[Section]:
    if report.comparison.rows:
        yield Section("trials", "Every trial", "", (trial_table(report),))


def _reproduce(report: ReportData) -> Iterator[Section]:
    texts = tuple(reproduction([report]))
    if texts:
        yield Section("reproduce", "How to reproduce this", "", texts)
