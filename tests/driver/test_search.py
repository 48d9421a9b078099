"""A shrunken study end to end: searched, killed, resumed, mirrored, compared."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autorf.store.store import Record, open_store
from autorf.tracking import tracking_uri

AUTORF = [sys.executable, "-c", "from autorf.cli import main; main()"]


def autorf(*arguments: str, cwd: Path, code: int = 0) -> str:
    done = subprocess.run([*AUTORF, *arguments], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def said_on_stdout(*arguments: str, cwd: Path) -> list[str]:
    done = subprocess.run([*AUTORF, *arguments], cwd=cwd, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout.splitlines()


def records(root: Path) -> list[Record]:
    return open_store(root, "tiny").records()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The tiny study, run once without interruption."""
    import yaml

    from tests.tiny import TINY

    folder = tmp_path_factory.mktemp("study")
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "search": {"controls": False}}))
    return folder, autorf("search", "tiny.yaml", cwd=folder)


def test_one_command_runs_every_trial_and_says_which_won(finished: tuple[Path, str]) -> None:
    folder, said = finished
    assert [record.state for record in records(folder / "runs")] == ["complete"] * 4
    assert "trial 4 of 4" in said
    assert "best manual" in said
    assert "best learned" in said
    assert "mlflow ui" in said


def test_every_trial_has_its_epochs_field_and_scores(finished: tuple[Path, str]) -> None:
    by_method = {}
    for record in records(finished[0] / "runs"):
        by_method.setdefault(record.configuration["method"], record)
        assert len(record.history) == 2
        assert 0 < record.result.miou <= 1
        assert record.history[-1].miou == record.result.miou
        assert len(record.result.iou_per_class) == 11
    assert by_method["dilation"].result.rf == (19, 19)
    assert by_method["dilation"].result.rnorm == pytest.approx(19 / 48)
    assert by_method["inflation"].result.learned["f"] != 1.0
    assert by_method["learned_dilation"].result.learned["dilation"].is_integer()


def test_nothing_is_written_outside_the_root(finished: tuple[Path, str]) -> None:
    assert sorted(path.name for path in finished[0].iterdir()) == ["runs", "tiny.yaml"]
    assert list((finished[0] / "runs" / "mlartifacts" / "tiny").rglob("study.json"))


def test_the_same_command_again_trains_nothing_and_shows_the_same_table(finished: tuple[Path, str]) -> None:
    folder, said = finished
    before = records(folder / "runs")
    again = autorf("search", "tiny.yaml", cwd=folder)
    assert records(folder / "runs") == before
    assert again.startswith("For now use ")
    assert "missing is a second seed" in again
    assert "tiny: validation split" in again
    assert said.endswith(again)


def test_compare_reads_the_store_from_anywhere(finished: tuple[Path, str], tmp_path: Path) -> None:
    shown = autorf("compare", "tiny", "--root", str(finished[0] / "runs"), "--format", "json", cwd=tmp_path)
    rows = json.loads(shown)["rows"]
    assert len(rows) == 4
    assert {row["split"] for row in rows} == {"val"}
    assert len(autorf("compare", "tiny", "--format", "csv", cwd=finished[0]).splitlines()) == 5


def test_mlflow_mirrors_parent_children_and_every_epoch(finished: tuple[Path, str]) -> None:
    from mlflow import MlflowClient

    root = finished[0] / "runs"
    client = MlflowClient(tracking_uri(None, root))
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if run.data.tags["autorf.kind"] == "study"]
    children = {run.data.tags["autorf.trial_key"]: run for run in runs if run.data.tags["autorf.kind"] == "trial"}
    assert len(parents) == 1
    assert {run.info.status for run in runs} == {"FINISHED"}
    for record in records(root):
        run = children.pop(record.key)
        assert run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        assert len(client.get_metric_history(run.info.run_id, "loss")) == len(record.history)
        assert any(file.path == "images" for file in client.list_artifacts(run.info.run_id))
    assert not children


def test_mlflow_the_storage_and_compare_agree(finished: tuple[Path, str]) -> None:
    from mlflow import MlflowClient

    root = finished[0] / "runs"
    client = MlflowClient(tracking_uri(None, root))
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    mirrored = {run.data.tags.get("autorf.trial_key"): run.data for run in runs}
    shown = json.loads(autorf("compare", "tiny", "--format", "json", cwd=finished[0]))
    stored = {record.key: record for record in records(root)}
    for row in shown["rows"]:
        metrics, record = mirrored[row["key"]].metrics, stored[row["key"]]
        for name in ("miou", "f1", "pixel_accuracy", "rnorm", "train_seconds", "dilation", "f"):
            assert metrics.get(name) == row[name]
        assert [metrics["rf_height"], metrics["rf_width"]] == row["rf"] == list(record.result.rf)
        assert {
            f"per_class_iou.{name}": iou for name, iou in record.result.iou_per_class.items() if iou is not None
        } == {name: value for name, value in metrics.items() if name.startswith("per_class_iou.")}
        assert (row["miou"], row["state"]) == (record.result.miou, mirrored[row["key"]].tags["autorf.state"])
    best = max(shown["rows"], key=lambda row: row["miou"])
    assert mirrored[None].metrics["best_miou"] == best["miou"]
    assert mirrored[None].tags["autorf.best_manual"] in {row["key"] for row in shown["rows"]}


def test_a_lost_mirror_is_repaired_by_the_next_run(finished: tuple[Path, str], tmp_path: Path) -> None:
    import shutil

    from mlflow import MlflowClient

    root = tmp_path / "runs"
    shutil.copytree(finished[0] / "runs" / "tiny", root / "tiny")
    shutil.copy(finished[0] / "tiny.yaml", tmp_path)
    autorf("search", "tiny.yaml", cwd=tmp_path)
    client = MlflowClient(tracking_uri(None, root))
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert sum(run.data.tags["autorf.kind"] == "trial" and "miou" in run.data.metrics for run in runs) == 4


def mlflow_statuses(root: Path) -> list[str]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri(None, root))
    return [run.info.status for run in client.search_runs([client.get_experiment_by_name("tiny").experiment_id])]


@pytest.mark.slow
def test_a_killed_study_over_losses_that_learn_centres_resumes_to_the_same_numbers(tmp_path: Path) -> None:
    import yaml

    from tests.tiny import TINY

    contextual = {"name": "contextual", "weight": 0.05}
    losses = [["cross_entropy", contextual], ["cross_entropy", {**contextual, "layer": "head.output", "inter": False}]]
    space = [{"method": "dilation", "rate": 3, "training.loss": losses}]
    study = yaml.safe_dump({**TINY, "search_space": space, "training": {"epochs": 4, "batch_size": 16}})
    for name in ("cut", "whole"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tiny.yaml").write_text(study)
    killed_midway(tmp_path / "cut", signal.SIGKILL)
    autorf("search", "tiny.yaml", cwd=tmp_path / "cut")
    said = autorf("search", "tiny.yaml", cwd=tmp_path / "whole")
    assert "contextual (weight 0.05)" in said
    resumed, whole = ({each.key: each for each in records(tmp_path / name / "runs")} for name in ("cut", "whole"))
    assert {key: each.result.miou for key, each in resumed.items()} == {
        key: each.result.miou for key, each in whole.items()
    }
    assert max(each.attempt for each in resumed.values()) == 2
    rows = json.loads(autorf("compare", "tiny.yaml", "--format", "json", cwd=tmp_path / "cut"))["rows"]
    assert ["cross_entropy", contextual] in [row["params"].get("training.loss") for row in rows]
    autorf("report", "tiny.yaml", cwd=tmp_path / "cut")


def killed_midway(folder: Path, how: signal.Signals) -> int:
    """Start the search, send ``how`` once a trial is complete and another runs, and return the exit code."""
    process = subprocess.Popen(
        [*AUTORF, "search", "tiny.yaml", "--workers", "1", "--quiet"],
        cwd=folder,
        start_new_session=True,
        # A shell that runs tests in the background has its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 240
    while not (folder / "runs" / "tiny" / "study.db").exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    store = open_store(folder / "runs", "tiny")
    while time.monotonic() < deadline:
        time.sleep(0.1)
        states = {record.state for record in store.records()}
        if {"complete", "running"} <= states:
            break
    assert process.poll() is None, "the study ended before it was interrupted"
    if how == signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, how)
    return process.wait(60)


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_an_interrupted_study_resumes_to_the_numbers_of_an_uninterrupted_one(
    finished: tuple[Path, str], tmp_path: Path, how: signal.Signals
) -> None:
    (tmp_path / "tiny.yaml").write_text((finished[0] / "tiny.yaml").read_text())
    code = killed_midway(tmp_path, how)
    assert code == (130 if how == signal.SIGINT else -9)
    done = {record.key: record.row for record in records(tmp_path / "runs") if record.state == "complete"}
    assert done
    events = [json.loads(line) for line in said_on_stdout("search", "tiny.yaml", "--json-lines", cwd=tmp_path)]
    assert [event["event"] for event in events[:2]] == ["study", "started"]
    ended = [event for event in events if event["event"] == "finished"]
    assert not done.keys() & {event["key"] for event in ended}
    assert (events[-1]["event"], events[-2]) == ("comparison", ended[-1])
    assert ended[-1]["done"] == ended[-1]["total"] == len(events[-1]["rows"]) == 4
    assert ended[-1]["best"]["value"] == max(row["miou"] for row in events[-1]["rows"])
    resumed = {record.key: record for record in records(tmp_path / "runs")}
    expected = {record.key: record for record in records(finished[0] / "runs")}
    assert {key: resumed[key].row for key in done} == done
    assert {key: one.result.miou for key, one in resumed.items()} == {
        key: one.result.miou for key, one in expected.items()
    }
    assert max(one.attempt for one in resumed.values()) == 2
    assert mlflow_statuses(tmp_path / "runs") == ["FINISHED"] * 5
