"""Whether a folder that holds no masks looks like pictures in a folder a class."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autorf.data.names import shown
from autorf.errors import InputError


@contextmanager
def told_of_classes(root: Path) -> Iterator[None]:
    """Say of a folder that cannot be surveyed, and holds the same folders in ``train`` and ``val``, what reads it."""
    try:
        yield
    except InputError:
        if not _has_class_folders(root):
            raise
        raise InputError(
            f"{shown(root, 80)}: looks like pictures in a folder a class, and studies that autorf init writes have "
            "masks; for one class a picture write task: classification with data.name: image_folder"
        ) from None


def _has_class_folders(root: Path) -> bool:
    train, val = (_folders(root / split) for split in ("train", "val"))
    return len(train) > 1 and train == val


def _folders(place: Path) -> set[str]:
    try:
        return {entry.name for entry in place.iterdir() if entry.is_dir()}
    except OSError:
        return set()
