"""Centres that a loss learns, in whole trials: kept and resumed with the training, gone from what it leaves behind."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from autorf.data import load
from autorf.errors import InputError
from autorf.running import runner
from autorf.running.first_step import check_first_step
from autorf.study.job import Job
from autorf.study.spec import StudySpec, parse_study
from autorf.study.trial import trial_from
from autorf.training.packing import unpack
from autorf.training.resuming import NAMES
from tests.tiny import TINY

SCORES = {"name": "contextual", "weight": 0.05}
FEATURES = {**SCORES, "layer": "head.output", "hard_aware": False}


def study(*losses: Any, **training: Any) -> StudySpec:
    return parse_study({**TINY, "training": {"epochs": 3, "batch_size": 16, "loss": list(losses), **training}}, "tiny")


def run(folder: Path, spec: StudySpec, configuration: dict[str, Any], stop: bool = False, reached: int = 0) -> Any:
    return runner.run(
        Job(1, "key", configuration, 0, spec, folder, reached=reached), lambda _: None, stopped=lambda: stop
    )


def centres(folder: Path) -> list[Tensor]:
    state = unpack((folder / NAMES[0]).read_bytes())["state_dict"]
    return [value for name, value in state.items() if name.startswith("criterion.")]


@pytest.mark.parametrize(
    ("configuration", "training"),
    [
        ({"method": "dilation", "rate": 2}, {}),
        ({"method": "inflation", "dilation": 3}, {"class_weights": "balanced"}),
        ({"method": "learned_dilation"}, {"precision": "bf16"}),
    ],
    ids=lambda value: str(value),
)
def test_a_stopped_training_continues_to_the_same_centres_and_weights_to_the_bit(
    tmp_path: Path, configuration: dict[str, Any], training: dict[str, Any]
) -> None:
    spec = study("cross_entropy", SCORES, FEATURES, **training)
    whole = run(tmp_path / "whole", spec, configuration)
    for reached in range(2):
        run(tmp_path / "cut", spec, configuration, stop=True, reached=reached)
    after_two = centres(tmp_path / "cut")
    resumed = run(tmp_path / "cut", spec, configuration, reached=2)
    assert resumed.iou_per_class == whole.iou_per_class
    ours, theirs = (centres(tmp_path / name) for name in ("cut", "whole"))
    assert [value.shape for value in ours] == [(11, 11), (11, 8)]
    assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))
    assert not any(torch.equal(*pair) for pair in zip(ours, after_two, strict=True))
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("cut", "whole")]
    assert models[0] == models[1]


def test_the_saved_model_knows_nothing_of_the_loss(tmp_path: Path) -> None:
    configuration = {"method": "dilation", "rate": 2}
    run(tmp_path / "plain", study("cross_entropy"), configuration)
    spec = study("cross_entropy", SCORES, FEATURES)
    run(tmp_path / "centred", spec, configuration)
    plain, centred = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "centred"))
    assert plain.keys() == centred.keys()
    assert not all(torch.equal(plain[name], centred[name]) for name in plain)
    model = runner.trained_model(spec, load(spec.data).class_names, tmp_path / "centred")
    assert not any("centres" in name for name in model.state_dict())


def test_a_training_with_centres_ends_early_where_it_no_longer_improves(tmp_path: Path) -> None:
    spec = study("cross_entropy", SCORES, epochs=6, stop={"patience": 1, "min_delta": 0.9})
    result = run(tmp_path, spec, {"method": "dilation", "rate": 2})
    assert result.stopped_early
    assert result.epochs < 6


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ({"name": "contextual", "layer": "head.outptu"}, "no layer 'head.outptu'; did you mean head.output"),
        ({"name": "contextual", "layer": "head.relu7"}, "head.relu7 is a Sequential, not a convolution"),
    ],
)
def test_a_layer_that_cannot_have_centres_is_refused_before_any_trial(loss: Any, words: str) -> None:
    spec = study("cross_entropy", loss)
    with pytest.raises(InputError, match=r"training\.loss\.layer: ") as refused:
        check_first_step(spec, trial_from({"method": "dilation", "rate": 2}, 0, spec), load(spec.data))
    assert words in str(refused.value)


def test_a_network_with_more_scores_than_classes_is_refused_before_any_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = study("cross_entropy", SCORES)
    build = runner.build
    monkeypatch.setattr(runner, "build", lambda model, classes, *others: build(model, 21, *others))
    with pytest.raises(InputError, match="has 11 centres, one a class, and the network gives 21 scores a pixel"):
        check_first_step(spec, trial_from({"method": "dilation", "rate": 2}, 0, spec), load(spec.data))
