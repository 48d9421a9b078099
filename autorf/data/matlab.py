"""MATLAB's tables of a data set's development kit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autorf.data.names import shown
from autorf.errors import InputError, in_one_line


def matlab_rows(path: Path, variable: str, fields: Sequence[str], source: str) -> list[tuple[Any, ...]]:
    """The named fields of every element of a struct array; numbers and texts as Python has them.

    MATLAB's format up to version 7 holds arrays alone and runs nothing.

    Args:
        path: of the file.
        variable: that holds the array.
        fields: of the elements, in the order that is returned.
        source: where the file is to be had.

    Raises:
        InputError: for a file that is missing, damaged or holds something else.
    """
    try:
        from scipy.io import loadmat

        elements = loadmat(str(path), variable_names=[variable], squeeze_me=True)[variable].reshape(-1)
        rows = [tuple(element[field] for field in fields) for element in elements]
    except Exception as error:  # the reader raises anything on a damaged file
        reason = getattr(error, "strerror", None)
        reason = reason or (f"has no {error}" if isinstance(error, KeyError) else in_one_line(error, 80))
        raise InputError(
            f"{shown(path, 100)}: cannot be read as MATLAB's {variable} ({', '.join(fields)}): {reason}; take it from "
            f"{source}"
        ) from None
    if not rows:
        raise InputError(f"{shown(path, 100)}: its {variable} lists nothing; take it from {source}")
    return rows
