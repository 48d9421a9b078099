"""Errors a user can repair, and the words that help to repair them."""

import errno
import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from reprlib import Repr
from typing import Any

LONGEST = 290
"""Characters of a message, so that the command line's whole line has 300 at most."""

_LONGEST_VALUE = 80
_HEAD = 170
"""Of a message that is cut, what stays of its beginning, which says where; of its end, which repairs, the rest does."""


class InputError(ValueError):
    """Input that cannot be used: one line that says what, where, what is allowed and how to repair it.

    The command line prints it without a traceback and exits with code 2. Passwords in URLs are left out, control
    characters written out, and of a message of more than 290 characters the middle is.

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
        super().__init__(in_short(message))


class MissingLibraryError(InputError, ImportError):
    """A library that something needs is not installed: the line says which, and how to install it."""


PACKAGES = {"optuna": "optuna", "ray": "'ray[tune]'", "mlflow": "mlflow"}
"""Of modules that not everything needs: what pip is to install."""


def missing_library(error: ModuleNotFoundError, what: str) -> MissingLibraryError | None:
    """What to say of a failed import of one of :data:`PACKAGES`; None for another module.

    Args:
        error: of the import.
        what: needs it.
    """
    library = (error.name or "").partition(".")[0]
    if library not in PACKAGES:
        return None
    return MissingLibraryError(
        f"{what} needs {library}, which is not installed here: pip install {PACKAGES[library]}, or everything: "
        "pip install autorf-torch"
    )


def in_short(message: str) -> str:
    """``message`` in one printable line of at most 290 characters, without passwords."""
    line = printable(" ".join(hide_passwords(message).split()))
    return line if len(line) <= LONGEST else f"{line[:_HEAD]} ... {line[_HEAD + 5 - LONGEST :]}"


def printable(text: str) -> str:
    """``text`` with escapes for what is no character to look at, which a terminal could take for a command.

    >>> printable("red\\x1b[31m")
    'red\\\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == " " else c.encode("unicode_escape").decode() for c in text)


def has_control_characters(text: str) -> bool:
    """Whether ``text`` holds line breaks, escapes or halves of characters."""
    return not text.isprintable() and any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text)


class _Shown(Repr):
    """``repr`` of the beginnings of long and deep values, whose text is never made as a whole."""

    def repr_str(self, x: str, level: int) -> str:
        """A text without passwords, cut in the middle."""
        # Before anything is cut: half a password is one too.
        return super().repr_str(hide_passwords(x), level)

    def repr_int(self, x: int, level: int) -> str:
        """A whole number; Python writes none of more than some thousand digits."""
        return super().repr_int(x, level) if x.bit_length() < 4096 else f"a number of {x.bit_length()} bits"


_REPR = _Shown()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = _LONGEST_VALUE
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = 6
_REPR.maxlevel = 4


def shown(value: Any) -> str:
    """A value for a message: its ``repr``, at most some 80 characters of it, without passwords.

    >>> shown([1, 2])
    '[1, 2]'
    >>> len(shown(list(range(10**6))))
    23
    """
    text = _REPR.repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 24]}...{text[-20:]}"


def a_type(value: object) -> str:
    """The kind of a value with its article.

    >>> a_type(3), a_type("")
    ('an int', 'a str')
    """
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def shown_place(place: str) -> str:
    """Where something was found, for the beginning of a message: of a long path or key, its end."""
    return place if len(place) <= _LONGEST_VALUE else f"...{place[-_LONGEST_VALUE:]}"


def in_one_line(error: Exception, most: int | None = None) -> str:
    """What another library's ``error`` says, without line breaks, its first ``most`` characters; else its name."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def what_the_system_said(error: OSError) -> str:
    """A failed call of the operating system in one line: the path where there is one, and why."""
    reason = (error.strerror or str(error)).lower()
    hint = _REPAIRS.get(error.errno or 0, "")
    path = "" if error.filename is None else f"{shown_place(str(error.filename))}: "
    return f"{path}{reason}{hint}"


_REPAIRS = {
    errno.ENOSPC: "; make room and run the same command again",
    errno.EDQUOT: "; make room and run the same command again",
    errno.EFBIG: "; this file system or process may write no file of that size",
    errno.EACCES: "; give yourself the permission, or name another place",
    errno.EROFS: "; name another place",
    errno.ENAMETOOLONG: "; name a shorter one",
}


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
    text = re.sub(r"(://[^/\s:@]{0,200}:)[^@\n'\"]{0,500}@", r"\1***@", text)
    return re.sub(r"([?&](?:ssl)?password=)[^&\s'\"]+", r"\1***", text)


def near_names(name: str, choices: Iterable[str], n: int = 3) -> str:
    """Return ``"; did you mean a, b?"`` for the choices closest to ``name``, or an empty string."""
    matches = get_close_matches(name, list(choices), n=n, cutoff=0.5)
    return f"; did you mean {', '.join(matches)}?" if matches else ""
