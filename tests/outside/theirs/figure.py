"""A figure: how many seeds each method had."""

from collections.abc import Iterator

from autorf.reporting import ReportData, ReportFigure
from autorf.reporting.blocks import Block, Column, table


def _blocks(report: ReportData) -> Iterator[Block]:
    lines = [(group.method, str(group.n)) for group in report.comparison.groups]
    yield table("Seeds by method", (Column("method", False), "seeds"), lines)


SEEDS = ReportFigure("How often each was tried", _blocks, "From another package.")
