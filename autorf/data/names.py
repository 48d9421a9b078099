"""File names: compared as they look, shown in one line, and checked to be those of files."""

import os
import stat
import unicodedata
from pathlib import Path
from typing import Literal

from autorf.errors import InputError, printable

Names = Literal["nfc", "bytes"]
"""Whether two spellings of a name that look alike are one name."""

_LONGEST = 140
"""Characters of a path in a message, so that there is room for what is wrong with it."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def spelled(name: str, names: Names = "nfc") -> str:
    """The spelling by which a name is told from others: composed accents, however the disk has them."""
    return unicodedata.normalize("NFC", name) if names == "nfc" else name


def shown(path: Path, most: int = _LONGEST) -> str:
    """A path for a message: in one line without control characters, of a long one its end.

    >>> shown(Path("a\\nb.png"))
    'a\\\\nb.png'
    """
    text = printable(str(path))
    return text if len(text) <= most else f"...{text[3 - most :]}"


def check_name(path: Path) -> None:
    """Raise ``InputError`` for a file whose name is no UTF-8: nothing that is written about it could name it."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        raise InputError(f"{shown(path)}: its name is no UTF-8 text; rename it") from None


def check_file(path: Path) -> None:
    """Raise ``InputError`` for what cannot be a picture, without opening it: a pipe would keep its reader waiting."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read as a picture: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "no file")
        raise InputError(f"{shown(path)}: cannot be read as a picture: it is {kind}; take it away")


def on_disk(path: Path) -> Path:
    """``path`` as the disk spells it, where only another spelling of its accents is there."""
    there = Path(path.anchor)
    for part in path.relative_to(there).parts:
        entry = _entry(there, part)
        if entry is None:
            return path
        there = entry
    return there


def _entry(folder: Path, name: str) -> Path | None:
    if os.path.lexists(folder / name):
        return folder / name
    try:
        alike = [entry for entry in folder.iterdir() if spelled(entry.name) == spelled(name)]
    except OSError:
        return None
    return alike[0] if alike else None
