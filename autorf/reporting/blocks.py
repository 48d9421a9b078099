"""What a page is made of; the template knows how each kind looks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from autorf.reporting.samples import SampleRow
from autorf.reporting.svg import inline_svg
from autorf.reporting.theme import LAYOUTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Column:
    """A column of a table; numbers stand to the right."""

    title: str
    is_number: bool = True


@dataclass(frozen=True)
class Line:
    """A row of a table: its cells, an optional mark such as ``front``, and a note over its whole width."""

    cells: tuple[str, ...]
    mark: str = ""
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a caption for screen readers."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class View:
    """One drawing of a chart in every layout, as SVG; ``title`` is its choice where a chart has several."""

    title: str
    drawings: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """A figure with everything that says the same in words: a caption, an alternative and its data."""

    kind: ClassVar[str] = "chart"
    name: str
    caption: str
    views: tuple[View, ...]
    data: Table


@dataclass(frozen=True)
class Samples:
    """Validation images with their predictions and maps."""

    kind: ClassVar[str] = "samples"
    caption: str
    classes: tuple[tuple[str, str], ...]
    rows: tuple[SampleRow, ...]
    scales: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Code:
    """Text to copy."""

    kind: ClassVar[str] = "code"
    caption: str
    text: str


Block = Table | Chart | Samples | Code


@dataclass(frozen=True)
class Section:
    """A part of the page with an anchor."""

    name: str
    title: str
    lead: str
    blocks: tuple[Block, ...]


def view(title: str, alternative: str, draw: "Callable[..., Figure]", *arguments: object) -> View:
    """A figure drawn in every layout; ``draw`` takes ``arguments`` and a keyword ``layout``."""
    drawings = (
        inline_svg(draw(*arguments, layout=layout), alternative, f"drawing {layout.name}") for layout in LAYOUTS
    )
    return View(title, tuple(drawings))


def table(caption: str, columns: Sequence[Column | str], lines: Sequence[Line | Sequence[str]]) -> Table:
    """A table; plain strings are titles of columns of numbers, plain sequences rows without a mark."""
    built = Table(
        caption,
        tuple(Column(column) if isinstance(column, str) else column for column in columns),
        tuple(line if isinstance(line, Line) else Line(tuple(line)) for line in lines),
    )
    assert all(len(line.cells) == len(built.columns) for line in built.lines), caption
    return built
