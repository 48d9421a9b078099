"""Where a report goes, and what it may replace."""

from collections.abc import Sequence
from pathlib import Path

from autorf.comparison import results_of
from autorf.errors import InputError, shown_place
from autorf.files import check_output, write_atomically
from autorf.reporting.page import GENERATOR, report_page
from autorf.store.store import Store

NAME = "report.html"


def write_report(stores: Sequence[Store], output: Path | None = None, *, force: bool = False) -> Path:
    """Write the report of a study as it stands; a reader of the file sees the old one or the new one, never a part.

    Args:
        stores: of the study, or of several that are compared with the first.
        output: the file to write; None for ``report.html`` in the study's folder, which several studies do not have.
        force: replace a file that exists. An earlier report at the default place is replaced without.

    Returns:
        The file's path.

    Raises:
        InputError: when the file exists or cannot be written, or the studies cannot be compared.
    """
    if output is None and len(stores) > 1:
        raise InputError("several studies have no folder in common: say where the report goes with --output FILE")
    path = output or stores[0].folder / NAME
    if path.is_dir():
        raise InputError(f"--output {path}: is a folder; name a file in it, such as {path / NAME}")
    check_output(path, "--output", replace=force or (output is None and _is_report(path)))
    page = report_page([results_of(store) for store in stores])
    try:
        write_atomically(path, page)
    except OSError as error:
        raise InputError(f"--output {shown_place(str(path))}: cannot be written: {error.strerror}") from None
    return path


def _is_report(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return GENERATOR.encode() in file.read(2000)
    except OSError:
        return False
