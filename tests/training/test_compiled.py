"""Trainings whose network is compiled come to what they come to without a compiler, but for rounding."""

from pathlib import Path
from typing import Any

import pytest
import torch

from autorf.running.runner import run, splits_of
from autorf.study.job import Job
from autorf.study.spec import counted, parse_study
from autorf.training.results import EpochReport
from tests.tiny import TINY

METHODS: dict[str, dict[str, Any]] = {
    "dilation": {"method": "dilation", "rate": 3},
    "learned_dilation": {"method": "learned_dilation", "start": 4, "search": 0.5},
    "scale_adaptive": {"method": "scale_adaptive"},
    # It draws random numbers in every forward pass.
    "pixel_adaptive": {"method": "pixel_adaptive"},
}


def curve(method: dict[str, Any], folder: Path, **training: Any) -> list[EpochReport]:
    data = {**TINY["data"], "n_train": 32, "n_val": 8, "image_size": 32, "object_size": 14}
    # Adam would make a whole step of a gradient that is nothing but rounding: of a bias in front of batch norm.
    plain = {"epochs": 2, "batch_size": 8, "optimizer": "sgd", "lr": 0.02}
    values = {**TINY, "data": data, "training": {**plain, **training}}
    spec = parse_study({**values, "search_space": [method]}, "tiny")
    spec = counted(spec, len(splits_of(spec).train), "tiny")
    epochs: list[EpochReport] = []
    run(Job(0, "trial", method, 0, spec, folder), epochs.append)
    return epochs


def assert_alike(ours: list[EpochReport], theirs: list[EpochReport]) -> None:
    assert len(ours) == len(theirs) == 2
    for one, other in zip(ours, theirs, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-4)
        assert one.metrics == pytest.approx(other.metrics, abs=2e-3)
        assert one.learned == pytest.approx(other.learned, rel=1e-3)


def graphs() -> int:
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


@pytest.fixture(autouse=True)
def _no_graphs() -> None:
    from torch._dynamo.utils import counters

    counters.clear()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["learned_dilation", "pixel_adaptive"])
def test_the_graphs_of_a_training_step_are_its_own(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a compiler does before it writes programs."""
    plain = curve(METHODS[name], tmp_path / "plain")
    assert graphs() == 0
    by_compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network, options: by_compiler(network, backend="aot_eager"))
    assert_alike(curve(METHODS[name], tmp_path / "compiled", compile=True), plain)
    assert graphs() > 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", METHODS)
def test_a_compiled_training_comes_to_the_same(name: str, tmp_path: Path) -> None:
    plain = curve(METHODS[name], tmp_path / "plain")
    assert_alike(curve(METHODS[name], tmp_path / "compiled", compile=True), plain)
    assert graphs() > 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_one_process_compiles_for_one_trial_after_another(tmp_path: Path) -> None:
    plain = curve(METHODS["dilation"], tmp_path / "plain")
    for attempt in range(3):
        before = graphs()
        assert_alike(curve(METHODS["dilation"], tmp_path / f"{attempt}", compile=True), plain)
        assert graphs() > before
