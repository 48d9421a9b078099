import json
from dataclasses import replace
from pathlib import Path

import pytest

from autorf.store.record import Record
from autorf.tracking import values
from autorf.tracking.mirror import Mirror
from autorf.training.results import MultiScaleScores
from tests.reports import with_result
from tests.tracking.conftest import again, artifacts, leave_files, record, runs_of


def test_syncing_again_adds_only_what_is_new(mirror: Mirror) -> None:
    mirror.sync(record(epochs=1))
    mirror.sync(record(epochs=2))
    other = again(mirror)
    other.sync(record(epochs=3))
    other.sync(record("complete", epochs=4))
    other.sync(record("complete", epochs=4))
    run = runs_of(mirror)["abc"]
    history = mirror._connected().get_metric_history(run.info.run_id, "f")
    assert [(metric.step, round(metric.value, 3)) for metric in history] == [(0, 1.1), (1, 1.2), (2, 1.3), (3, 1.4)]
    assert run.info.status == "FINISHED"
    assert run.data.tags["autorf.state"] == "complete"
    assert (run.data.metrics["rf"], run.data.metrics["rf_width"], run.data.metrics["per_class_iou.background"]) == (
        32,
        27,
        0.9,
    )
    assert run.data.metrics["per_class_iou.wall _old_"] == 0.3
    assert "per_class_iou.one" not in run.data.metrics
    assert run.data.params == {"method": "inflation", "dilation": "3", "seed": "0"}


def test_the_data_set_of_every_run_is_the_validation_split(mirror: Mirror) -> None:
    mirror.sync(record())
    for run in runs_of(mirror).values():
        (given,) = run.inputs.dataset_inputs
        assert given.dataset.name == "digits"
        assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "validation")]


def test_the_parent_has_the_studys_parameters_and_its_experiment_opens_with_the_table_of_runs(mirror: Mirror) -> None:
    parent = mirror.parent
    given = runs_of(mirror)["study"].data.params
    assert (given["training.epochs"], given["data.n_val"], given["model.name"]) == ("2", "12", "largefov:test_byobnet")
    assert json.loads(given["search.objectives"]) == ["miou"]
    assert json.loads(given["search_space"])[0] == {"method": "dilation", "rate": [1, 3]}
    assert not [name for name in given if name.startswith(("storage", "tracking", "executor"))]
    assert again(mirror).parent == parent
    experiment = mirror._connected().get_experiment_by_name(mirror.spec.name)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_a_parent_run_of_an_earlier_version_is_given_the_parameters_it_lacks(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(values, "study_parameters", lambda spec: [])
        parent = mirror.parent
    assert runs_of(mirror)["study"].data.params != {}
    assert again(mirror).parent == parent


def test_what_is_recommended_stands_on_the_parent_and_trials_without_a_field_are_left_out(mirror: Mirror) -> None:
    def measured(key: str, rate: int, seed: int, miou: float) -> Record:
        one = record("complete", key=key, miou=miou, method="dilation", rate=rate)
        return replace(with_result(one, rf=[8 * rate, 8 * rate], rnorm=0.1 * rate), seed=seed, row=10 * rate + seed)

    rows = [measured(f"{rate}{seed}", rate, seed, 0.2 * rate + seed / 100) for rate in (1, 2) for seed in (0, 1)]
    mirror.close([*rows, record("complete", key="fieldless", method="dilation", rate=7)])
    run = runs_of(mirror)["study"].data
    assert run.tags["autorf.recommendation"].startswith("Use a field of 16 px (dilation 2)")
    assert run.tags["autorf.recommended_trial_keys"] == "20, 21"
    assert (run.metrics["recommended_rf_low"], run.metrics["recommended_rf_high"]) == (16, 16)


def test_label_groups_and_scores_over_several_scales_are_metrics_of_a_trial(mirror: Mirror) -> None:
    trial = record("complete", 2)
    assert trial.result is not None
    fused = MultiScaleScores((0.5, 1.0), True, {"miou": 0.4}, {"overall": 0.7})
    result = replace(trial.result, groups={"overall": 0.6}, multiscale=fused)
    history = tuple(replace(report, groups={"overall": 0.5 + report.epoch / 20}) for report in trial.history)
    mirror.sync(replace(trial, result=result, history=history))
    given = runs_of(mirror)["abc"].data.metrics
    assert (given["f1_overall"], given["multiscale_miou"], given["multiscale_f1_overall"]) == (0.6, 0.4, 0.7)


def test_a_failed_trial_is_a_failed_run_with_its_reason_until_it_is_retried(mirror: Mirror) -> None:
    mirror.sync(record("failed"))
    run = runs_of(mirror)["abc"]
    assert (run.info.status, run.data.tags["autorf.reason"]) == ("FAILED", "NaN")
    mirror.sync(record("running", epochs=2))
    assert runs_of(mirror)["abc"].info.status == "RUNNING"
    again(mirror).sync(record("complete", epochs=2))
    run = runs_of(mirror)["abc"]
    assert (run.info.status, run.data.tags["autorf.reason"]) == ("FINISHED", "")


def test_runs_that_a_killed_driver_left_running_are_ended_by_the_next(mirror: Mirror) -> None:
    mirror.begin([])
    for key in ("waits", "runs", "done"):
        mirror.sync(record(key=key))
    after = [record("waiting", key="waits"), record("running", key="runs"), record("complete", key="done")]
    again(mirror).begin(after)
    states = {key: run.info.status for key, run in runs_of(mirror).items()}
    assert states == {"study": "RUNNING", "waits": "KILLED", "runs": "RUNNING", "done": "KILLED"}
    again(mirror).close([record("complete", key=key) for key in ("waits", "runs", "done")])
    assert {run.info.status for run in runs_of(mirror).values()} == {"FINISHED"}


def test_an_interrupted_study_is_killed_and_one_that_another_driver_runs_goes_on(mirror: Mirror) -> None:
    mirror.begin([])
    mirror.close([record("running")])
    assert runs_of(mirror)["study"].info.status == "RUNNING"
    mirror.close([record("waiting")])
    assert runs_of(mirror)["study"].info.status == "KILLED"


def test_the_best_of_each_side_keep_their_weights_and_the_winner_is_on_the_parent(
    mirror: Mirror, tmp_path: Path
) -> None:
    trials = {"rate2": 0.6, "rate3": 0.7, "learn": 0.8}
    for key in trials:
        leave_files(tmp_path, key, maps=key == "learn")
    manual = [
        record("complete", key=key, miou=trials[key], method="dilation", rate=rate)
        for key, rate in (("rate2", 2), ("rate3", 3))
    ]
    mirror.close([*manual, record("complete", 2, key="learn", miou=0.8)])
    runs = runs_of(mirror)
    kept = {key for key, run in runs.items() if "model/model.safetensors" in artifacts(mirror, run)}
    assert kept == {"rate3", "learn"}
    assert "model/autorf.json" in artifacts(mirror, runs["rate2"])
    assert {"figures/trajectory.svg", "images/sample 0"} < artifacts(mirror, runs["learn"])
    assert "figures/trajectory.svg" not in artifacts(mirror, runs["rate2"])
    assert {"best/model.safetensors", "best/autorf.json", "figures/trajectories.svg"} < artifacts(mirror, runs["study"])
    assert runs["study"].data.tags["autorf.best_trial_key"] == "learn"
    assert runs["study"].data.metrics == {"best_manual_miou": 0.7, "best_learned_miou": 0.8, "best_miou": 0.8}
    assert runs["rate3"].data.metrics["dilation"] == 3


def test_two_drivers_at_once_make_one_parent(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    parent, second = mirror.parent, again(mirror)
    look, looked = second._search, []

    def too_early(client, kind, more=""):
        looked.append(kind)
        return [] if looked.count("study") == 1 else look(client, kind, more)

    monkeypatch.setattr(second, "_search", too_early)
    assert second.parent == parent
    assert set(runs_of(mirror)) == {"study"}


def test_a_trial_that_another_driver_mirrored_meanwhile_stays_one_run(mirror: Mirror) -> None:
    other = again(mirror)
    mirror.begin([])
    other.begin([])
    other.sync(record("complete", epochs=2))
    mirror.close([record("complete", epochs=2)])
    assert set(runs_of(mirror)) == {"study", "abc"}
    history = mirror._connected().get_metric_history(runs_of(mirror)["abc"].info.run_id, "f")
    assert [metric.step for metric in history] == [0, 1]


def test_a_server_takes_metrics_pictures_and_weights(mirror: Mirror, server: str, tmp_path: Path) -> None:
    remote = Mirror(server, mirror.spec, mirror.identity, tmp_path)
    leave_files(tmp_path, "abc", maps=True)
    remote.begin([])
    remote.sync(record(epochs=1))
    remote.close([record("complete", epochs=2)])
    runs = runs_of(remote)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["abc"].data.metrics["f"] == pytest.approx(1.2)
    assert {"model/model.safetensors", "images/sample 0", "figures/trajectory.svg"} < artifacts(remote, runs["abc"])
    assert "best/model.safetensors" in artifacts(remote, runs["study"])
