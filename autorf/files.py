"""Writing files so that a reader sees the old content or the new, never a part."""

import os
import stat
import tempfile
from pathlib import Path
from typing import IO

from autorf.errors import InputError, shown_place

# There is no way to ask for it without setting it, and setting it later would be seen by other threads.
_UMASK = os.umask(0o077)
os.umask(_UMASK)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write ``content`` to a temporary name beside ``path``, flush it to disk, and rename it over ``path``.

    The file may be read by whom the umask lets, as any new file; temporary files are the owner's alone. What a link
    leads to is replaced, not the link.

    Raises:
        InputError: where there is something else than a file; it stays.
        OSError: naming ``path``, where the system refuses.
    """
    path = path.resolve() if path.is_symlink() else path
    check_replaceable(path)
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            if os.name != "nt":
                os.fchmod(descriptor, 0o666 & ~_UMASK)
            file.write(data)
            flush_file(file)
        Path(temporary).replace(path)
        flush_folder(path.parent)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            # A full disk is noticed by a write, which knows no name.
            error.filename = str(path)
        raise


def check_replaceable(path: Path, option: str = "") -> None:
    """Raise ``InputError`` where ``path`` is a folder, a device, a pipe or a socket, which no file may replace.

    Args:
        path: that is to be written; there need be nothing.
        option: that named it, for the message.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), None)
    if kind is not None:
        raise InputError(f"{option}{' ' * bool(option)}{shown_place(str(path))}: is a {kind}; name a file")


_KINDS = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
    (stat.S_ISSOCK, "socket"),
)


def check_output(path: Path, option: str, *, replace: bool) -> None:
    """Raise ``InputError`` unless ``path`` may be written: it is a file only if ``replace``, and never anything else.

    Args:
        path: that a command is to write.
        option: that named it, such as ``--output``.
        replace: whether a file that exists is replaced.
    """
    check_replaceable(path, option)
    if path.exists() and not replace:
        raise InputError(f"{option} {shown_place(str(path))}: exists; name another file, or overwrite it with --force")


def lock(descriptor: int, *, wait: bool, shared: bool = False) -> None:
    """Keep other processes out until ``descriptor`` is closed, by whatever end of this one.

    Args:
        descriptor: of an open file or folder.
        wait: for whoever has it; otherwise that is a ``BlockingIOError``.
        shared: with others that share it.

    Raises:
        InputError: on a system without such locks.
    """
    try:
        # Windows has none: what locks nothing must still be imported there.
        import fcntl
    except ModuleNotFoundError:
        raise InputError(
            "studies are kept whole by file locks that this system has not: run them on Linux, or under "
            "WSL; adapting, loading and predicting work here"
        ) from None
    fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))


def flush_file(file: IO[bytes]) -> None:
    """Bring what was written to an open file to disk."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Bring the names in ``folder`` to disk: without it a power cut may undo a rename."""
    if os.name == "nt":
        # There a folder cannot be opened.
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size_in_words(n_bytes: float) -> str:
    """A number of bytes in the largest unit of which there is one, to three digits.

    Examples:
        >>> size_in_words(1_500_000_000), size_in_words(999_700_000), size_in_words(20)
        ('1.5 GB', '1 GB', '20 B')
    """
    number = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        # 999.7 is 1000 to three digits, which Python would write as 1e+03.
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"
