"""The checkpoint files of a trial: the newest, the one before, and which of them to continue from."""

import os
from contextlib import suppress
from pathlib import Path

from autorf.files import flush_folder, write_atomically

NAMES = ("checkpoint.safetensors", "checkpoint.previous.safetensors")
"""The newest first."""

_NEXT = ".checkpoint.next"


def write_checkpoint(folder: Path, content: bytes) -> None:
    """Make ``content`` the newest checkpoint; the one before stays whole until it is, and after."""
    newest, previous = (folder / name for name in NAMES)
    # A name of its own: the worker of a driver that was killed may still be writing too.
    written = folder / f"{_NEXT}.{os.getpid()}"
    write_atomically(written, content)
    with suppress(FileNotFoundError):
        newest.replace(previous)
    written.replace(newest)
    flush_folder(folder)


def newest_checkpoint(folder: Path, reached: int = 0) -> tuple[Path | None, list[str]]:
    """The newest checkpoint of a trial that can be read whole, or None to start afresh, and what is to be said of it.

    Args:
        folder: of the trial.
        reached: how many epochs the trial is known to have finished.
    """
    from autorf.training.packing import unpack

    notes: list[str] = []
    for name in NAMES:
        path = folder / name
        if not path.is_file():
            continue
        try:
            unpack(path.read_bytes())
        except (ValueError, OSError) as error:
            notes.append(f"{path.name} {error}".split("\n")[0])
            continue
        return path, [f"{note}; continued from the checkpoint before" for note in notes]
    if notes:
        return None, [f"{'; '.join(notes)}; started afresh"]
    # An epoch is reported before its checkpoint is written, so after one there may be none.
    return None, [f"no checkpoint is left of {reached} epochs; started afresh"] if reached > 1 else []


def clear_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a trial whose result is stored."""
    for path in checkpoint_files(folder):
        path.unlink(missing_ok=True)


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints of a trial, and what is left of those that were being written."""
    there = [path for path in (folder / name for name in NAMES) if path.is_file()]
    return [*there, *folder.glob(f"{_NEXT}.*"), *folder.glob(f".{_NEXT}.*")]
