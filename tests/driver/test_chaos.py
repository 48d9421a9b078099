"""The short forms of the benchmarks that kill studies and cut their files; each says what is wrong and exits with 1."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["chaos.py", "--kills", "3", "--seed", "4", "--longest", "3"], marks=pytest.mark.slow),
        ["truncation.py", "--cuts", "3"],
    ],
)
def test_nothing_is_lost_or_repeated(command: list[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS.parent)}
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / command[0]), *command[1:]],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
