"""Data sets as their authors lay them out: the folder level that is meant, and the lists of their splits."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from autorf.data.names import shown
from autorf.data.pairs import require_folder
from autorf.errors import InputError

_PATH = 70
"""Characters of a path, so that a message also has room for the layout and where the data is to be had."""


@dataclass(frozen=True)
class Layout:
    """What the folder ``data.root`` of a data set holds.

    Attributes:
        parts: files and folders that it must hold.
        source: the official name under which the data is to be had.
        name: of the folder, where others of its archive hold the same; None for any.
        key: of the study file.
    """

    parts: tuple[str, ...]
    source: str
    name: str | None = None
    key: str = "data.root"

    def check(self, root: Path) -> None:
        """Check that ``root`` is the folder that is meant.

        Raises:
            InputError: naming what it lacks, the folder that is meant where that is near, and where the data is to be
                had.
        """
        require_folder(root, ", ".join(self.parts), self.key)
        missing = [part for part in self.parts if not (root / part).exists()]
        if missing:
            candidates = [folder for folder in _near(root) if self._is_at(folder)]
            near = min(candidates, key=lambda folder: folder.name != self.name, default=None)
            repair = f"to be had as {self.source}" if near is None else f"give {shown(near, _PATH)}"
            raise InputError(
                f"{shown(root, _PATH)}: holds no {missing[0]}; {self.key} is the folder of {', '.join(self.parts)}: "
                f"{repair}"
            )

    def _is_at(self, folder: Path) -> bool:
        return all((folder / part).exists() for part in self.parts)


def _near(root: Path) -> Iterator[Path]:
    """The folders one level above and below, and two."""
    root = root.resolve()
    yield from list(root.parents)[:2]
    children = sorted(child for child in root.iterdir() if child.is_dir())
    yield from children
    # A folder of thousands of people is not searched: an archive holds few folders above its own level.
    for child in children[:20]:
        yield from sorted(inner for inner in child.iterdir() if inner.is_dir())[:20]


def listed(path: Path, name_in: Callable[[str], str | None], form: str) -> list[str]:
    """The names in the list of a split, in its order.

    Args:
        path: of the list.
        name_in: what a line names; None for a line of another form.
        form: of a line, for messages.

    Raises:
        InputError: for a list that cannot be read or is empty, a line of another form, or a name that stands twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no UTF-8 text"
        raise InputError(f"{shown(path)}: cannot be read as a list of images: {reason}") from None
    names: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name = name_in(line)
        if name is None:
            raise InputError(f"{shown(path)}, line {number}: {line.strip()[:60]!r} names no image; a line is {form}")
        if name in names:
            raise InputError(f"{shown(path)}, line {number}: {name[:60]!r} stands in line {names[name]} too; keep one")
        names[name] = number
    if not names:
        raise InputError(f"{shown(path)}: names no image; a line is {form}")
    return list(names)


def check_apart(lists: dict[str, list[str]]) -> None:
    """Raise ``InputError`` for an image in two lists: what is trained on says nothing as validation."""
    owner: dict[str, str] = {}
    for file, names in lists.items():
        for name in names:
            other = owner.setdefault(name, file)
            if other != file:
                raise InputError(f"data: {name[:60]!r} is in {other} and in {file}; an image has one split")
