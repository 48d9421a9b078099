"""Settings for all tests: one thread a process, no accidental network, no leftovers from the user's shell."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.postgres import Server, server

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The root of a small study with two trained trials and one that waits, and their keys; never changed."""
    from tests.study.trained import train_study

    root = tmp_path_factory.mktemp("trained") / "runs"
    return root, train_study(root)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server on loopback."""
    yield from server()
