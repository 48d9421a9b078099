"""Settings for all tests: one thread a process, no accidental network, no leftovers from the user's shell."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from autorf.study.spec import StudySpec, parse_study
from tests.postgres import Server, server
from tests.tiny import TINY

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
def classified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The root of a small classification whose trials are trained, and their keys; never changed."""
    from tests.study.classified import train_classified

    root = tmp_path_factory.mktemp("classified") / "runs"
    return root, train_classified(root)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server on loopback."""
    yield from server()


@pytest.fixture
def tiny() -> StudySpec:
    return parse_study(TINY, "tiny.yaml")


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY, sort_keys=False))
    return path
