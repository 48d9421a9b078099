"""Ctrl-C while trials run: kept, and raised where nothing is half done.

Raised wherever it falls, it is lost when that is an object's clean-up, such as those of a database's connections, and
the program goes on.
"""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

_SLICE_SECONDS = 0.2
_heard = False


@contextmanager
def kept() -> Iterator[None]:
    """Keep a Ctrl-C for :func:`check` and :func:`pause`, at the latest for the end of the block.

    A second one is raised at once. Nothing changes in other threads than the main one, or where the program handles
    SIGINT its own way.
    """
    global _heard
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    _heard = False
    signal.signal(signal.SIGINT, _hear)
    try:
        yield
        check()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def held_back() -> Iterator[None]:
    """Hold Ctrl-C back while a process is started: it is heard afterwards, and never by the new process.

    A terminal sends it to both; the new one would answer with a traceback while it still imports.
    """
    # Started in the block, multiprocessing's own helper would let the signal through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def check() -> None:
    """Raise ``KeyboardInterrupt`` if one was kept; only in the main thread."""
    global _heard
    if _heard and threading.current_thread() is threading.main_thread():
        _heard = False
        raise KeyboardInterrupt


def pause(seconds: float) -> None:
    """Sleep, but no longer than until a Ctrl-C.

    Raises:
        KeyboardInterrupt: if one was kept.
    """
    slices = math.ceil(seconds / _SLICE_SECONDS)
    check()
    for _ in range(slices):
        time.sleep(seconds / slices)
        check()


def _hear(*_: object) -> None:
    global _heard
    _heard = True
    signal.signal(signal.SIGINT, signal.default_int_handler)
