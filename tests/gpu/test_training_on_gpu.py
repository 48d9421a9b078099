"""What a trial does on a GPU that it does not on the CPU: bytes made numbers there, pinned copies, fused steps,
compiled networks, bfloat16.

``AUTORF_GPU_TESTS_ON=cpu pytest -m gpu`` runs all but what only a GPU has.
"""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autorf.data import Augmentation, load
from autorf.data.normalisation import IMAGENET, Normalisation
from autorf.deployment.recipe import Recipe
from autorf.running.runner import run, splits_of
from autorf.study.job import Job
from autorf.study.spec import StudySpec, counted, parse_study
from autorf.training.batches import loader
from autorf.training.device import computed_precision, is_fused, own_device
from autorf.training.module import SegmentationModule
from autorf.training.results import EpochReport, TrialResult
from tests.gpu.test_on_gpu import DEVICE
from tests.tiny import TINY
from tests.training.test_compiled import METHODS

pytestmark = pytest.mark.gpu

only_a_gpu = pytest.mark.skipif(DEVICE == "cpu", reason="what only a GPU has")


def study(**training: Any) -> StudySpec:
    # Adam would make a whole step of a gradient that is nothing but rounding.
    plain = {"epochs": 2, "batch_size": 16, "optimizer": "sgd", "lr": 0.02}
    spec = parse_study({**TINY, "training": {**plain, **training}}, "tiny")
    return counted(spec, len(splits_of(spec).train), "tiny")


def trained(
    folder: Path, method: dict[str, Any] = METHODS["dilation"], **training: Any
) -> tuple[TrialResult, list[EpochReport]]:
    epochs: list[EpochReport] = []
    result = run(Job(0, "trial", method, 0, study(**training), folder), epochs.append)
    return result, epochs


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
@pytest.mark.parametrize("rule", [IMAGENET, Normalisation((0.0,) * 3, (1.0,) * 3)], ids=["imagenet", "none"])
def test_stored_images_become_the_numbers_that_the_cpu_makes_of_them(dtype: torch.dtype, rule: Normalisation) -> None:
    most = {torch.uint8: 255, torch.uint16: 65535, torch.float32: 1}[dtype]
    images = (torch.rand(4, 3, 64, 48, generator=torch.Generator().manual_seed(0)) * most).to(dtype)
    there = rule(images.to(DEVICE))
    assert (there.device.type, there.dtype) == (DEVICE, torch.float32)
    torch.testing.assert_close(there.cpu(), rule(images), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("augmentation", [{}, {"flip": True, "scale": [0.7, 1.4], "colour": {"brightness": 0.4}}])
def test_a_batch_that_was_sent_is_the_one_that_was_not(augmentation: dict[str, Any]) -> None:
    images = load(study().data).train.with_augmentation(Augmentation.model_validate(augmentation), 0)
    for image, mask in loader(images, 16, 0, shuffle=False):
        here = images.numbers(image, mask)
        there = images.numbers(image.to(DEVICE, non_blocking=True), mask.to(DEVICE, non_blocking=True))
        torch.testing.assert_close(there[0].cpu(), here[0], rtol=1e-6, atol=1e-6)
        assert torch.equal(there[1].cpu(), here[1])


@only_a_gpu
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_wait_in_pinned_memory(workers: int) -> None:
    images = load(study().data).train
    batches = list(loader(images, 16, 0, shuffle=True, workers=workers))
    assert all(part.is_pinned() for batch in batches for part in batch)
    plain = [images.stored(chosen.indices) for chosen in loader(images, 16, 0, shuffle=True).sampler]  # type: ignore[attr-defined]
    for ours, theirs in zip(batches, plain, strict=True):
        assert all(torch.equal(*parts) for parts in zip(ours, theirs, strict=True))


class _Synchronising:
    """Has every wait of the host for the GPU be an error."""

    def __enter__(self) -> None:
        torch.cuda.set_sync_debug_mode("error")

    def __exit__(self, *_: object) -> None:
        torch.cuda.set_sync_debug_mode("default")


@only_a_gpu
def test_the_host_waits_for_nothing_in_a_step() -> None:
    spec = study()
    splits = load(spec.data)
    module = SegmentationModule(nn.Conv2d(3, 11, 3, padding=1), spec.training, splits).to(DEVICE).train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True)
    image, mask = (part.pin_memory() for part in splits.train.stored(range(8)))

    def step() -> None:
        batch = splits.train.numbers(image.to(DEVICE, non_blocking=True), mask.to(DEVICE, non_blocking=True))
        module.training_step(batch, 0).backward()
        optimizer.step()
        optimizer.zero_grad()

    # The first one makes what stays: the normalisation's columns, the optimizer's state.
    step()
    with _Synchronising():
        for _ in range(8):
            step()


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_a_fused_step_is_that_of_the_others(kind: Any) -> None:
    def moved(fused: bool | None) -> Tensor:
        parameter = nn.Parameter(torch.linspace(-1, 1, 1000, device=DEVICE))
        optimizer = kind([{"params": [parameter], "weight_decay": 0.01}], lr=1e-2, fused=fused)
        for step in range(20):
            optimizer.zero_grad()
            (parameter * math.cos(step) + parameter.square()).sum().backward()
            optimizer.step()
        return parameter.detach().cpu()

    parameters = [nn.Parameter(torch.zeros(2, device=DEVICE))]
    assert is_fused([{"params": parameters}]) is (None if DEVICE == "cpu" else True)
    torch.testing.assert_close(moved(is_fused([{"params": parameters}])), moved(None), rtol=1e-5, atol=1e-6)


@only_a_gpu
@pytest.mark.parametrize(("optimizer", "fused"), [("adamw", True), ("adam", True), ("sgd", None)])
def test_a_trial_takes_fused_steps_where_there_are_any(optimizer: str, fused: bool | None) -> None:
    spec = study(optimizer=optimizer, epochs=1).training.counted(3)
    spec = spec.in_steps_of(3, 3)
    module = SegmentationModule(nn.Conv2d(3, 11, 1), spec, load(study().data)).to(DEVICE)
    assert {group["fused"] for group in module.configure_optimizers()["optimizer"].param_groups} == {fused}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", METHODS)
def test_a_compiled_trial_comes_to_the_same(name: str, tmp_path: Path) -> None:
    _, plain = trained(tmp_path / "plain", METHODS[name])
    _, compiled = trained(tmp_path / "compiled", METHODS[name], compile=True)
    for ours, theirs in zip(compiled, plain, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-2)
        assert ours.metrics == pytest.approx(theirs.metrics, abs=0.02)


def test_auto_computes_as_the_precision_that_it_stands_for(tmp_path: Path) -> None:
    stands_for = computed_precision("auto", own_device())
    result, auto = trained(tmp_path / "auto", precision="auto")
    named, same = trained(tmp_path / "named", precision=stands_for)
    assert (result.precision, named.precision) == (stands_for, None)
    assert auto[0].loss == pytest.approx(same[0].loss, rel=1e-3)
    spec = study(precision="auto")
    assert Recipe.of(spec, splits_of(spec)).precision == stands_for


@only_a_gpu
def test_auto_is_bf16_from_ampere_on() -> None:
    is_new = torch.cuda.get_device_capability() >= (8, 0)
    assert computed_precision("auto", own_device()) == ("bf16" if is_new else "32")
    assert computed_precision("auto", torch.device("cpu")) == "32"
