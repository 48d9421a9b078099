"""The phases of a method as a picture: a box for each, an arrow for what moves a model from one to the next."""

from dataclasses import dataclass
from html import escape

BOX, HEIGHT, GAP, TOP = 132, 64, 104, 70
"""Pixels: width and height of a box, the way between two, and the space above, for the arrow back."""

LINE = 15


@dataclass(frozen=True)
class Phase:
    """One box.

    Attributes:
        name: of the phase.
        lines: what the model is in it.
        onward: what moves a model to the next box.
    """

    name: str
    lines: tuple[str, ...]
    onward: tuple[str, ...] = ()


PHASES = (
    Phase("plain", ("your network",), ("adapt",)),
    Phase("idle", ("computes what it", "did before"), ("advance", "step 0")),
    Phase("searching", ("draws, listens,", "narrows"), ("advance", "search is over")),
    Phase("fixed", ("trains with what", "was found"), ("freeze",)),
    Phase("frozen", ("plain layers", "again")),
)
FROM, TO, BACK = 3, 1, "search_again"
"""The only way back: from the fixed phase to the idle one."""


def picture() -> str:
    """An SVG of the phases, coloured by the page's own style."""
    boxes = "".join(_box(number, phase) for number, phase in enumerate(PHASES))
    arrows = "".join(_onward(number, phase.onward) for number, phase in enumerate(PHASES) if phase.onward)
    description = "Plain, idle, searching, fixed and frozen, and the calls that lead from one to the next"
    return (
        f'<svg class="phases" viewBox="0 0 {_left(len(PHASES)) - GAP + 2} {TOP + HEIGHT + 2}" role="img" '
        f'aria-label="{description}" xmlns="http://www.w3.org/2000/svg">'
        '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
        f'<path class="head" d="M0,0 L8,4 L0,8 z"/></marker></defs>{boxes}{arrows}{_back()}</svg>'
    )


def _left(number: int) -> int:
    return 1 + number * (BOX + GAP)


def _box(number: int, phase: Phase) -> str:
    middle = _left(number) + BOX // 2
    words = "".join(
        f'<text x="{middle}" y="{TOP + 38 + LINE * line}" text-anchor="middle">{escape(text)}</text>'
        for line, text in enumerate(phase.lines)
    )
    return (
        f'<rect x="{_left(number)}" y="{TOP}" width="{BOX}" height="{HEIGHT}" rx="4"/>'
        f'<text class="phase" x="{middle}" y="{TOP + 20}" text-anchor="middle">{escape(phase.name)}</text>{words}'
    )


def _onward(number: int, words: tuple[str, ...]) -> str:
    start, level = _left(number) + BOX, TOP + HEIGHT // 2
    calls = "".join(
        f'<text class="{"call" if line == 0 else "when"}" x="{start + GAP // 2}" '
        f'y="{level - 8 if line == 0 else level + 18}" text-anchor="middle">{escape(text)}</text>'
        for line, text in enumerate(words)
    )
    return f'<path class="way" d="M{start + 4},{level} H{start + GAP - 4}" marker-end="url(#head)"/>{calls}'


def _back() -> str:
    start, end = (_left(number) + BOX // 2 for number in (FROM, TO))
    return (
        f'<path class="way" d="M{start},{TOP - 3} V24 H{end} V{TOP - 4}" marker-end="url(#head)"/>'
        f'<text class="call" x="{(start + end) // 2}" y="17" text-anchor="middle">{BACK}</text>'
    )
