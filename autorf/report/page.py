"""The report as one HTML file."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from autorf import __version__
from autorf.report.blocks import Section
from autorf.report.findings import Findings
from autorf.report.sections import sections
from autorf.report.summary import Fact, Picture, facts, headline, picture, running

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


def report_page(found: Findings) -> str:
    """The report of a study as it stands: one HTML document that needs no other file and no network."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("report.html.j2")
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    return template.render(page=_page(found), style=style, version=__version__).lstrip()


def _page(found: Findings) -> Page:
    return Page(
        title=f"{found.name}: {headline(found)}",
        study=found.name,
        eyebrow=_described(found),
        headline=headline(found),
        sentence=found.comparison.verdict.sentence,
        running=running(found),
        notes=found.comparison.notes,
        picture=picture(found),
        facts=tuple(facts(found)),
        sections=sections(found),
        made=f" on {datetime.datetime.now().astimezone():%Y-%m-%d at %H:%M %Z}",
    )


def _described(found: Findings) -> str:
    data, model = found.part("data"), found.part("model")
    size = data.get("image_size")
    sides = "" if not size else f" at {size}" if isinstance(size, int) else f" at {size[0]} x {size[1]}"
    return " · ".join(text for text in (model.get("name"), f"{data['name']}{sides}" if data else "") if text)
