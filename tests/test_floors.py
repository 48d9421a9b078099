"""The house keeps its floors: a package imports only from those below it."""

from pathlib import Path

import autorf
from docs.generator.floors import FLOORS, files, imported_rooms, order_in_words, room_of, rooms

PACKAGE = Path(autorf.__file__).parent
ROOT = Path(__file__).parents[1]

LARGEST_SHARE = 0.13


def test_every_room_has_a_floor() -> None:
    named = {room for floor in FLOORS for room in floor}
    assert {room_of(path) for path in files()} - {"__main__", "_builtin"} <= named


def test_no_import_runs_upward() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    upward = [
        f"{path.relative_to(PACKAGE)} -> {other}"
        for path in files(PACKAGE)
        for other in imported_rooms(path)
        if (room := room_of(path, PACKAGE)) in floor
        and other != room
        and (floor[other] > floor[room] or (floor[other] == floor[room] > 0))
    ]
    assert upward == []


def test_contributing_names_the_floors_in_their_order() -> None:
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    assert f"`{order_in_words()}`" in text
    assert all(f"`{name}`" in text for name in FLOORS[0])


def test_no_package_bears_the_name_of_a_public_function() -> None:
    planned = {"search", "compare", "report", "check", "predict", "record", "save", "load", "apply"}
    functions = planned | (set(autorf.__all__) - {"ops"})
    modules = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()}
    assert modules & functions == set()


def test_no_room_is_larger_than_its_share() -> None:
    lines = {room.name: room.lines for room in rooms().values()}
    assert {name: n for name, n in lines.items() if n > LARGEST_SHARE * sum(lines.values())} == {}
