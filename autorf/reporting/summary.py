"""The top of a report: what to use, the verdict, the key numbers, and the two fields drawn to scale."""

from collections.abc import Iterator
from dataclasses import dataclass

from autorf.comparison import Comparison, Equal, FieldMap, Group, Verdict
from autorf.reporting.report_data import ReportData
from autorf.reporting.samples import photo
from autorf.reporting.theme import tone
from autorf.reporting.words import configuration, device_time, difference, named, percent, plural, score, short
from autorf.study.trial import side_text

_SPLITS = {"val": "validation", "test": "test"}

FRAMES = {"best manual": "#56b4e9", "best learned": "#ffb454"}
"""Colours that stand out from a photograph in either theme."""


@dataclass(frozen=True)
class Fact:
    """A key number; ``tone`` names a colour of the style sheet."""

    title: str
    value: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Frame:
    """A receptive field as a rectangle on an image, in the image's pixels."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    dashed: bool
    title: str


@dataclass(frozen=True)
class Picture:
    """A validation image with receptive fields to scale around its centre."""

    source: str
    width: int
    height: int
    box: str
    frames: tuple[Frame, ...]
    text: str
    caption: str


def headline(report: ReportData) -> str:
    """What to use, in a few words."""
    answer = report.comparison.recommendation
    if answer is None or answer.highest is None:
        return "No field can be named yet"
    if answer.rf_low is None:
        return f"For now use a field of {short(answer.highest, 1)} pixels"
    same = answer.rf_low == answer.rf_high
    return f"Use a field of {short(answer.rf_low, 1)}{'' if same else f' to {short(answer.rf_high, 1)}'} pixels"


def running(report: ReportData) -> str:
    """What a reader of an unfinished study has to know; empty for a finished one."""
    if not report.unfinished:
        return ""
    return (
        f"The study is not finished: {report.unfinished} of {len(report.records)} trials are still to come, "
        "and everything here may change."
    )


def facts(report: ReportData) -> Iterator[Fact]:
    """The key numbers, those that exist."""
    comparison = report.comparison
    verdict, metric = comparison.verdict, comparison.metric
    for name, group in report.best():
        yield Fact(
            f"{name.capitalize()}, {named(metric)}",
            score(group.mean, metric),
            _described(group, comparison.unit),
            tone(group.method),
        )
    if verdict.difference is not None:
        yield from _differences(verdict, comparison)
    if verdict.cost_ratio is not None:
        bill = ", ".join(f"{cost.way} {cost.seconds:,.0f}" for cost in comparison.costs)
        note = f"of the manual grid's training time; {comparison.unit} in all: {bill}"
        yield Fact("Cost of the best learned", percent(verdict.cost_ratio), note)
    for each in comparison.rnorm:
        yield _rnorm_fact(each)
    if report.records:
        yield Fact(
            "Trials", str(len(report.records)), ", ".join(f"{count} {state}" for state, count in report.states.items())
        )
    split = next((row.split for row in comparison.rows if row.split), None)
    if split is not None:
        images = f"{verdict.n_images} images; " if verdict.n_images else ""
        folds = next((group.folds for group in comparison.groups if group.folds), None)
        if folds is None:
            yield Fact("Split", _SPLITS.get(split, split), f"{images}chosen and measured on it")
        else:
            yield Fact("Split", f"{folds} folds", f"{images}each scored by a model that never saw it, and chosen by")


def _rnorm_fact(each: FieldMap) -> Fact:
    """What fits the winning fields of all image sizes."""
    line, of = each.line, f" ({each.name})" if each.name else ""
    title = f"rnorm of {plural(len(each.sizes), 'image size')}{of}"
    if line.ratio is None or line.low is None or line.high is None:
        return Fact(title, "none fits yet", "two sizes need their winner inside the grid", "manual")
    fit = "close" if line.fits else "poor"
    return Fact(
        title, f"{line.ratio:.2f}", f"95 % interval {line.low:.2f} to {line.high:.2f}; the fit is {fit}", "manual"
    )


def _differences(verdict: Verdict, comparison: Comparison) -> Iterator[Fact]:
    """At equal steps and at equal cost; without, the plain difference, and that training was not equal."""
    metric, steps, cost = comparison.metric, verdict.equal_steps, verdict.equal_cost
    if steps is None:
        value = difference(verdict.difference, metric)
        yield Fact("Difference, training not equal", value, _interval(verdict, metric))
    else:
        length = steps.learned["steps"]
        title = "Difference at equal epochs" if length is None else f"Difference at equal steps, {length}"
        yield Fact(title, difference(steps.difference, metric), _equal_note(steps, metric))
    if cost is not None:
        title = f"Difference at equal cost, {device_time(cost.learned['own_seconds'], comparison.unit)}"
        yield Fact(title, difference(cost.difference, metric), _equal_note(cost, metric))


def _equal_note(equal: Equal, metric: str) -> str:
    same = "same field: what the search costs or brings; " if equal.same_field else ""
    against = f"{same}against {score(equal.manual['mean'], metric)} by {equal.manual['method']}"
    ends = [difference(end, metric) for end in (equal.difference_low, equal.difference_high) if end is not None]
    return f"{against}; {f'95 % interval {ends[0]} to {ends[1]}' if len(ends) > 1 else 'no interval'}"


def _interval(verdict: Verdict, metric: str) -> str:
    """The interval of the difference and what it is over."""
    if verdict.difference_low is not None and verdict.difference_high is not None:
        ends = " to ".join(difference(end, metric) for end in (verdict.difference_low, verdict.difference_high))
        images = f" and {verdict.n_images} images" if verdict.n_images else ""
        return (
            f"95 % interval {ends} over {plural(verdict.n_seeds, 'seed')}{images}, corrected for choosing among "
            f"{verdict.n_manual} manual and {verdict.n_learned} learned"
        )
    if verdict.images_low is not None and verdict.images_high is not None:
        ends = " to ".join(difference(end, metric) for end in (verdict.images_low, verdict.images_high))
        return f"one seed; over other validation images alone {ends}"
    return "one seed: no interval"


def picture(report: ReportData) -> Picture | None:
    """The best manual and the best learned field on the first validation image, where a trial kept one."""
    best = dict(report.best())
    evidence = next((shown for group in best.values() if (shown := report.first_evidence(group))), None)
    size = report.part("data").get("image_size")
    if evidence is None or not size or not len(evidence.samples):
        return None
    height, width = (int(length) for length in size)
    frames = tuple(_frame(name, group, height, width) for name, group in best.items())
    caption = " ".join(
        f"{'Dashed' if frame.dashed else 'Solid'}: {frame.title}, {side_text(best[frame.title].rf)} px."
        for frame in frames
    )
    text = f"A validation image of {width} x {height} pixels with the receptive fields drawn to scale. {caption}"
    left = min(0.0, *(frame.x for frame in frames)) - 1
    top = min(0.0, *(frame.y for frame in frames)) - 1
    box = f"{left:g} {top:g} {width - 2 * left:g} {height - 2 * top:g}"
    return Picture(photo(evidence.samples[0].numpy()), width, height, box, frames, text, f"To scale. {caption}")


def _frame(name: str, group: Group, height: int, width: int) -> Frame:
    """A field on an image of these sides, whatever size the configuration saw it in."""
    seen_height, seen_width = group.image_size or (height, width)
    tall, wide = group.rf[0] * height / seen_height, group.rf[1] * width / seen_width
    left, top = round((width - wide) / 2, 1), round((height - tall) / 2, 1)
    return Frame(left, top, round(wide, 1), round(tall, 1), FRAMES[name], name == "best manual", name)


def _described(group: Group, unit: str) -> str:
    field = f"rf {side_text(group.rf)}, rnorm {group.rnorm:.2f}"
    length = f"{group.steps_in_words} steps, " if group.steps_in_words else ""
    trained = f"{plural(group.n, 'seed')}, {length}{device_time(group.own_seconds, unit)} each"
    return f"{configuration(group)}; {field}; {trained}"
