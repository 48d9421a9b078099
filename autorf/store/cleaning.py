"""Making room: the checkpoints of a study that nobody runs."""

from dataclasses import dataclass

from autorf.errors import InputError
from autorf.store.store import Store
from autorf.training.resuming import checkpoint_files


@dataclass(frozen=True)
class Cleaned:
    """What was removed.

    Attributes:
        n_files: how many checkpoints.
        n_bytes: of them.
        begun_anew: how many unfinished trials have no checkpoint to go on from any more.
    """

    n_files: int
    n_bytes: int
    begun_anew: int


def clean(store: Store) -> Cleaned:
    """Remove the checkpoints of a study that nobody runs; records, models and reports stay.

    A trial that is not over begins anew when the search is resumed.

    Raises:
        InputError: while a driver runs the study.
    """
    records = store.records()
    running = [record for record in records if record.state == "running" and not store.is_abandoned(record)]
    if running:
        raise InputError(f"study {store.name!r} is running ({running[0].label}); stop it first, or wait for its end")
    folders = [folder for folder in store.folder.rglob("*") if folder.is_dir()]
    files = [path for folder in folders for path in checkpoint_files(folder)]
    n_bytes = sum(path.stat().st_size for path in files)
    unfinished = {record.key for record in records if not record.finished}
    begun = {path.parent.name for path in files} & unfinished
    for path in files:
        path.unlink(missing_ok=True)
    return Cleaned(len(files), n_bytes, len(begun))
