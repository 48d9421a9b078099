"""Waiting for a storage that went away."""

import sqlite3
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from autorf import interruption
from autorf.errors import InputError, StorageLostError
from autorf.store.storage import FULL, problem

Answer = TypeVar("Answer")


class Patience:
    """Repeats what failed because the storage could not be reached, up to a number of minutes.

    Args:
        label: names the storage.
        minutes: how long to wait; 0 for not at all.
        check_there: raises where there is nothing to wait for.
    """

    def __init__(self, label: str, minutes: float, check_there: Callable[[], None] = lambda: None) -> None:
        self.label, self.minutes, self._check_there = label, minutes, check_there

    def __call__(self, action: Callable[[], Answer]) -> Answer:
        """What ``action`` returns; it is repeated as a whole and must bear that.

        Raises:
            StorageLostError: when the storage stayed away.
        """
        began, pause = time.monotonic(), 0.5
        while True:
            try:
                answer = action()
            # SQLite quotes a damaged schema in messages that Python then cannot decode.
            except (StorageInternalError, DBAPIError, UnicodeDecodeError) as error:
                self._check_there()
                if not may_come_back(error):
                    self._give_up(error)
                    raise
                if time.monotonic() - began + pause > 60 * self.minutes:
                    raise StorageLostError(
                        f"storage {self.label} could not be reached for {self.minutes:g} min ({problem(error)}); "
                        "trials keep their checkpoints, the same command continues"
                    ) from None
                if pause == 0.5:
                    self._say(f"cannot be reached ({problem(error)}); waiting up to {self.minutes:g} min")
                interruption.pause(pause)
                pause = min(2 * pause, 10.0)
            else:
                if pause > 0.5:
                    self._say("is back; the study goes on")
                return answer

    def _give_up(self, error: BaseException) -> None:
        """Raise what says in one line why no waiting helps, where that is known."""
        reason = problem(error)
        if FULL in reason:
            raise StorageLostError(f"{self.label}: {reason}; make room, the same command continues") from None
        if _READ_ONLY in reason:
            raise InputError(f"{self.label}: may not be written; give yourself the permission, or use --root") from None
        if isinstance(error, UnicodeDecodeError) or isinstance(_original(error), sqlite3.Error):
            raise InputError(
                f"{self.label}: cannot be read ({reason}); restore it from a backup, or give the study another name"
            ) from None

    def _say(self, what: str) -> None:
        print(f"storage {self.label} {what}", file=sys.stderr, flush=True)


_READ_ONLY = "readonly database"
_PASSING = ("locked", "busy", "unable to open", "disk I/O")
"""What SQLite says where it may help to wait; it says much else of a file that is damaged."""


def may_come_back(error: BaseException) -> bool:
    """Whether a storage that failed so may answer later."""
    if isinstance(_original(error), sqlite3.Error):
        return any(sign in problem(error) for sign in _PASSING)
    cause = _cause(error)
    return isinstance(cause, OperationalError | InterfaceError) or bool(getattr(cause, "connection_invalidated", False))


def _cause(error: BaseException) -> BaseException | None:
    return error.__cause__ if isinstance(error, StorageInternalError) else error


def _original(error: BaseException) -> BaseException | None:
    """What the database's own module raised."""
    return getattr(_cause(error), "orig", None)
