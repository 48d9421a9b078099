"""Folders for the time of a search or a trial, which go even when their process was killed."""

import os
import shutil
import tempfile
import time
from pathlib import Path

from autorf.files import lock

_LOCK = ".owner"


class Scratch:
    """A new folder that this process owns.

    Those of the same prefix whose owner is dead are removed first: the lock in them ended with it.

    Args:
        parent: where it lies.
        prefix: of its name.
        resolved: whether ``path`` is without links, as Ray wants it, or begins with ``parent`` as it was given.
    """

    def __init__(self, parent: Path, prefix: str, *, resolved: bool = True) -> None:
        for left in parent.glob(f"{prefix}*"):
            _remove_ownerless(left)
        made = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        self.path = made.resolve() if resolved else made
        # Under its name only once it is held, so that nobody takes it for a dead owner's.
        unnamed = self.path / f"{_LOCK}.new"
        self._lock: int | None = os.open(unnamed, os.O_RDWR | os.O_CREAT)
        lock(self._lock, wait=True)
        unnamed.rename(self.path / _LOCK)

    def remove(self) -> None:
        """Remove the folder; what still writes to it has a second to end."""
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None
        for _ in range(10):
            shutil.rmtree(self.path, ignore_errors=True)
            if not self.path.exists():
                return
            time.sleep(0.1)


def _remove_ownerless(folder: Path) -> None:
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:
        # Somebody else's, or not locked yet.
        return
    try:
        lock(descriptor, wait=False)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return
    finally:
        os.close(descriptor)
