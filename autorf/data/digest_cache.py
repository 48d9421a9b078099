"""Digests of files that were read before, kept under the root of all studies so that nothing is hashed twice."""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from os import stat_result
from pathlib import Path
from typing import Any

from autorf.data.names import shown
from autorf.errors import InputError
from autorf.files import write_atomically

_VERSION = 1
_SETTLED = 2.0
"""Seconds after its last change from which on a file's time tells it from a later state."""


class DigestCache:
    """Digests by path, size and times of the file.

    Two processes may fill it at once and either may be killed: each writes all that it knows under another name and
    renames it, so that a reader sees one or the other, and what is lost is hashed again. So is what cannot be read.

    Args:
        folder: of all caches of digests.
        root: of the data set, whose files are told by their path below it.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self._root = root.absolute()
        self._path = folder / f"{hashlib.blake2b(str(root.resolve()).encode(), digest_size=8).hexdigest()}.json"
        self._entries = _entries(self._path)
        self._changed = False

    def digest(self, file: Path, rule: str, compute: Callable[[Path], str]) -> str:
        """What ``compute`` says of a file, of this call or of an earlier one by the same ``rule``.

        Raises:
            InputError: naming a file that cannot be read.
        """
        key = f"{rule}:{self._name(file)}"
        try:
            before = _state(file.stat())
            stored = self._entries.get(key)
            if stored is not None and stored[:-1] == before:
                return str(stored[-1])
            digest = compute(file)
            settled = time.time() - before[1] / 1e9 > _SETTLED and _state(file.stat()) == before
        except OSError as error:
            raise InputError(f"{shown(file)}: cannot be read: {error.strerror}") from None
        if settled:
            self._entries[key], self._changed = [*before, digest], True
        return digest

    def save(self) -> None:
        """Keep what was computed; a cache that cannot be written costs time and nothing else."""
        if self._changed:
            with suppress(OSError):
                write_atomically(self._path, json.dumps({"version": _VERSION, "files": self._entries}))

    def _name(self, file: Path) -> str:
        file = file.absolute()
        return str(file.relative_to(self._root) if file.is_relative_to(self._root) else file)


def _state(stat: stat_result) -> list[int]:
    # The time of the last change of the entry too: it tells a file whose own time was put back.
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _entries(path: Path) -> dict[str, list[Any]]:
    """What is kept, without what is damaged."""
    try:
        content = json.loads(path.read_bytes())
        files = content["files"] if content["version"] == _VERSION else {}
        return {key: entry for key, entry in files.items() if isinstance(entry, list) and len(entry) == 4}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
