"""The top of a report: the verdict, the key numbers, and the two fields drawn to scale."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autorf.report.results import StudyResults
from autorf.report.samples import photo
from autorf.report.theme import tone
from autorf.report.words import METRIC_NAMES, configuration, duration, fixed, number, signed
from autorf.study.comparison import Verdict

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


def headline(verdict: Verdict) -> str:
    """The verdict in a few words."""
    if verdict.difference is None:
        return "No verdict yet"
    if verdict.difference_ci95 is None:
        return "One seed cannot tell"
    if abs(verdict.difference) <= verdict.difference_ci95:
        return "No difference at this number of seeds"
    return f"Learning is {'better' if verdict.difference > 0 else 'worse'} by {abs(verdict.difference):.3f}"


def running(results: StudyResults) -> str:
    """What a reader of an unfinished study has to know; empty for a finished one."""
    if not results.unfinished:
        return ""
    return (
        f"The study is not finished: {results.unfinished} of {len(results.records)} trials are still to come, "
        "and everything here may change."
    )


def facts(results: StudyResults) -> Iterator[Fact]:
    """The key numbers, those that exist."""
    verdict = results.comparison.verdict
    metric = METRIC_NAMES.get(results.comparison.metric, results.comparison.metric)
    for title, best in (("Best manual", verdict.best_manual), ("Best learned", verdict.best_learned)):
        if best is not None:
            yield Fact(f"{title}, {metric}", fixed(best["miou_mean"]), _described(best), tone(best["method"]))
    if verdict.difference is not None:
        interval = verdict.difference_ci95
        note = "one seed: no interval" if interval is None else f"± {interval:.3f}, 95 % interval over paired seeds"
        yield Fact("Difference", signed(verdict.difference), note)
    if verdict.cost_ratio is not None:
        yield Fact("Cost of learning", f"{verdict.cost_ratio:.0%}", "of the manual grid's training time")
    if results.records:
        yield Fact("Trials", str(len(results.records)), _states(results))
    split = next((row.split for row in results.comparison.rows if row.split), None)
    if split is not None:
        yield Fact("Split", {"val": "validation", "test": "test"}.get(split, split), "chosen and measured on it")


def picture(results: StudyResults) -> Picture | None:
    """The best manual and the best learned field on the first validation image, where a trial kept one."""
    verdict = results.comparison.verdict
    chosen = {"best manual": verdict.best_manual, "best learned": verdict.best_learned}
    found = {title: best for title, best in chosen.items() if best is not None}
    rows = [row for best in found.values() for row in results.complete_rows(best)]
    evidence = results.first_evidence(rows)
    size = _image_size(results)
    if evidence is None or size is None or not len(evidence.samples):
        return None
    height, width = size
    frames = tuple(_frame(title, best, width, height) for title, best in found.items())
    sides = {title: _side(best) for title, best in found.items()}
    caption = " ".join(
        f"{'Dashed' if frame.dashed else 'Solid'}: {frame.title}, {sides[frame.title]} px." for frame in frames
    )
    text = f"A validation image of {width} x {height} pixels with the receptive fields drawn to scale. {caption}"
    left = min(0.0, *(frame.x for frame in frames)) - 1
    top = min(0.0, *(frame.y for frame in frames)) - 1
    box = f"{left:g} {top:g} {width - 2 * left:g} {height - 2 * top:g}"
    return Picture(photo(evidence.samples[0].numpy()), width, height, box, frames, text, f"To scale. {caption}")


def _frame(title: str, best: Mapping[str, Any], width: int, height: int) -> Frame:
    tall, wide = (float(side) for side in best["rf"])
    left, top = round((width - wide) / 2, 1), round((height - tall) / 2, 1)
    return Frame(left, top, round(wide, 1), round(tall, 1), FRAMES[title], title == "best manual", title)


def _side(best: Mapping[str, Any]) -> str:
    return number(max(best["rf"]), 1)


def _image_size(results: StudyResults) -> tuple[int, int] | None:
    size = ((results.spec or {}).get("data") or {}).get("image_size")
    if isinstance(size, int):
        return size, size
    return (int(size[0]), int(size[1])) if size else None


def _described(best: Mapping[str, Any]) -> str:
    seeds = f"{best['n']} seed{'s' * (best['n'] != 1)}"
    field = f"rf {_side(best)}, rnorm {best['rnorm']:.2f}"
    return f"{configuration(best)}; {field}; {seeds}, {duration(best['train_seconds'])} each"


def _states(results: StudyResults) -> str:
    return ", ".join(f"{count} {state}" for state, count in results.states.items())
