"""Where what was read of data sets is kept, for all studies of a root or for a node that sees none. Light to import."""

import os
import tempfile
from pathlib import Path

DIGESTS, PICTURES = "digests", "pictures"
"""Folders of the cache: digests of files, and decoded pictures."""


def cache_folder(root: Path) -> Path:
    """Of all studies under ``root``."""
    return root / "cache"


def node_cache() -> Path | None:
    """Of a node that does not see the root: below the folder for temporary files, where this user alone may write.

    None where something of somebody else has its name.
    """
    folder = Path(tempfile.gettempdir()) / f"autorf-cache-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    # What others may write to may hold pictures of theirs under our names.
    is_ours = folder.is_dir() and not folder.is_symlink() and status.st_uid == os.getuid()
    return folder if is_ours and not status.st_mode & 0o022 else None
