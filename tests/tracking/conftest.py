import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from autorf.running.evidence import Evidence, write_evidence
from autorf.store.store import Record
from autorf.study.spec import StudySpec, parse_study
from autorf.study.trial import trial_from
from autorf.tracking.mirror import Mirror
from tests.reports import epoch_report, trial_result
from tests.tiny import TINY


@pytest.fixture
def spec() -> StudySpec:
    return parse_study(TINY, "tiny.yaml")


def record(state: str = "running", epochs: int = 1, *, key: str = "abc", miou: float = 0.1, **configuration: Any):
    chosen = configuration or {"method": "inflation", "dilation": 3}
    learned = {"f": 1.1} if chosen["method"] == "inflation" else {}
    history = [
        epoch_report(
            n,
            loss=1.0 - 0.1 * n,
            miou=0.1 * n,
            f1=0.2,
            rf=[35 - n, 27],
            rnorm=0.4,
            **{name: value + n / 10 for name, value in learned.items()},
            seconds=3,
        )
        for n in range(epochs)
    ]
    result = {"iou_per_class": {"background": 0.9, "one": None, "wall (old)": 0.3}, "train_seconds": 4.0, "miou": miou}
    return Record(
        row=1, key=key, configuration=chosen, seed=0, state=state, attempt=1,  # type: ignore[arg-type]
        trial=trial_from(chosen, 0), result=trial_result(**result) if state == "complete" else None,
        history=tuple(history), reason="NaN" if state == "failed" else None,
    )  # fmt: skip


def leave_files(folder: Path, key: str, *, maps: bool = False) -> None:
    """What a finished trial leaves in its folder."""
    trial = folder / "trials" / key
    trial.mkdir(parents=True)
    (trial / "model.safetensors").write_bytes(b"weights of " + key.encode())
    (trial / "autorf.json").write_text("{}")
    labels = torch.tensor([[[0, 1], [1, 255]]], dtype=torch.int16).expand(2, 2, 2)
    write_evidence(
        trial,
        Evidence(
            class_names=("background", "one"),
            ignore_index=255,
            n_images=2,
            cells=torch.tensor([[0, 0, 0]]),
            counts=torch.tensor([3]),
            objects=torch.zeros(0, 4, dtype=torch.int32),
            object_scales=torch.zeros(0),
            sample_indices=torch.tensor([0, 1]),
            samples=torch.zeros(2, 3, 2, 2, dtype=torch.uint8),
            sample_truth=labels,
            sample_prediction=labels.clamp(max=1),
            maps=torch.rand(2, 2, 2).half() if maps else None,
            map_name="scale" if maps else None,
        ),
    )


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One MLflow database for all tests; each takes an identity of its own."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def mirror(database: str, spec: StudySpec, tmp_path: Path, request: pytest.FixtureRequest) -> Mirror:
    return Mirror(database, spec, request.node.name, tmp_path, (tmp_path / "artifacts").as_uri())


def again(mirror: Mirror) -> Mirror:
    """The mirror of the next run of the same study."""
    return Mirror(mirror.uri, mirror.spec, mirror.identity, mirror.folder, mirror._artifacts)


def runs_of(mirror: Mirror) -> dict[str, Any]:
    """Every run of the mirror's study: the parent as ``study``, trials by key."""
    client = again(mirror)._connected()
    experiment = client.get_experiment_by_name(mirror.spec.name)
    runs = client.search_runs([experiment.experiment_id], f"tags.`autorf.study_id` = '{mirror.identity}'")
    found = {run.data.tags.get("autorf.trial_key", "study"): run for run in runs}
    assert len(found) == len(runs)
    return found


def artifacts(mirror: Mirror, run: Any, path: str | None = None) -> set[str]:
    found: set[str] = set()
    for file in mirror._connected().list_artifacts(run.info.run_id, path):
        found |= artifacts(mirror, run, file.path) if file.is_dir else {file.path.partition("+")[0]}
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server on loopback."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 180
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
