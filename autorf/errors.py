"""Errors a user can repair, and the words that help to repair them."""

import re
from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Input that cannot be used: one line that says what, where, what is allowed and how to repair it.

    The command line prints it without a traceback and exits with code 2. Passwords in URLs are left out.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> try:
        ...     autorf.adapt(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)), autorf.Dilation(targets="1", rate=2))
        ... except autorf.InputError as error:
        ...     print(str(error).split(";")[0])
        targets '1' matches no module of the model (the whole name must match)
    """

    def __init__(self, message: str) -> None:
        super().__init__(hide_passwords(message))


def in_one_line(error: Exception, most: int | None = None) -> str:
    """What another library's ``error`` says, without line breaks, its first ``most`` characters; else its name."""
    return " ".join(str(error).split())[:most] or type(error).__name__


class TrainingWarning(UserWarning):
    """Something that a method added to a model is not trained as it should be; see :func:`autorf.verify`.

    Examples:
        Where it must not pass, make it an error:

        >>> import warnings
        >>> import autorf
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("error", autorf.TrainingWarning)
    """


class SearchWarning(TrainingWarning):
    """A search heard nothing or too little, or is not over; see :func:`autorf.verify`.

    Examples:
        Where a search is short on purpose:

        >>> import warnings
        >>> import autorf
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", autorf.SearchWarning)
    """


class StorageLostError(RuntimeError):
    """The study's storage stayed away for longer than a search waits; the study can be resumed."""


def hide_passwords(text: str) -> str:
    """``text`` with ``***`` for every password in a URL."""
    # Also where it holds what a URL would have to escape.
    text = re.sub(r"(://[^/\s:@]*:)[^@\n'\"]*@", r"\1***@", text)
    return re.sub(r"([?&](?:ssl)?password=)[^&\s'\"]+", r"\1***", text)


def near_names(name: str, choices: Iterable[str], n: int = 3) -> str:
    """Return ``"; did you mean a, b?"`` for the choices closest to ``name``, or an empty string."""
    matches = get_close_matches(name, list(choices), n=n, cutoff=0.5)
    return f"; did you mean {', '.join(matches)}?" if matches else ""
