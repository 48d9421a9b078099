from pathlib import Path

import pytest

from autorf.study.spec import StudySpec, parse_study
from autorf.study.store import Record
from autorf.tracking import Mirror, open_mirror
from tests.study.conftest import TINY


@pytest.fixture
def spec() -> StudySpec:
    return parse_study(TINY, "tiny.yaml")


def record(state: str = "running", epochs: int = 1) -> Record:
    history = [
        {
            "epoch": n,
            "loss": 1.0 - 0.1 * n,
            "miou": 0.1 * n,
            "f1": 0.2,
            "rf": [35, 27],
            "rnorm": 0.4,
            "f": 1.1,
            "seconds": 3,
        }
        for n in range(epochs)
    ]
    result = (
        {"iou_per_class": {"background": 0.9, "one": None}, "train_seconds": 4.0, "miou": 0.1}
        if state == "complete"
        else {}
    )
    return Record(
        row=1, key="abc", configuration={"method": "inflation", "dilation": 3}, seed=0, state=state, attempt=1,  # type: ignore[arg-type]
        result=result, history=history, reason="NaN" if state == "failed" else None,
    )  # fmt: skip


def run_of(mirror: Mirror, key: str = "abc"):
    client = mirror._connect()
    experiment = client.get_experiment_by_name("tiny")
    (run,) = client.search_runs([experiment.experiment_id], f"tags.`autorf.trial_key` = '{key}'")
    return client, run


def test_syncing_again_adds_only_what_is_new(tmp_path: Path, spec: StudySpec) -> None:
    mirror = open_mirror(spec, tmp_path)
    mirror.sync(record(epochs=1))
    mirror.sync(record(epochs=2))
    other = open_mirror(spec, tmp_path)
    other.sync(record(epochs=3))
    other.sync(record("complete", epochs=3))
    other.sync(record("complete", epochs=3))
    client, run = run_of(other)
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "f")] == [0, 1, 2]
    assert run.info.status == "FINISHED"
    assert run.data.tags["autorf.state"] == "complete"
    assert (run.data.metrics["rf"], run.data.metrics["rf_width"], run.data.metrics["iou/background"]) == (35, 27, 0.9)
    assert "iou/one" not in run.data.metrics
    assert run.data.params == {"method": "inflation", "dilation": "3", "seed": "0"}


def test_a_failed_trial_is_a_failed_run_with_its_reason_until_it_is_retried(tmp_path: Path, spec: StudySpec) -> None:
    mirror = open_mirror(spec, tmp_path)
    mirror.sync(record("failed"))
    assert run_of(mirror)[1].info.status == "FAILED"
    assert run_of(mirror)[1].data.tags["autorf.reason"] == "NaN"
    mirror.sync(record("running"))
    assert run_of(mirror)[1].info.status == "RUNNING"


def test_an_unreachable_mlflow_is_said_once_and_never_stops_the_study(
    tmp_path: Path, spec: StudySpec, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.db").mkdir()
    mirror = Mirror(f"sqlite:///{tmp_path / 'folder.db'}", spec)
    mirror.sync(record())
    mirror.sync(record("complete"))
    mirror.repair([record("complete")])
    said = capsys.readouterr().err
    assert said.count("the study goes on, the next run repairs it") == 1
