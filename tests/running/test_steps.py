"""Trainings counted in optimizer steps, and trials with settings of their own."""

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from autorf.data import DigitsData, load
from autorf.driver.plan import plan
from autorf.errors import InputError
from autorf.running import runner
from autorf.study.job import Job
from autorf.study.spec import StudySpec, counted, parse_study
from autorf.training.batches import EpochBatches, PeriodBatches
from autorf.training.results import EpochReport
from tests.tiny import TINY

N_TRAIN = TINY["data"]["n_train"]


def job(folder: Path, configuration: dict[str, Any], **training: Any) -> Job:
    """A trial of the tiny study, whose epoch has three steps."""
    spec = parse_study({**TINY, "training": {"batch_size": 16, **training}}, "tiny.yaml")
    return Job(1, "key", configuration, 0, counted(spec, N_TRAIN, "tiny.yaml"), folder)


def run(one: Job, stop_after: int | None = None) -> list[dict[str, Any]]:
    """What was reported, without the clocks, until the end or so many reports."""
    reported: list[EpochReport] = []
    runner.run(one, reported.append, lambda: len(reported) == stop_after)
    plain = [epoch.to_json() for epoch in reported]
    return [{name: value for name, value in epoch.items() if "seconds" not in name} for epoch in plain]


SEARCHED = {"method": "learned_dilation", "search": 0.8, "extra": 0.0}


@pytest.mark.parametrize("configuration", [{"method": "dilation", "rate": 2}, SEARCHED], ids=lambda c: c["method"])
def test_steps_of_whole_epochs_are_the_same_training(tmp_path: Path, configuration: dict[str, Any]) -> None:
    in_epochs = run(job(tmp_path / "epochs", configuration, epochs=2))
    assert run(job(tmp_path / "steps", configuration, steps=6)) == in_epochs
    assert run(job(tmp_path / "both", configuration, epochs=2, validate_every=3)) == in_epochs


def test_a_training_is_the_same_however_often_it_is_validated(tmp_path: Path) -> None:
    configuration = {"method": "dilation", "rate": 2}
    every_four = run(job(tmp_path / "four", configuration, steps=9, validate_every=4))
    once = run(job(tmp_path / "nine", configuration, steps=9, validate_every=9))
    assert [epoch["epoch"] for epoch in every_four] == [0, 1, 2]
    assert len(once) == 1
    assert every_four[-1]["miou"] == once[-1]["miou"]
    assert (tmp_path / "four" / "model.safetensors").read_bytes() == (
        tmp_path / "nine" / "model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_training_in_steps_that_was_cut_continues_to_the_same_numbers(tmp_path: Path, stop_after: int) -> None:
    whole = run(job(tmp_path / "whole", SEARCHED, steps=10, validate_every=4))
    one = job(tmp_path / "cut", SEARCHED, steps=10, validate_every=4)
    first = run(one, stop_after)
    assert len(first) == stop_after
    assert first + run(replace(one, reached=stop_after)) == whole
    assert len(whole) == one.epochs == 3


def test_a_training_in_steps_killed_behind_its_short_last_period_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    whole = runner.run(job(tmp_path / "whole", SEARCHED, steps=5, validate_every=4), lambda _: None)
    one = job(tmp_path / "cut", SEARCHED, steps=5, validate_every=4)
    with monkeypatch.context() as patch:
        patch.setattr(runner, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            runner.run(one, lambda _: None)
    resumed = runner.run(replace(one, reached=2), lambda _: None)
    for name in ("miou", "iou_per_class", "values", "rf", "epochs"):
        assert resumed.to_json()[name] == whole.to_json()[name]


def test_a_method_that_asks_for_more_gets_steps_and_not_epochs(tmp_path: Path) -> None:
    longer = job(tmp_path, {"method": "learned_dilation", "extra": 0.1}, steps=50, validate_every=10)
    assert (longer.trial_spec.training.steps, longer.epochs) == (55, 6)


def test_periods_go_through_the_batches_of_all_epochs_in_their_order() -> None:
    images = load(DigitsData(image_size=(32, 32), object_size=(16,), n_train=24, n_val=8, n_test=0)).train
    epochs = EpochBatches(images, 8, 3, shuffle=True)
    stream: list[list[int]] = []
    for number in range(4):
        epochs.set_epoch(number)
        stream += list(epochs)
    periods = PeriodBatches(EpochBatches(images, 8, 3, shuffle=True), 5)
    found: list[list[int]] = []
    for number in range(2):
        periods.set_epoch(number)
        for batch in islice(periods, len(periods)):
            assert images.epoch == len(found) // 3
            found.append(batch)
    assert found == stream[:10]


def test_another_network_is_trained_where_its_channels_are_an_axis(tmp_path: Path) -> None:
    small, large = (
        runner.run(job(tmp_path / name, configuration, epochs=1), lambda _: None)
        for name, configuration in (
            ("small", {"method": "dilation", "rate": 2}),
            ("large", {"method": "dilation", "rate": 2, "model.channels": [24, 8]}),
        )
    )
    assert large.costs["parameters"] > small.costs["parameters"]
    one = job(tmp_path / "large", {"method": "dilation", "rate": 2, "model.channels": [24, 8]}, epochs=1)
    names = load(one.spec.data).class_names
    model = runner.trained_model(one.trial_spec, names, one.folder)
    assert sum(parameter.numel() for parameter in model.parameters()) == large.costs["parameters"]


def test_rungs_of_pruning_count_validations(tmp_path: Path) -> None:
    def study(**training: Any) -> StudySpec:
        return parse_study({**TINY, "training": training, "search": {"pruning": {"min_epochs": 3}}}, "tiny.yaml")

    spec = counted(study(steps=40, validate_every=10), N_TRAIN, "tiny.yaml")
    assert spec.training.validations == 4
    said = r"tiny\.yaml: search\.pruning: nothing is left to prune: min_epochs 3 must be less than the 2 validations"
    with pytest.raises(InputError, match=said):
        plan(study(steps=40, validate_every=20), "tiny.yaml", tmp_path)


def test_a_length_is_given_in_epochs_or_in_steps() -> None:
    with pytest.raises(InputError, match=r"training: give the length either in epochs or in steps, not both"):
        parse_study({**TINY, "training": {"epochs": 2, "steps": 6}}, "tiny.yaml")
    spec = parse_study({**TINY, "training": {"steps": 6}}, "tiny.yaml")
    assert parse_study(spec.model_dump(mode="json"), "stored") == spec
