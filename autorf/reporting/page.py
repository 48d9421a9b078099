"""The report as one HTML file."""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autorf import __version__
from autorf.comparison import StudyResults
from autorf.comparison.ending import ending
from autorf.reporting.blocks import Section
from autorf.reporting.report_data import ReportData, report_data
from autorf.reporting.sections import sections
from autorf.reporting.summary import Fact, Picture, facts, headline, picture, running
from autorf.reporting.sweep import Sweep, is_sweep
from autorf.reporting.words import NONE

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
    sentence: str
    running: str
    notes: tuple[str, ...]
    picture: Picture | None
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]
    made: str


def report_page(studies: Sequence[StudyResults]) -> str:
    """The report of studies as they stand: one HTML document that needs no other file and no network.

    Args:
        studies: one; or several with the same validation images, which are compared with the first; or several of one
            kind of data that differ in the size of images or objects, whose best fields are set against the size.

    Raises:
        InputError: when they cannot be compared.
    """
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("report.html.j2")
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    page = _sweep_page(Sweep(studies)) if is_sweep(studies) else _page(report_data(studies))
    return template.render(page=page, style=style, version=__version__, nothing=NONE).lstrip()


def _sweep_page(sweep: Sweep) -> Page:
    name = " + ".join(one.name for one in sweep.each)
    return Page(
        title=f"{name}: {sweep.headline()}",
        study=name,
        eyebrow=_described(sweep.each[0], size=False),
        headline=sweep.headline(),
        sentence=sweep.sentence(),
        running=sweep.running(),
        notes=tuple(line for one in sweep.each for line in _endings(one)),
        picture=None,
        facts=tuple(sweep.facts()),
        sections=tuple(sweep.sections()),
        made=_made(),
    )


def _page(found: ReportData) -> Page:
    return Page(
        title=f"{found.name}: {headline(found)}",
        study=found.name,
        eyebrow=_described(found),
        headline=headline(found),
        sentence=found.comparison.verdict.sentence,
        running=running(found),
        notes=(*_endings(found), *found.comparison.notes),
        picture=picture(found),
        facts=tuple(facts(found)),
        sections=sections(found),
        made=_made(),
    )


def _endings(found: ReportData) -> Iterator[str]:
    for study in found.studies:
        for line in ending(study.notes):
            yield line if len(found.studies) == 1 else f"{study.name}: {line}"


def _made() -> str:
    return f" on {datetime.datetime.now().astimezone():%Y-%m-%d at %H:%M %Z}"


def _described(found: ReportData, *, size: bool = True) -> str:
    data, model = found.part("data"), found.part("model")
    sides = f" at {' x '.join(map(str, data['image_size']))}" if size and data.get("image_size") else ""
    return " · ".join(text for text in (model.get("name"), f"{data['name']}{sides}" if data else "") if text)
