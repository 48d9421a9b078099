"""The floors as a picture: a row for each floor, the ground at the bottom, a box for each room."""

import textwrap
from collections.abc import Mapping, Sequence
from html import escape

from docs.generator.floors import FLOORS, Room

WIDTH, MARGIN, GAP, FLOOR_GAP = 900, 1, 10, 14
MOST_IN_A_ROW = 4
LINE, PADDING, CHARACTER = 17, 12, 6.9
"""Pixels: height of a line of text, space inside a box, width of a letter at the size used."""


def picture(rooms: Mapping[str, Room], floors: Sequence[Sequence[str]] = FLOORS) -> str:
    """An SVG of the floors, coloured by the page's own style; rooms that have no files yet are left out."""
    parts: list[str] = []
    top: float = MARGIN
    for floor in reversed(floors):
        standing = [rooms[name] for name in floor if name in rooms]
        for start in range(0, len(standing), MOST_IN_A_ROW):
            drawn, height = _row(standing[start : start + MOST_IN_A_ROW], top)
            parts += drawn
            top += height + GAP
        top += FLOOR_GAP - GAP if standing else 0
    description = "The rooms of the library on their floors; each imports only from rooms below it"
    return (
        f'<svg class="floors" viewBox="0 0 {WIDTH} {top}" role="img" aria-label="{description}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def _row(rooms: Sequence[Room], top: float) -> tuple[list[str], float]:
    """The boxes of rooms side by side, all as high as the fullest, and that height."""
    width = (WIDTH - 2 * MARGIN - GAP * (len(rooms) - 1)) / len(rooms)
    texts = [_text(room, int((width - 2 * PADDING) / CHARACTER)) for room in rooms]
    height = LINE * (1 + max(len(lines) for lines in texts)) + 2 * PADDING
    boxes = []
    for index, (room, lines) in enumerate(zip(rooms, texts, strict=True)):
        boxes.append(_box(room, lines, (MARGIN + index * (width + GAP), top), (width, height)))
    return boxes, height


def _text(room: Room, letters: int) -> list[tuple[str, str]]:
    """The lines below a room's name, each with its style."""
    summary = [("summary", line) for line in textwrap.wrap(room.summary.replace("``", ""), letters)]
    if not room.imports:
        return summary
    below = "imports " + ", ".join(sorted(room.imports))
    return [*summary, *(("imports", line) for line in textwrap.wrap(below, letters))]


def _box(room: Room, lines: Sequence[tuple[str, str]], corner: tuple[float, float], size: tuple[float, float]) -> str:
    (left, top), (width, height) = corner, size
    baseline = top + PADDING + LINE - 4
    words = "".join(
        f'<text class="{style}" x="{left + PADDING:.0f}" y="{baseline + LINE * number:.0f}">{escape(line)}</text>'
        for number, (style, line) in enumerate(lines, 1)
    )
    return (
        f'<g><rect x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{height:.0f}" rx="4"/>'
        f'<text class="room" x="{left + PADDING:.0f}" y="{baseline:.0f}">{escape(room.name)}</text>'
        f'<text class="lines" x="{left + width - PADDING:.0f}" y="{baseline:.0f}" text-anchor="end">'
        f"{room.lines:,} lines</text>{words}</g>"
    )
