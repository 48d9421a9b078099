"""Where a report goes, and what it may replace."""

from pathlib import Path

from autorf.errors import InputError
from autorf.files import write_atomically
from autorf.report.page import GENERATOR, report_page
from autorf.report.results import read_results
from autorf.study.store import Store

NAME = "report.html"


def write_report(store: Store, output: Path | None = None, *, force: bool = False) -> Path:
    """Write the report of a study as it stands; a reader of the file sees the old one or the new one, never a part.

    Args:
        store: of the study.
        output: the file to write; None for ``report.html`` in the study's folder.
        force: replace a file that exists. An earlier report at the default place is replaced without.

    Returns:
        The file's path.

    Raises:
        InputError: when the file exists or cannot be written.
    """
    path = output or store.folder / NAME
    _check(path, replace=force or (output is None and _is_report(path)))
    page = report_page(read_results(store))
    try:
        write_atomically(path, page)
    except OSError as error:
        raise InputError(f"--output {path}: cannot be written: {error.strerror}") from None
    return path


def _check(path: Path, *, replace: bool) -> None:
    if path.is_dir():
        raise InputError(f"--output {path}: is a folder; name a file in it, such as {path / NAME}")
    if path.exists() and not replace:
        raise InputError(f"--output {path}: exists; choose another name or overwrite it with --force")


def _is_report(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return GENERATOR.encode() in file.read(2000)
    except OSError:
        return False
