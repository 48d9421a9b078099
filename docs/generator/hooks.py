"""What the site's builder calls: puts what is generated in the place where a page asks for it."""

import re
from collections.abc import Callable
from typing import Any

from docs.generator import api, commands, floors, floors_picture, phases_picture, study_file
from docs.generator.markdown import table


def _rooms() -> str:
    rows = [
        (f"`{room.name}`", f"{room.lines:,}", room.summary, ", ".join(f"`{other}`" for other in sorted(room.imports)))
        for room in sorted(floors.rooms().values(), key=lambda room: -room.lines)
    ]
    return table(("room", "lines", "what it is", "imports"), rows)


GENERATED: dict[str, Callable[[], str]] = {
    "floors": lambda: floors_picture.picture(floors.rooms()),
    "rooms": _rooms,
    "phases": phases_picture.picture,
    "study file": study_file.page,
    "commands": commands.page,
    "api": lambda: api.page(""),
    **{f"api of {room}": lambda room=room: api.page(room) for room in api.ROOMS},  # type: ignore[misc]
}
"""What a page may ask for, as ``{{ floors }}`` on a line of its own."""

_PLACE = re.compile(r"^\{\{ (?P<name>[a-z ]+) \}\}$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with everything it asks for; a name that nothing generates is an error of the page."""
    return _PLACE.sub(lambda place: GENERATED[place["name"]](), markdown)
