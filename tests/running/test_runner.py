from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autorf.methods.inflation import InflationRegion
from autorf.running import runner
from autorf.running.evidence import FILE, read_evidence
from autorf.study.job import Job
from autorf.study.spec import StudySpec
from autorf.surgery import learned_values
from autorf.training.module import SegmentationModule
from autorf.training.results import EpochReport


def test_a_trial_killed_behind_its_last_epoch_ends_with_the_same_results(
    tiny: StudySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = {"method": "inflation", "dilation": 3}

    def job(name: str, reached: int = 0) -> Job:
        return Job(1, "key", configuration, 0, tiny, tmp_path / name, reached=reached)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    whole = runner.run(job("whole"), lambda _: None)
    reported: list[EpochReport] = []
    with monkeypatch.context() as patch:
        patch.setattr(runner, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            runner.run(job("cut"), reported.append)
    resumed = runner.run(job("cut", reached=len(reported)), reported.append)
    assert len(reported) == tiny.training.epochs
    unequal = {"train_seconds", "cpu_seconds", "peak_memory_mb", "latency_ms"}
    assert {k: v for k, v in resumed.to_json().items() if k not in unequal} == {
        k: v for k, v in whole.to_json().items() if k not in unequal
    }
    evidence = read_evidence(tmp_path / "whole")
    assert evidence is not None
    assert evidence.n_images == len(evidence.tallies) == 12
    assert (tmp_path / "cut" / FILE).read_bytes() == (tmp_path / "whole" / FILE).read_bytes()
    hits, labelled, predicted = evidence.tallies.sum(0).T
    occurs = labelled > 0
    iou = hits[occurs] / (labelled + predicted - hits)[occurs]
    assert float(iou.double().mean()) == pytest.approx(whole.miou)


def test_a_stopped_trial_keeps_its_checkpoint_and_continues_to_the_same_results(
    tiny: StudySpec, tmp_path: Path
) -> None:
    job = Job(1, "key", {"method": "dilation", "rate": 3}, 0, tiny, tmp_path / "stopped")
    reported: list[EpochReport] = []
    pruned = runner.run(job, reported.append, lambda: True)
    assert pruned.epochs == len(reported) == 1
    assert pruned.metrics == reported[0].metrics
    assert not (job.folder / "model.safetensors").exists()
    whole = runner.run(Job(1, "key", job.configuration, 0, tiny, tmp_path / "whole"), lambda _: None)
    continued = runner.run(replace(job, reached=1), reported.append)
    assert continued.iou_per_class == whole.iou_per_class
    assert [report.epoch for report in reported] == [0, 1]


@pytest.mark.parametrize(
    "configuration",
    [
        {"method": "learned_dilation", "search": 0.8},
        {"method": "pixel_adaptive"},
        {"method": "scale_adaptive"},
        {"method": "inflation", "dilation": 3, "search": 0.8},
    ],
    ids=lambda configuration: configuration["method"],
)
def test_what_draws_random_numbers_draws_the_same_ones_when_it_is_resumed(
    tiny: StudySpec, tmp_path: Path, configuration: dict[str, Any]
) -> None:
    longer = tiny.model_copy(update={"training": tiny.training.model_copy(update={"epochs": 4})})

    def job(name: str, reached: int = 0) -> Job:
        return Job(1, "key", configuration, 0, longer, tmp_path / name, reached=reached)

    def bits(epochs: list[EpochReport]) -> list[EpochReport]:
        return [replace(epoch, seconds=None, cpu_seconds=None) for epoch in epochs]

    whole: list[EpochReport] = []
    runner.run(job("whole"), whole.append)
    cut: list[EpochReport] = []
    runner.run(job("cut"), cut.append, lambda: len(cut) == 2)
    assert len(cut) == 2
    runner.run(job("cut", reached=2), cut.append)
    assert bits(cut) == bits(whole)


def test_a_training_that_is_stopped_at_an_epoch_it_says_again_trains_no_further(
    tiny: StudySpec, tmp_path: Path
) -> None:
    """Its driver was lost between the epoch's checkpoint and the search's word on it."""
    longer = tiny.model_copy(update={"training": tiny.training.model_copy(update={"epochs": 4})})
    said: list[EpochReport] = []
    job = Job(1, "key", {"method": "dilation", "rate": 2}, 0, longer, tmp_path / "trial")
    runner.run(job, said.append, lambda: len(said) == 2)
    again: list[EpochReport] = []
    result = runner.run(replace(job, reached=1), again.append, lambda: True)
    assert again == said[1:]
    assert result.epochs == 2
    assert result.metrics == said[1].metrics


@pytest.mark.parametrize(
    ("configuration", "quantity"),
    [
        ({"method": "inflation", "learning_rate_multiplier": 300.0, "high": 1.1}, "f"),
        ({"method": "learned_dilation", "rates": (1, 2, 4), "search": 1.0, "hold": 0.0}, "dilation"),
    ],
)
def test_what_is_validated_is_what_is_recorded(
    tiny: StudySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configuration: dict[str, Any], quantity: str
) -> None:
    """The last step of an epoch is taken in before its validation."""
    seen: list[float] = []
    step = SegmentationModule.validation_step

    def watched(self: SegmentationModule, batch: Any, index: int) -> Any:
        seen.append(learned_values(self.model)[quantity])
        return step(self, batch, index)

    monkeypatch.setattr(SegmentationModule, "validation_step", watched)
    epochs: list[EpochReport] = []
    runner.run(Job(1, "key", configuration, 0, tiny, tmp_path), epochs.append)
    assert len(set(seen)) > 1 or quantity == "f"
    assert seen == [epoch.learned[quantity] for epoch in epochs]


def test_a_trial_whose_factor_is_no_number_fails_with_that_reason(
    tiny: StudySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where that happens in the last step of an epoch."""
    forward, steps = InflationRegion.forward, []

    def spoilt(self: InflationRegion, *arguments: Any) -> Any:
        output = forward(self, *arguments)
        if output.requires_grad and len(arguments) == 1:
            steps.append(1)
            if len(steps) == 3:
                # The third batch is the epoch's last.
                self.factor.register_hook(lambda gradient: gradient * float("nan"))
        return output

    monkeypatch.setattr(InflationRegion, "forward", spoilt)
    with pytest.raises(FloatingPointError, match="inflation factor f became nan; lower learning_rate_multiplier"):
        runner.run(Job(1, "key", {"method": "inflation"}, 0, tiny, tmp_path), lambda _: None)
