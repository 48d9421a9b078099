"""The house keeps its floors: a package imports only from those below it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import autorf

PACKAGE = Path(autorf.__file__).parent

FLOORS = (
    {"errors", "files", "statistics", "specification", "metrics", "text", "interruption", "plugins"},
    {"ops"},
    {"methods"},
    {"data", "fields"},
    {"surgery"},
    {"networks", "losses"},
    {"advice"},
    {"training"},
    {"study"},
    {"running"},
    {"store", "executors"},
    {"comparison"},
    {"reporting"},
    {"tracking"},
    {"driver"},
    {"deployment"},
    {"testing"},
    {"cli"},
)
"""Lowest first. Rooms of one floor do not import one another, but for the small pieces on the ground."""

LARGEST_SHARE = 0.13


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[str]:
    """The rooms a file imports from anywhere in it, late imports and those for type checkers included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "autorf":
            names = [f"autorf.{alias.name}" for alias in node.names if not alias.name.startswith("__")]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("autorf."))


def _files() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE or path.stem != "__init__"]


def test_every_room_has_a_floor() -> None:
    named = set().union(*FLOORS)
    assert {_room(path) for path in _files()} - {"__main__", "_builtin"} <= named


def test_no_import_runs_upward() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    upward = [
        f"{path.relative_to(PACKAGE)} -> {other}"
        for path in _files()
        for other in _imports(path)
        if (room := _room(path)) in floor
        and other != room
        and (floor[other] > floor[room] or (floor[other] == floor[room] > 0))
    ]
    assert upward == []


def test_no_package_bears_the_name_of_a_public_function() -> None:
    planned = {"search", "compare", "report", "check", "predict", "record", "save", "load", "apply"}
    functions = planned | (set(autorf.__all__) - {"ops"})
    modules = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()}
    assert modules & functions == set()


def test_no_room_is_larger_than_its_share() -> None:
    lines: dict[str, int] = {}
    for path in _files():
        lines[_room(path)] = lines.get(_room(path), 0) + len(path.read_text(encoding="utf-8").splitlines())
    total = sum(lines.values())
    assert {room: n for room, n in lines.items() if n > LARGEST_SHARE * total} == {}
