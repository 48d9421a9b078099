"""The comparison and the report of studies as functions, for scripts and notebooks."""

from collections.abc import Sequence
from pathlib import Path

from autorf.comparison import Comparison, compare_studies, results_of
from autorf.errors import InputError, shown
from autorf.ops._arguments import check_path, positive_number
from autorf.reporting.writing import write_report
from autorf.store.store import Store, open_store


def compare(study: str, *others: str, root: str | Path = "runs", margin: float | None = None) -> Comparison:
    """Manual against learned receptive fields of a study as it stands, whoever trained it.

    Args:
        study: its name.
        others: further studies, each compared with the first.
        root: the folder of all studies.
        margin: what a smaller field may lose of the metric; the study's own without.

    Returns:
        What ``autorf compare`` prints: ``recommendation.text`` says what to use, ``verdict`` whether learning beat
        choosing by hand, ``groups`` and ``rows`` hold the figures, ``frame()`` has them as a pandas DataFrame.

    Raises:
        InputError: for a study that is not there, or studies that cannot be compared.

    Examples:
        >>> import autorf, numpy, tempfile
        >>> counts = numpy.array([[[90, 10], [20, 80]], [[95, 5], [30, 70]]])
        >>> with tempfile.TemporaryDirectory() as root:
        ...     key = autorf.record(
        ...         "mine", autorf.Dilation(rate=2), 0, counts, steps=100, seconds=9, rf=35, image_size=96, root=root
        ...     )
        ...     autorf.compare("mine", root=root).frame()[["method", "n"]].to_dict("list")
        {'method': ['dilation'], 'n': [1]}
    """
    if margin is not None:
        margin = positive_number("compare", "margin", margin)
    return compare_studies([results_of(store) for store in _stores("compare", (study, *others), root)], margin=margin)


def report(
    study: str, *others: str, root: str | Path = "runs", output: str | Path | None = None, force: bool = False
) -> Path:
    """Write a study's results as one self-contained HTML file; see ``autorf report``.

    Args:
        study: its name.
        others: further studies, each compared with the first.
        root: the folder of all studies.
        output: the file; ``report.html`` in the study's folder without, which several studies do not have.
        force: replace a file that exists.

    Returns:
        The file's path.

    Raises:
        InputError: for a study that is not there, studies that cannot be compared, or a file that exists.

    Examples:
        >>> import autorf, numpy, tempfile
        >>> counts = numpy.array([[[90, 10], [20, 80]], [[95, 5], [30, 70]]])
        >>> with tempfile.TemporaryDirectory() as root:
        ...     key = autorf.record(
        ...         "mine", autorf.Dilation(rate=2), 0, counts, steps=100, seconds=9, rf=35, image_size=96, root=root
        ...     )
        ...     autorf.report("mine", root=root).name
        'report.html'
    """
    if output is not None:
        check_path("report", "output", output)
    stores = _stores("report", (study, *others), root)
    return write_report(stores, None if output is None else Path(output), force=force)


def _stores(function: str, names: Sequence[str], root: str | Path) -> list[Store]:
    check_path(function, "root", root)
    for name in names:
        if not isinstance(name, str) or not name:
            raise InputError(f"{function} takes the names of studies, got {shown(name)}")
        if names.count(name) > 1:
            raise InputError(f"{function}: study {name!r} is named twice; name different studies to compare them")
    return [open_store(Path(root), name) for name in names]
