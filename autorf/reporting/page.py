"""The report as one HTML file."""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autorf import __version__
from autorf.comparison import StudyResults, image_sizes
from autorf.comparison.ending import ending
from autorf.reporting.blocks import Section
from autorf.reporting.report_data import ReportData, report_data
from autorf.reporting.sections import sections
from autorf.reporting.summary import Fact, Picture, facts, headline, picture, running
from autorf.reporting.sweep import Sweep, is_sweep
from autorf.reporting.words import NONE
from autorf.study.own_loop import is_own_loop

GENERATOR = '<meta name="generator" content="autorf'
"""What every report has in its first lines, and a file by someone else has not."""

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Page:
    """Everything the template fills in."""

    title: str
    study: str
    eyebrow: str
    headline: str
    recommendation: str
    sentence: str
    running: str
    notes: tuple[str, ...]
    picture: Picture | None
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]
    date: str


def report_page(studies: Sequence[StudyResults]) -> str:
    """The report of studies as they stand: one HTML document that needs no other file and no network.

    Args:
        studies: one; or several with the same validation images, which are compared with the first; or several of one
            kind of data that differ in the size of images or objects, whose best fields are set against the size.

    Raises:
        InputError: when they cannot be compared.
    """
    return rendered(_sweep_page(Sweep(studies)) if is_sweep(studies) else _page(report_data(studies)))


def rendered(page: Page) -> str:
    """A page as one HTML document that needs no other file and no network."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("report.html.j2")
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    return template.render(page=page, style=style, version=__version__, nothing=NONE).lstrip()


def _sweep_page(sweep: Sweep) -> Page:
    name = " + ".join(report.name for report in sweep.each)
    return Page(
        title=f"{name}: {sweep.headline()}",
        study=name,
        eyebrow=_described(sweep.each[0], size=False),
        headline=sweep.headline(),
        recommendation="",
        sentence=sweep.sentence(),
        running=sweep.running(),
        notes=tuple(line for report in sweep.each for line in _endings(report)),
        picture=None,
        facts=tuple(sweep.facts()),
        sections=tuple(sweep.sections()),
        date=today(),
    )


def _page(report: ReportData) -> Page:
    return Page(
        title=f"{report.name}: {headline(report)}",
        study=report.name,
        eyebrow=_described(report),
        headline=headline(report),
        recommendation=report.comparison.recommendation.text if report.comparison.recommendation else "",
        sentence=report.comparison.verdict.sentence,
        running=running(report),
        notes=(*_endings(report), *_same_images(report), *report.comparison.notes),
        picture=picture(report),
        facts=tuple(facts(report)),
        sections=sections(report),
        date=today(),
    )


def _endings(report: ReportData) -> Iterator[str]:
    for study in report.studies:
        for line in ending(study.notes):
            yield line if len(report.studies) == 1 else f"{study.name}: {line}"


def _same_images(report: ReportData) -> Iterator[str]:
    return (images.sentence for images in report.comparison.validation_images)


def today() -> str:
    """When a page was made, to end a sentence with."""
    return f" on {datetime.datetime.now().astimezone():%Y-%m-%d at %H:%M %Z}"


def _sides(image_size: Sequence[int]) -> str:
    return " x ".join(map(str, image_size))


def _described(report: ReportData, *, size: bool = True) -> str:
    data, model = report.part("data"), report.part("model")
    if is_own_loop(spec := report.studies[0].spec):
        # Of data and model only the function knows.
        data, model = {**data, "name": "images"}, {"name": spec["loop"]}
    seen = image_sizes(report.comparison.groups) or [tuple(data.get("image_size") or ())]
    sides = f" at {' to '.join(dict.fromkeys(map(_sides, (seen[0], seen[-1]))))}" if size and any(seen) else ""
    return " · ".join(text for text in (model.get("name"), f"{data['name']}{sides}" if data else "") if text)
