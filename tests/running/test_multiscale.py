"""Multi-scale evaluation: rows of their own, and nothing else changes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from autorf.comparison import StudyResults, compare_studies
from autorf.data import load
from autorf.errors import InputError
from autorf.metrics import confusion, scores
from autorf.networks import build
from autorf.running import runner
from autorf.running.multiscale import check_scales
from autorf.study.evaluation_spec import EvaluationSpec
from autorf.study.job import Job
from autorf.study.spec import parse_study
from autorf.training.multiscale import MultiScale
from tests.comparison.builder import record, spec
from tests.tiny import TINY

SCALES = {"scales": [0.5, 1, 1.5], "flip": True}


def run(folder: Path, configuration: dict[str, Any], **parts: Any):
    study = parse_study({**TINY, "training": {**TINY["training"], "epochs": 1}, **parts}, "tiny.yaml")
    return runner.run(Job(1, "key", configuration, 0, study, folder), lambda _: None), study


@pytest.mark.parametrize("configuration", [{"method": "dilation", "rate": 2}, {"method": "scale_adaptive"}])
def test_it_scores_what_multiscale_does_and_changes_nothing_else(tmp_path: Path, configuration: dict[str, Any]) -> None:
    plain, _ = run(tmp_path / "plain", configuration)
    result, study = run(tmp_path / "scaled", configuration, evaluation=SCALES)
    assert plain.multiscale is None
    unequal = {"train_seconds", "cpu_seconds", "peak_memory_mb", "latency_ms", "multiscale"}
    told, without = result.to_json(), plain.to_json()
    assert {k: v for k, v in told.items() if k not in unequal} == {k: v for k, v in without.items() if k not in unequal}
    splits = load(study.data)
    model = runner.trained_model(study, splits.class_names, tmp_path / "scaled").eval()
    image, mask = splits.val.tensors(range(len(splits.val)))
    predicted = MultiScale(model, (0.5, 1.0, 1.5), flip=True)(image).argmax(1)
    expected = scores(confusion(predicted, mask, splits.n_classes), splits.class_names)
    fused = result.multiscale
    assert fused is not None
    assert (fused.scales, fused.flip) == ((0.5, 1.0, 1.5), True)
    assert fused.metrics["miou"] == pytest.approx(expected.miou, abs=1e-3)
    assert fused.metrics["pixel_accuracy"] == pytest.approx(expected.pixel_accuracy, abs=1e-3)


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        ({"scales": [0.5, 0]}, r"evaluation\.scales\.1: must be greater than 0"),
        ({"scales": [-1]}, r"evaluation\.scales\.0: must be greater than 0"),
        ({"scales": [9]}, r"evaluation\.scales\.0: must be less than or equal to 8"),
        ({"scales": [1, 1.0]}, "scales must differ from each other"),
    ],
)
def test_scales_that_are_not_positive_are_refused(evaluation: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_study({**TINY, "evaluation": evaluation}, "tiny.yaml")


def test_a_scale_that_the_model_does_not_take_is_named_before_training() -> None:
    class Whole(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            if image.shape[2] % 32:
                raise RuntimeError("sides must be multiples of 32")
            return image

    asked = EvaluationSpec(scales=(1.0, 0.75))
    with pytest.raises(InputError, match=r"evaluation\.scales: 0\.75: .*multiples of 32.*evaluation\.multiple"):
        check_scales(Whole(), (64, 64), asked)
    check_scales(Whole(), (64, 64), asked.model_copy(update={"multiple": 32}))
    check_scales(build("largefov:test_byobnet"), (48, 48), asked)


def test_its_rows_stand_apart_from_those_that_are_compared() -> None:
    records = []
    for seed, gain in ((0, 0.1), (1, 0.3)):
        plain = record("dilation", 0.5, seed, rate=2)
        assert plain.result is not None
        fused = runner.MultiScaleScores((0.5, 1.0), True, {"miou": 0.5 + gain, "f1": 0.6}, {"overall": 0.7})
        records.append(replace(plain, result=replace(plain.result, multiscale=fused)))
    study = StudyResults("mine", tuple(records), tuple(records), spec(), None)
    comparison = compare_studies([study])
    (row,) = comparison.multiscale
    assert (row.n, row.miou, row.single_miou, row.gain) == (2, pytest.approx(0.7), 0.5, pytest.approx(0.2))
    assert (row.evaluation, row.f1_groups) == ("scales 0.5, 1 and mirrored", {"overall": pytest.approx(0.7)})
    assert [group.mean for group in comparison.groups] == [0.5]
