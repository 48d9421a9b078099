"""Figures that packages of others add to a report."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from autorf import plugins
from autorf.reporting.blocks import Block, Section
from autorf.reporting.report_data import ReportData


@dataclass(frozen=True)
class ReportFigure:
    """A section of its own at the end of a report, registered as an entry point of ``autorf.figures``.

    Attributes:
        title: of the section.
        blocks: makes its charts, tables and texts from the studies and their comparison; none leaves the section out.
        lead: a sentence under the title.
    """

    title: str
    blocks: Callable[[ReportData], Iterable[Block]]
    lead: str = ""


def _problem(_: str, plugin: Any) -> str | None:
    return None if isinstance(plugin, ReportFigure) else "is no autorf.reporting.ReportFigure"


FIGURES: plugins.Registry[ReportFigure] = plugins.Registry(plugins.FIGURES, "figure", (), _problem)
"""The figures of installed packages."""


def added_sections(report: ReportData) -> Iterator[Section]:
    """A section for each installed figure that has something to show; one that fails is named and left out."""
    for name in FIGURES:
        if not FIGURES.knows(name):
            continue
        figure = FIGURES[name]
        try:
            blocks = tuple(figure.blocks(report))
        # A stranger's drawing must not cost the report.
        except Exception as error:
            print(f"autorf: the figure {name!r} is left out: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        if blocks:
            yield Section(f"added-{name}", figure.title, figure.lead, blocks)
