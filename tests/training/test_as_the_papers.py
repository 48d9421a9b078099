"""Training as the papers train: their optimizer, and batch norm that stays as the weights brought it."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from autorf.data import load
from autorf.driver.plan import plan
from autorf.methods import Inflation
from autorf.methods.held_statistics import batch_norms, hold_batch_norm
from autorf.networks import build
from autorf.running.runner import run
from autorf.study.job import Job
from autorf.study.spec import StudySpec, parse_study
from autorf.surgery import adapt, advance, learned_values, parameter_groups
from autorf.training.module import SegmentationModule
from autorf.training.spec import TrainingSpec
from tests.tiny import TINY


def study(weights: Path | None = None, **training: Any) -> StudySpec:
    model = {**TINY["model"], **({} if weights is None else {"weights": str(weights)})}
    spaces = [{"method": "dilation", "rate": [1]}]
    values = {**TINY, "model": model, "search_space": spaces, "training": {**TINY["training"], **training}}
    return parse_study(values, "f")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A network whose batch norm has seen data."""
    model = build(study().model, 11)
    with torch.no_grad():
        model.train()(torch.randn(4, 3, 48, 48))
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_the_optimizer_is_the_one_that_was_asked_for(name: str, kind: type[torch.optim.Optimizer]) -> None:
    """PAD-Nets 2020 trains by Adam; its weight decay is part of the gradient."""
    module = SegmentationModule.__new__(SegmentationModule)
    nn.Module.__init__(module)
    module.spec = TrainingSpec(optimizer=name, lr=0.1, weight_decay=0.5)
    module.model = nn.Linear(1, 1, bias=False)
    groups = parameter_groups(module.model, 0.1, weight_decay=0.5)
    assert type(module._optimizer(groups)) is kind


def test_frozen_batch_norm_keeps_statistics_and_weights_bit_by_bit(weights: Path, tmp_path: Path) -> None:
    spec = study(weights, freeze_batch_norm=True, epochs=1)
    run(Job(1, "key", {"method": "dilation", "rate": 1}, 0, spec, tmp_path / "trial"), lambda _: None)
    before, after = load_file(weights), load_file(tmp_path / "trial" / "model.safetensors")
    norms = batch_norms(build(spec.model, 11))
    frozen = [name for name in before if name.rpartition(".")[0] in norms]
    assert len(frozen) == 5 * len(norms)
    assert [name for name in frozen if not torch.equal(before[name], after[name])] == []
    assert not torch.equal(before["head.conv7.weight"], after["head.conv7.weight"])


def test_frozen_batch_norm_normalises_by_its_own_statistics_in_training_mode() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    model(torch.randn(8, 3, 9, 9) + 2)
    hold_batch_norm(model)
    hold_batch_norm(model)  # once is enough
    assert len(model[1]._forward_pre_hooks) == 1
    image = torch.randn(2, 3, 9, 9)
    for twin in (model, copy.deepcopy(model)):
        expected = twin.eval()[1](twin[0](image))
        assert torch.equal(twin.train()[1](twin[0](image)), expected)
        assert twin[2].training


def test_frozen_batch_norm_that_never_saw_data_is_warned_of(weights: Path, tmp_path: Path) -> None:
    (caution,) = [w for w in plan(study(freeze_batch_norm=True), "f", tmp_path).warnings if "batch" in w]
    assert "f: training.freeze_batch_norm:" in caution
    assert "have never seen data and stay at mean 0 and variance 1; give model.weights" in caution
    assert not any("batch norm" in w for w in plan(study(weights, freeze_batch_norm=True), "f", tmp_path).warnings)
    assert not any("batch norm" in w for w in plan(study(), "f", tmp_path).warnings)


@pytest.mark.parametrize(("optimizer", "warned"), [("adam", True), ("adamw", True), ("sgd", False)])
def test_the_papers_gradient_under_an_optimizer_that_undoes_its_scale_is_warned_of(
    optimizer: str, warned: bool, tmp_path: Path
) -> None:
    spec = study(optimizer=optimizer).model_copy(
        update={"search_space": ({"method": "inflation", "gradient": ["paper", "exact"]},)}
    )
    cautions = [w for w in plan(spec, "f", tmp_path).warnings if "gradient: paper" in w]
    assert len(cautions) == warned
    assert all("f: training.optimizer: inflation's gradient: paper divides" in w for w in cautions)


def test_a_length_in_iterations_trains_by_every_rule_of_the_papers(tmp_path: Path) -> None:
    rules = {"steps": 5, "validate_every": 3, "optimizer": "adam", "schedule": {"kind": "poly"}, "warmup": 0}
    training = {key: value for key, value in TINY["training"].items() if key != "epochs"}
    spec = parse_study({**TINY, "training": {**training, **rules}}, "f")
    result = run(Job(1, "key", {"method": "dilation", "rate": 1}, 0, spec, tmp_path / "trial"), lambda _: None)
    assert (result.steps, result.epochs) == (5, 2)


@pytest.mark.parametrize(("loss", "thrown"), [("mean", False), ("summed", True)])
def test_the_papers_largest_multiplier_moves_f_without_throwing_it_from_bound_to_bound(loss: str, thrown: bool) -> None:
    """Wei et al. 2018, section 4.2, at images of 48 pixels; without the scale of the loss it is thrown."""
    spec = study(optimizer="sgd", lr=0.025)
    splits = load(spec.data)
    model = build(spec.model, splits.class_names)
    adapt(model, Inflation(dilation=3, gradient="paper", loss=loss, learning_rate_multiplier=9e4))
    module = SegmentationModule(model, spec.training, splits)
    optimizer = torch.optim.SGD(parameter_groups(model, lr=0.025), momentum=0.9)
    factors = []
    for step in range(20):
        advance(model, step, 20)
        optimizer.zero_grad()
        module.training_step(splits.train.tensors(list(range(16 * (step % 3), 16 * (step % 3) + 16))), 0).backward()
        optimizer.step()
        factors.append(learned_values(model)["f"])
    assert any(factor in (0.25, 4.0) for factor in factors) == thrown
    assert max(factors) > 1.5
