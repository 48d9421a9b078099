"""Standard output and error, which may be closed, full, or a pipe that nobody reads any more."""

import errno
import io
import os
import select
import sys
from typing import TextIO


class _Descriptor(io.RawIOBase):
    """Writes to a descriptor until that fails; what comes later is dropped, so that a search goes on to its end.

    Attributes:
        problem: why it failed; None while it did not, and for a pipe that was closed, as ``head`` closes it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.problem: str | None = None

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, data: object) -> int:
        """How many bytes were written, or dropped."""
        content = bytes(data)  # type: ignore[call-overload]
        try:
            return _written(self._descriptor, content)
        except OSError as error:
            if error.errno != errno.EPIPE:
                self.problem = error.strerror
            _drop(self._descriptor)
            return len(content)


def _written(descriptor: int, content: bytes) -> int:
    while True:
        try:
            return os.write(descriptor, content)
        except BlockingIOError:
            select.select([], [descriptor], [])


def _drop(descriptor: int) -> None:
    """Have a descriptor lead nowhere, for worker processes and libraries too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def patient_stream(descriptor: int, *, by_line: bool = False) -> TextIO:
    """A text stream to a descriptor whose failure is no exception; a character it cannot write is written out.

    Args:
        descriptor: stays open when the stream goes.
        by_line: write every line at once, as to a terminal.
    """
    raw = _Descriptor(descriptor)
    buffered = io.BufferedWriter(raw)
    encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
    return io.TextIOWrapper(buffered, encoding, "backslashreplace", line_buffering=by_line or raw.isatty())


def problem_of(stream: TextIO) -> str | None:
    """Why a :func:`patient_stream` failed; None where it did not, or is another stream."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.problem if isinstance(raw, _Descriptor) else None


def guard_streams() -> None:
    """Replace the standard streams that were closed by ones that lead nowhere, and have the others fail quietly.

    A closed descriptor would be given to the next file that is opened, which libraries would then print into.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != descriptor:
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
    if sys.stdout is sys.__stdout__:
        sys.stdout = patient_stream(1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = patient_stream(2, by_line=True)


def unwritable(problem: str) -> str:
    """What to say of standard output that failed."""
    return f"standard output: cannot be written: {problem}; what was to be shown is lost, what was stored is not"
