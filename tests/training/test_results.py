"""What a trial reports travels through JSON whole, and nothing that was learned takes a metric's place."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from autorf.training.results import DamagedError, EpochReport, Field, MultiScaleScores, TrialResult
from tests.reports import epoch_report, trial_result

EPOCH = EpochReport(
    epoch=3,
    loss=0.7,
    metrics={"miou": 0.4, "f1": 0.5, "pixel_accuracy": 0.8},
    groups={"overall": 0.6},
    learned={"f": 1.5, "f.1": 1.0},
    field=Field((19.0, 27.5), 0.4),
    steps=12,
    seconds=2.5,
    cpu_seconds=2.0,
    costs={"latency_ms": 3.0},
    trace={"step": [9], "f": [1.4], "steps_per_epoch": 3},
)
RESULT = replace(
    EPOCH.as_result(),
    iou_per_class={"a": 0.4, "b": None},
    f1_per_class={"a": 0.5, "b": None},
    device="cpu",
    notes=("a checkpoint was cut",),
)


SCALED = replace(
    RESULT,
    mean_over="labelled",
    multiscale=MultiScaleScores((0.5, 1.0), True, {"miou": 0.5}, {"overall": 0.7}, {"a": 0.5, "b": None}),
)


@pytest.mark.parametrize("report", [EPOCH, RESULT, SCALED], ids=["epoch", "result", "scaled"])
def test_a_report_comes_back_from_json_as_it_was(report: EpochReport | TrialResult) -> None:
    assert type(report).from_json(json.loads(json.dumps(report.to_json()))) == report


def test_what_is_written_is_what_earlier_versions_wrote_and_steps_and_label_groups() -> None:
    assert EPOCH.to_json() == {
        "epoch": 3, "loss": 0.7, "miou": 0.4, "f1": 0.5, "pixel_accuracy": 0.8, "f": 1.5, "f.1": 1.0,
        "rf": [19.0, 27.5], "rnorm": 0.4, "seconds": 2.5, "cpu_seconds": 2.0, "latency_ms": 3.0,
        "trace": {"step": [9], "f": [1.4], "steps_per_epoch": 3}, "steps": 12, "groups": {"overall": 0.6},
    }  # fmt: skip
    assert RESULT.to_json() == {
        "miou": 0.4, "f1": 0.5, "pixel_accuracy": 0.8, "split": "val", "iou_per_class": {"a": 0.4, "b": None},
        "f1_per_class": {"a": 0.5, "b": None}, "values": {"f": 1.5, "f.1": 1.0}, "rf": [19.0, 27.5], "rnorm": 0.4,
        "epochs": 4, "notes": ["a checkpoint was cut"], "train_seconds": 2.5, "cpu_seconds": 2.0, "device": "cpu",
        "latency_ms": 3.0, "steps": 12, "groups": {"overall": 0.6},
    }  # fmt: skip


@pytest.mark.parametrize("name", ["miou", "rnorm", "steps", "epoch", "learned", "latency_ms"])
def test_a_learned_value_never_takes_the_place_of_what_has_its_name(name: str) -> None:
    report = replace(EPOCH, learned={name: 0.99, "f": 1.5})
    read = EpochReport.from_json(report.to_json())
    assert read == report
    assert (read.miou, read.by_name.get(name)) == (0.4, EPOCH.by_name.get(name))
    result = TrialResult.from_json(read.as_result().to_json())
    assert (result.miou, result.learned[name]) == (0.4, 0.99)


def test_rows_of_versions_that_did_not_count_steps_have_none() -> None:
    assert epoch_report(rf=[19, 19], rnorm=0.4).steps is None
    assert trial_result().steps is None


def test_a_field_that_nobody_measured_is_none_and_its_side_no_number() -> None:
    report = epoch_report()
    assert (report.field, report.rf, report.rnorm) == (None, None, None)
    assert math.isnan(report.side)


NAN, INFINITY = math.nan, math.inf


def test_what_is_no_number_is_never_written_and_an_unknown_miou_is_no_damage() -> None:
    report = replace(
        EPOCH,
        loss=NAN,
        metrics={"miou": NAN, "f1": NAN, "pixel_accuracy": 0.8},
        groups={"overall": NAN, "eyes": 0.5},
        learned={"f": INFINITY, "f.1": 1.0},
        costs={"latency_ms": INFINITY},
        field=Field((NAN, 3.0), 0.4),
        trace={"step": [9], "f": [NAN]},
    )
    for told in (report, report.as_result()):
        stored = json.dumps(told.to_json(), allow_nan=False)
        read = type(told).from_json(json.loads(stored))
        assert math.isnan(read.miou)
        assert read.by_name == {"pixel_accuracy": 0.8, "f1_eyes": 0.5, **read.by_name}
        assert not {"miou", "f1", "latency_ms", "f1_overall"} & read.by_name.keys()
        assert (read.field, read.learned) == (None, {"f.1": 1.0})


def test_a_stored_value_that_is_no_number_is_one_that_is_not_known() -> None:
    read = TrialResult.from_json({"epochs": 1, "miou": NAN, "f1": NAN, "rnorm": NAN, "iou_per_class": {"a": NAN}})
    assert (read.metrics, read.rnorm, read.iou_per_class) == ({}, None, {"a": None})


@pytest.mark.parametrize(
    ("stored", "problem"),
    [
        (None, "'None' holds no names and values"),
        ({}, "epoch is missing"),
        ({"epoch": 0}, "miou is missing"),
        ({"epoch": "0", "miou": 0.1}, "epoch is '0', no whole number"),
        ({"epoch": 0, "miou": "high"}, "miou is missing"),
        ({"epoch": 0, "miou": 0.1, "rf": [1], "rnorm": 0.1}, r"rf is \[1\], no two numbers"),
        ({"epoch": 0, "miou": 0.1, "seconds": "long"}, "seconds is 'long', no number"),
        ({"epoch": 0, "miou": 0.1, "trace": "x"}, "'x' holds no names and values"),
    ],
)
def test_what_no_version_wrote_is_named(stored: Any, problem: str) -> None:
    with pytest.raises(DamagedError, match=problem):
        EpochReport.from_json(stored)
