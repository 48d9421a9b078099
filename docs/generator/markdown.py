"""Markdown from plain values, and from the marks that docstrings use."""

import re
from collections.abc import Iterable, Sequence

_ROLE = re.compile(r":(?:func|class|meth|mod|attr):`~?([^`]+)`")


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar inside a cell is escaped."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines) + "\n"


def plain_roles(text: str) -> str:
    """A docstring's text with ``:func:`name``` and the like as code."""
    return _ROLE.sub(r"`\1`", text)
