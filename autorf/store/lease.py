"""Who runs a trial, and whether that driver is still there."""

import os
import socket
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any


def new_lease(driver: str, now: float) -> dict[str, Any]:
    """The lease of this process: where it runs, which process it is, and the storage's clock ``now`` in seconds.

    ``process`` tells the process from a later one of the same number; ``machine`` a host from itself after a reboot,
    and one container from another.
    """
    return {
        "driver": driver,
        "host": socket.gethostname(),
        "machine": _machine(),
        "pid": os.getpid(),
        "process": started(os.getpid()),
        "time": now,
    }


def is_stale(lease: Mapping[str, Any], now: float, seconds: float, *, one_machine: bool) -> bool:
    """Whether the driver that holds ``lease`` is gone.

    On the same machine the process tells, however long ago it spoke; elsewhere only its silence does.

    Args:
        lease: as of :func:`new_lease`; an empty one is nobody's.
        now: the storage's clock.
        seconds: how long a silent driver is waited for.
        one_machine: whether the storage can be reached from one machine only; a lease from before a reboot is then
            nobody's.
    """
    if not lease:
        return True
    # A process's number says something only where it was given: in another container it may be anybody's.
    if lease.get("machine") == _machine() and lease["host"] == socket.gethostname():
        return not _is_alive(int(lease["pid"]), lease.get("process"))
    # Of one machine, another boot is a reboot, which ended whoever held this; among several, host names may recur.
    if one_machine and lease["host"] == socket.gethostname() and _boot(lease.get("machine")) != _boot(_machine()):
        return True
    return now - float(lease["time"]) > seconds


def started(pid: int) -> str | None:
    """When a process started, in clock ticks since the boot, or None where there is none or the system does not say."""
    fields = _fields(pid)
    return fields[19] if fields else None


def _fields(pid: int) -> list[str]:
    """The state of a process and what follows it, from the third field of its ``stat`` on."""
    try:
        # The name in parentheses may hold spaces.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _is_alive(pid: int, process: str | None) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    fields = _fields(pid)
    if not fields:
        return True
    # A killed process that nobody waited for keeps its number.
    return fields[0] not in "ZX" and process in (None, fields[19])


@lru_cache(maxsize=1)
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _boot(machine: str | None) -> str:
    return (machine or "").partition(" ")[0]
