"""Tables for people where a terminal is, and for programs where it is not."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

PIPE_WIDTH = 200
"""A pipe has no width of its own; a table cut to 80 columns would lose its numbers."""

_ANY_WIDTH = 100 * PIPE_WIDTH


def console_for(*tables: Table) -> Console:
    """A console as wide as the terminal; where there is none, wide enough that nothing of ``tables`` is cut."""
    console = Console()
    if not console.is_terminal:
        console.width = max([PIPE_WIDTH, *(measured_width(console, table) for table in tables)])
    return console


def measured_width(console: Console, table: Table) -> int:
    """How wide a table is where nothing of it is cut."""
    return Measurement.get(console, console.options.update(width=_ANY_WIDTH), table).maximum
