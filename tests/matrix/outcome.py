"""What a cell of the matrix comes to."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from autorf.errors import InputError

Kind = Literal["works", "refused", "silent", "ends inside torch", "does not apply"]
RIGHT: tuple[Kind, ...] = ("works", "refused", "does not apply")


class NotConcernedError(Exception):
    """The method has nothing that the behaviour concerns."""


class SilentError(AssertionError):
    """The result is wrong, and nothing was said."""


@dataclass(frozen=True)
class Outcome:
    """A cell: its kind, and the line that was said or what was found."""

    kind: Kind
    words: str = ""


def expect(condition: object, wrong: str) -> None:
    """Raise ``SilentError`` with what is ``wrong`` unless the condition holds."""
    if not condition:
        raise SilentError(wrong)


def outcome(cell: Callable[[], str | None]) -> Outcome:
    """Run ``cell``, which returns a note or nothing where it works; warnings do not count but where it listens."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Outcome("works", cell() or "")
    except NotConcernedError as error:
        return Outcome("does not apply", str(error))
    except SilentError as error:
        return Outcome("silent", str(error))
    except InputError as error:
        return Outcome("refused", str(error))
    except Exception as error:
        if line := our_line(error):
            return Outcome("refused", line)
        return Outcome("ends inside torch", f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"[:300])


def our_line(error: Exception) -> str:
    """The line of ours in an error of torch, such as what was added to those of ``load_state_dict``."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line.startswith("autorf: ") or "frozen_by_autorf" in line), "")


@contextmanager
def heard() -> Iterator[list[str]]:
    """The warnings of ours within; every one is given, as in a new process."""
    lines: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield lines
    for warning in caught:
        if warning.category.__module__.startswith("autorf"):
            lines.append(str(warning.message))


def refusal(action: Callable[[], object]) -> str:
    """The line by which ``action`` is refused.

    Raises:
        SilentError: when it is not.
    """
    try:
        action()
    except InputError as error:
        return str(error)
    except RuntimeError as error:
        line = our_line(error)
        if not line and "Unexpected key(s)" not in str(error):
            raise
        return line or "torch's strict loading names the keys of ours"
    raise SilentError("was not refused")
