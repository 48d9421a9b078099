"""What one file holds, in a few hexadecimal digits."""

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

Rule = Literal["content", "ends"]
"""What of a file counts: all of it; or size, time, and first and last 64 kB."""

DIGEST_BYTES = 16
_END = 64 * 1024


def rule_for(files: Iterable[Path], digest_gb: float) -> Rule:
    """By content where the files hold no more than ``digest_gb`` (10^9 bytes) in all, else by size, time and ends."""
    return "content" if sum(file.stat().st_size for file in files) <= digest_gb * 1e9 else "ends"


def file_digest(rule: Rule) -> Callable[[Path], str]:
    """What digests a file by ``rule``; after an ``@`` the time, where it counts."""
    return _of_content if rule == "content" else _of_ends


def _of_content(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, _hash).hexdigest()


def _of_ends(file: Path) -> str:
    with file.open("rb") as stream:
        status = os.fstat(stream.fileno())
        start = stream.read(_END)
        stream.seek(max(status.st_size - _END, 0))
        digest = hashlib.blake2b(start + stream.read(_END) + str(status.st_size).encode(), digest_size=DIGEST_BYTES)
    return f"{digest.hexdigest()}@{status.st_mtime_ns}"


def _hash() -> Any:
    return hashlib.blake2b(digest_size=DIGEST_BYTES)
