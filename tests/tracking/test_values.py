"""What MLflow is told of a trial, as metrics."""

from pathlib import Path

import pytest

from autorf.study.spec import parse_study
from autorf.tracking.values import epoch_metrics, line_metrics, metric_names, metrics, renamed_classes
from tests.comparison.test_rnorm import DATA, RATES, trial, whole
from tests.reports import with_trace
from tests.tiny import TINY
from tests.tracking.conftest import record

TRACE = {
    "steps_per_epoch": 4, "step": [0, 2], "f": [1.0, 1.5], "f.1": [1.0, 2.0], "f_height": [1.0], "rates": [1, 2],
    "window": [[0.25, 0.75]], "profiles": [[0.0, None]],
}  # fmt: skip


def test_what_was_learned_and_the_window_are_told_step_by_step() -> None:
    trial = with_trace(record(epochs=1), TRACE)
    found = [(metric.key, metric.value, metric.step) for metric in epoch_metrics(trial, -1)]
    assert [one for one in found if one[0] == "f_by_step"] == [("f_by_step", 1.0, 0), ("f_by_step", 1.5, 2)]
    assert ("f.1_by_step", 2.0, 2) in found
    assert [one for one in found if one[0].startswith("window.")] == [("window.1", 0.25, 0), ("window.2", 0.75, 0)]
    assert not [name for name, *_ in found if name.startswith(("f_height", "profiles", "rates", "step"))]


def test_the_line_of_a_studys_image_sizes_is_told_with_its_interval(tmp_path: Path) -> None:
    spec = parse_study({**TINY, "data": {**TINY["data"], **DATA, "image_size": 96}}, "f")
    told = {metric.key: metric.value for metric in line_metrics(whole(), spec, tmp_path)}
    assert told["rnorm_line"] == pytest.approx((64 * 27 + 96 * 43 + 128 * 59) / (64**2 + 96**2 + 128**2))
    assert told["rnorm_line_low"] < told["rnorm_line"] < told["rnorm_line_high"]
    assert line_metrics([trial(96, rate) for rate in RATES], spec, tmp_path) == []


def test_classes_that_mlflow_cannot_store_have_other_names_each_its_own_and_are_told() -> None:
    names = ["road", "../x", "/etc", "a//b", "дерево", "дорога", "a?", "a!", "x" * 400]
    mirrored = metric_names([f"per_class_iou.{name}" for name in names])
    assert len(set(mirrored.values())) == len(names)
    assert mirrored["per_class_iou.road"] == "per_class_iou.road"
    from mlflow.utils.validation import _validate_metric_name

    for name in [*mirrored.values(), *metric_names(names).values()]:
        _validate_metric_name(name)
    line = renamed_classes(names)
    assert line is not None
    assert line.startswith("MLflow has other names for")
    assert "'дерево' as '______'" in line
    assert len(line) <= 290
    assert renamed_classes(["road", "tree 2"]) is None


def test_two_classes_of_one_plain_name_are_two_metrics() -> None:
    told = {metric.key: metric.value for metric in metrics({"iou.a?": 0.1, "iou.a!": 0.2}, 0)}
    assert told == {"iou.a_": 0.1, "iou.a_ 2": 0.2}
