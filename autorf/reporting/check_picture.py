"""One of the user's pictures with the boxes of both fields and of its objects, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from autorf.advice.model_check import ModelCheck
from autorf.data.class_colours import class_colour
from autorf.reporting.samples import photo

FIELD, EFFECTIVE, HALF = "#ffb454", "#56b4e9", "#a6e3a1"
"""Colours that stand out from a photograph in either theme."""

View = tuple[float, float, float, float]
"""Left, top, width and height in pixels of the picture."""

_MOST_OBJECTS = 60
"""The largest ones are drawn."""


class Box(NamedTuple):
    """A rectangle in pixels of the picture, which may reach beyond it."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    title: str
    dash: str = ""


class Entry(NamedTuple):
    """A line of the legend."""

    colour: str
    text: str
    dash: str = ""


def check_picture(checked: ModelCheck) -> str:
    """The picture of ``checked`` as one ``<svg>``; the fields stand around its centre, to scale."""
    assert checked.shown is not None
    height, width = checked.shown.shape[:2]
    source = photo(checked.shown.transpose(2, 0, 1))
    fields, objects = list(_fields(checked, height, width)), list(_objects(checked))
    view = left, top, across, down = _view(fields, height, width)
    entries = [_entry(box, view) for box in fields] + _legend(checked)
    size = across / 48
    lines = list(_wrapped(entries, across, size))
    total = down + (len(lines) + 0.5) * 1.7 * size
    label = f"A picture with the boxes of both fields and of its {len(objects)} largest objects"
    place = f'x="{left:g}" y="{top:g}" width="{across:g}" height="{down:g}"'
    return (
        f'<svg viewBox="{left:g} {top:g} {across:g} {total:g}" role="img" aria-label="{label}" class="drawing" '
        f'style="max-width: 44rem"><svg {place} viewBox="{left:g} {top:g} {across:g} {down:g}" overflow="hidden">'
        f'<image href="{source}" x="0" y="0" width="{width}" height="{height}"/>'
        f"{''.join(map(_rectangle, (*objects, *fields)))}</svg>"
        f"{''.join(_texts(lines, left, top + down, size))}</svg>"
    )


def _entry(box: Box, view: View) -> Entry:
    inside = box.x >= view[0] and box.y >= view[1]
    return Entry(box.colour, box.title if inside else f"{box.title} (beyond this drawing)", box.dash)


def _fields(checked: ModelCheck, height: int, width: int) -> Iterator[Box]:
    rows, columns = checked.field.size
    sides = f"{rows:g}" if rows == columns else f"{rows:g} x {columns:g}"
    yield _centred(rows, columns, height, width, FIELD, f"receptive field, {sides} px")
    if checked.effective is not None:
        for share, colour, dash in ((0.99, EFFECTIVE, "7 5"), (0.5, HALF, "2 4")):
            side = checked.effective.sides[share]
            title = f"{share:.0%} of the effective field, {side} px"
            yield _centred(side, side, height, width, colour, title, dash)


def _centred(rows: float, columns: float, height: int, width: int, colour: str, title: str, dash: str = "") -> Box:
    return Box((width - columns) / 2, (height - rows) / 2, columns, rows, colour, title, dash)


def _objects(checked: ModelCheck) -> Iterator[Box]:
    names = {sizes.label: sizes.name for sizes in checked.objects}
    largest = sorted(checked.shown_objects, key=lambda each: -each.area)[:_MOST_OBJECTS]
    for each in largest:
        top, left, bottom, right = each.box
        title = f"{names.get(each.label, each.label)}, {each.side} px"
        yield Box(left, top, right - left, bottom - top, class_colour(each.label), title)


def _legend(checked: ModelCheck) -> list[Entry]:
    present = {each.label for each in checked.shown_objects}
    return [Entry(class_colour(sizes.label), sizes.name) for sizes in checked.objects if sizes.label in present]


def _view(fields: Sequence[Box], height: int, width: int) -> View:
    """The part that is drawn: the picture, and around it what the fields add where that is not too much."""
    margins = (max(-box.x, -box.y) for box in fields)
    most = max(height, width) / 3
    margin = max([0.0, *(margin for margin in margins if margin <= most)]) + 4
    return -margin, -margin, width + 2 * margin, height + 2 * margin


def _rectangle(box: Box) -> str:
    place = f'x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}"'
    style = "fill: none; vector-effect: non-scaling-stroke"
    dash = f"; stroke-dasharray: {box.dash}" if box.dash else ""
    return (
        f'<rect {place} style="{style}; stroke: #000; stroke-opacity: 0.55; stroke-width: 4"/>'
        f'<rect {place} style="{style}; stroke: {box.colour}; stroke-width: 2{dash}">'
        f"<title>{escape(box.title)}</title></rect>"
    )


def _wrapped(entries: Sequence[Entry], across: float, size: float) -> Iterator[list[tuple[float, Entry]]]:
    """The legend's entries in lines, each with where it begins."""
    line: list[tuple[float, Entry]] = []
    at = size
    for entry in entries:
        taken = (4.5 + 0.62 * len(entry.text)) * size
        if line and at + taken > across:
            yield line
            line, at = [], size
        line.append((at, entry))
        at += taken
    yield line


def _texts(lines: Sequence[Sequence[tuple[float, Entry]]], left: float, top: float, size: float) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        y = top + 1.7 * size * number
        for at, entry in line:
            dash = f"; stroke-dasharray: {entry.dash}" if entry.dash else ""
            x = left + at
            yield (
                f'<path d="M{x:g} {y - size / 3:g}h{2 * size:g}" style="stroke: {entry.colour}; '
                f'stroke-width: 3; vector-effect: non-scaling-stroke{dash}"/>'
                f'<text x="{x + 2.6 * size:g}" y="{y:g}" style="font-size: {size:g}px; fill: var(--ink)">'
                f"{escape(entry.text)}</text>"
            )
