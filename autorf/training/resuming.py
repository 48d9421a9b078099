"""The checkpoint files of a trial, for those who only look after them."""

from pathlib import Path

NAMES = ("checkpoint.ckpt", "checkpoint.previous.ckpt")
"""The newest first."""


def clear_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a trial whose result is stored."""
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)
