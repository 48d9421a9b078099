"""What cannot begin leaves nothing behind, and asks nobody that the user did not name."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from autorf.driver import search as module
from autorf.errors import InputError
from autorf.executors import ray_cluster
from autorf.study.spec import StudySpec, parse_study
from autorf.tracking.client import _make_whole
from tests.tiny import TINY


def unreached() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def searched(changes: dict[str, object], root: Path) -> str:
    spec = parse_study({**TINY, **changes}, "tiny.yaml")
    with pytest.raises(InputError) as refused:
        module.search(spec, "tiny.yaml", root, quiet=True)
    return str(refused.value)


def test_a_ray_address_where_nobody_answers_is_told_before_anything_is_written(tmp_path: Path) -> None:
    executor = {"kind": "ray", "address": f"127.0.0.1:{unreached()}"}
    assert "executor.address" in searched({"executor": executor}, tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


def test_a_postgresql_address_where_nobody_answers_leaves_no_study(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    url = f"postgresql+psycopg://a@127.0.0.1:{unreached()}/b"
    assert "start the server" in searched({"storage": {"url": url}}, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_an_executor_that_cannot_start_leaves_no_study_and_no_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise InputError("executor.resources: no node has that")

    monkeypatch.setattr(module, "make", fails)
    assert "no node" in searched({}, tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_study_that_was_there_stays_where_an_executor_cannot_start(
    tmp_path: Path, tiny: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autorf.store.store import Store
    from autorf.study.trial import grid

    Store(tmp_path / "tiny", "tiny").register(tiny, grid(tiny, "tiny"))

    def fails(*_: object) -> None:
        raise InputError("no")

    monkeypatch.setattr(module, "make", fails)
    with pytest.raises(InputError):
        module.search(tiny, "tiny.yaml", tmp_path, quiet=True)
    assert (tmp_path / "tiny" / "study.db").is_file()


def test_the_next_run_removes_what_a_killed_one_left_of_the_mirrors_file(tmp_path: Path) -> None:
    killed = (
        "import os, sys; from pathlib import Path; from autorf.executors.scratch import Scratch\n"
        "Scratch(Path(sys.argv[1]), '.mlflow-'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False)
    assert len(list(tmp_path.glob(".mlflow-*"))) == 1
    _make_whole(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_rays_api_server_alone_reaches_loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    services = pytest.importorskip("ray._private.services")
    started: dict[str, dict[str, str]] = {}

    def start(command: list[str], process_type: str, *_: object, **options: dict[str, str]) -> None:
        started[process_type] = options.get("env_updates") or {}

    monkeypatch.setattr(services, "start_ray_process", start)
    with ray_cluster._no_cloud():
        services.start_ray_process(["dashboard"], "dashboard", fate_share=True)
        services.start_ray_process(["raylet"], "raylet", fate_share=True, env_updates={"A": "b"})
    assert started["dashboard"]["http_proxy"] == "http://127.0.0.1:9"
    assert "127.0.0.1" in started["dashboard"]["no_proxy"]
    assert started["raylet"] == {"A": "b"}
    assert services.start_ray_process is start
