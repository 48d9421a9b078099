"""A study's name, which becomes a folder."""

import re
from typing import Annotated

from pydantic import AfterValidator

from autorf.errors import InputError, shown


def _safe_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise ValueError(
            "a study's name becomes a folder: letters, digits, '_', '-' and '.', at most 64, "
            "beginning with a letter or digit"
        )
    return name


def checked_name(name: object, where: str) -> str:
    """A study's name that is given to a function.

    Raises:
        InputError: unless it can be a folder's name.
    """
    try:
        return _safe_name(name if isinstance(name, str) else "")
    except ValueError as error:
        raise InputError(f"{where} {shown(name)}: {error}") from None


SafeName = Annotated[str, AfterValidator(_safe_name)]
