"""Standard output that is closed, full, or read no more."""

import os
import subprocess
import sys

import pytest

from autorf.streams import patient_stream, problem_of

AUTORF = f'"{sys.executable}" -c "from autorf.cli import main; main()"'


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300)


def test_a_pipe_that_was_closed_takes_all_that_comes_later_in_silence() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = patient_stream(writing, by_line=True)
    for _ in range(3):
        stream.write("lost\n")
    assert problem_of(stream) is None
    # Libraries and workers that write to the descriptor itself go on too.
    assert os.write(writing, b"x") == 1
    os.close(writing)


def test_a_full_device_is_remembered_and_written_to_no_more() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    stream = patient_stream(full)
    stream.write("lost\n")
    stream.flush()
    stream.write("lost too\n")
    stream.flush()
    assert problem_of(stream) == "No space left on device"
    os.close(full)


def test_what_an_encoding_lacks_is_written_out() -> None:
    reading, writing = os.pipe()
    stream = patient_stream(writing)
    stream.write("a\udc80b")
    stream.flush()
    assert os.read(reading, 100) == b"a\\udc80b"
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("command", ["studies", "--help"])
def test_a_command_whose_output_is_closed_or_cut_short_ends_quietly(command: str) -> None:
    closed, cut = shell(f"{AUTORF} {command} >&-"), shell(f"{AUTORF} {command} | head -1; exit ${{PIPESTATUS[0]}}")
    assert (closed.returncode, closed.stderr) == (0, "")
    assert (cut.returncode, cut.stderr) == (0, "")
    assert len(cut.stdout.splitlines()) == 1


def test_a_command_whose_output_is_full_says_so_in_one_line() -> None:
    done = shell(f"{AUTORF} studies >/dev/full")
    assert done.returncode == 2
    assert done.stderr.startswith("autorf: standard output: cannot be written: No space left on device")
    assert len(done.stderr.splitlines()) == 1
