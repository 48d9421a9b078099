"""The floors of the house, and what its files say of the rooms that stand on them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "autorf"

FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "errors",
        "files",
        "statistics",
        "specification",
        "tasks",
        "metrics",
        "accuracy",
        "text",
        "interruption",
        "plugins",
        "streams",
        "own_code",
    ),
    ("ops",),
    ("methods",),
    ("data", "fields"),
    ("surgery",),
    ("networks", "losses"),
    ("advice",),
    ("training",),
    ("study",),
    ("survey",),
    ("running",),
    ("store", "executors"),
    ("comparison",),
    ("reporting",),
    ("tracking",),
    ("driver",),
    ("deployment",),
    ("distillation",),
    ("testing",),
    ("cli",),
)
"""Lowest first; a room may be planned. Rooms of one floor import nothing from one another, but for the small pieces on
the ground. This is the one place that holds the order: the test of the floors and the picture of them read it here."""


@dataclass(frozen=True)
class Room:
    """A package of the library, or a small module on the ground.

    Attributes:
        name: as in ``autorf.NAME``.
        lines: of all its files.
        summary: the first line of its docstring.
        imports: the rooms it imports from, anywhere in its files.
    """

    name: str
    lines: int
    summary: str
    imports: frozenset[str]


def files(package: Path = PACKAGE) -> list[Path]:
    """Every Python file of ``package`` but the one that lists its public names."""
    return [path for path in sorted(package.rglob("*.py")) if path.parent != package or path.stem != "__init__"]


def room_of(path: Path, package: Path = PACKAGE) -> str:
    """The name of the room that a file belongs to."""
    return path.relative_to(package).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> Iterator[str]:
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


def rooms(package: Path = PACKAGE) -> dict[str, Room]:
    """Every room that has files, by name."""
    owned: dict[str, list[Path]] = {}
    for path in files(package):
        owned.setdefault(room_of(path, package), []).append(path)
    return {name: _room(name, paths, package) for name, paths in owned.items()}


def _room(name: str, paths: list[Path], package: Path) -> Room:
    front = package / name / "__init__.py"
    docstring = ast.get_docstring(ast.parse((front if front in paths else paths[0]).read_text(encoding="utf-8"))) or ""
    # A first sentence that runs over two lines is kept whole.
    summary = " ".join(docstring.split("\n\n")[0].split())
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)
    imports = {other for path in paths for other in imported_rooms(path)} - {name}
    return Room(name, lines, summary, frozenset(imports))


def order_in_words() -> str:
    """The packages' floors as CONTRIBUTING writes them: the ground, then ``ops -> methods -> data, fields -> ...``."""
    return " -> ".join(", ".join(floor) for floor in FLOORS[1:])
