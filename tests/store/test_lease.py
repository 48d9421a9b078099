import os
import subprocess
import sys

from autorf.store.lease import is_stale, new_lease, started


def stale(lease: dict[str, object], now: float = 1000.0, *, one_machine: bool = False) -> bool:
    return is_stale(lease, now, 120, one_machine=one_machine)


def test_a_process_that_lives_keeps_its_lease_however_long_it_is_silent() -> None:
    assert not stale(new_lease("me", 0.0), 1e9)


def test_a_dead_process_loses_its_lease_at_once_also_before_anyone_waited_for_it() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    lease = {**new_lease("other", 1000.0), "pid": process.pid, "process": started(process.pid)}
    assert not stale(lease)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert stale(lease)
    process.communicate()
    assert stale(lease)


def test_a_number_that_another_process_has_now_is_no_lease() -> None:
    assert stale({**new_lease("other", 1000.0), "process": "1"})


def test_another_machine_is_waited_for_until_it_was_silent_too_long() -> None:
    lease = {**new_lease("other", 1000.0), "host": "elsewhere"}
    assert not stale(lease, 1119.0)
    assert stale(lease, 1121.0)


def test_a_lease_from_before_a_reboot_is_nobodys_where_there_is_one_machine() -> None:
    lease = {**new_lease("other", 1000.0), "machine": "another-boot pid:[1]"}
    assert stale(lease, one_machine=True)
    assert not stale(lease)
    assert stale({})
