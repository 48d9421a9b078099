"""What the CPU's tests hold, on a GPU: ``make test-gpu``.

``AUTORF_GPU_TESTS_ON=cpu pytest -m gpu`` runs them on the CPU, to try the tests themselves.
"""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import autorf
from autorf import ops
from autorf.methods import Dilation, Inflation, LearnedDilation, Method, PixelAdaptive, ScaleAdaptive
from autorf.running.bench import bench
from tests.deployment.predictable import RESIZED, retrained, write_pictures
from tests.tiny import TINY

pytestmark = pytest.mark.gpu

DEVICE = os.environ.get("AUTORF_GPU_TESTS_ON", "cuda")
METHODS: dict[str, Method] = {
    "dilation": Dilation(targets="2", rate=3),
    "learned_dilation": LearnedDilation(targets="2", search=0.5),
    "inflation": Inflation(start="2", end="3"),
    "inflation with search": Inflation(start="2", end="3", search=0.5),
    "scale_adaptive": ScaleAdaptive(targets="2"),
    "pixel_adaptive": PixelAdaptive(targets="2"),
}
STEPS = 8
RATES = (1, 2, 4)


@pytest.fixture(autouse=True)
def _exact_products() -> Any:
    """Without TF32, whose products have ten bits: it is not what is tested."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def network() -> nn.Module:
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Conv2d(8, 4, 1))


def trained(
    method: Method, device: str, change: Callable[[nn.Module], nn.Module] = lambda model: model, *, bf16: bool = False
) -> tuple[nn.Module, Tensor]:
    """The adapted network after a few steps, and its losses."""
    model = autorf.adapt(network().to(device), method).train()
    called = change(model)
    optimizer = torch.optim.SGD(autorf.parameter_groups(model, lr=1e-2), lr=1e-2)
    generator = torch.Generator().manual_seed(1)
    losses = []
    for step in range(STEPS):
        autorf.advance(model, step, STEPS)
        images = torch.rand(4, 3, 24, 32, generator=generator).to(device)
        classes = torch.randint(4, (4, 24, 32), generator=generator).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            loss = cross_entropy(called(images).float(), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    autorf.advance(model, STEPS, STEPS)
    return model.eval(), torch.stack(losses).cpu()


def gradients(call: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    leaves = [value.clone().requires_grad_() for value in inputs]
    output = call(*leaves)
    output.square().mean().backward()
    return [output.detach().cpu(), *(leaf.grad.cpu() for leaf in leaves if leaf.grad is not None)]


@pytest.mark.parametrize(
    "call",
    [
        lambda image, weight, map: ops.inflate(image, 1.3),
        lambda image, weight, map: ops.scale_adaptive_conv2d(image, weight, None, 0.5 + 2 * map[:, :1], 2),
        lambda image, weight, map: ops.pixel_adaptive_conv2d(image, weight, None, map.softmax(1), RATES),
        lambda image, weight, map: ops.windowed_dilated_conv2d(
            image, weight, None, map[0, :, 0, 0].softmax(0), (1, 2, 4)
        ),
    ],
    ids=["inflate", "scale_adaptive", "pixel_adaptive", "windowed"],
)
def test_an_operator_and_every_gradient_are_those_of_the_cpu(call: Callable[..., Tensor]) -> None:
    inputs = torch.rand(2, 3, 17, 13), torch.randn(4, 3, 3, 3), torch.rand(2, 3, 17, 13)
    on_cpu, on_gpu = gradients(call, *inputs), gradients(call, *(value.to(DEVICE) for value in inputs))
    for expected, actual in zip(on_cpu, on_gpu, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_freezes_and_saves_as_on_the_cpu(name: str, tmp_path: Path) -> None:
    model, losses = trained(METHODS[name], DEVICE)
    assert losses.isfinite().all()
    image = torch.rand(1, 3, 24, 32, device=DEVICE)
    on_cpu = copy.deepcopy(model).cpu()
    torch.testing.assert_close(model(image).cpu(), on_cpu(image.cpu()), rtol=1e-3, atol=1e-4)
    autorf.save(model, tmp_path / "model")
    again = autorf.load(network, tmp_path / "model").to(DEVICE).eval()
    torch.testing.assert_close(again(image), model(image))
    frozen = copy.deepcopy(model)
    autorf.freeze(frozen)
    torch.testing.assert_close(frozen(image), model(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_in_bf16_and_in_channels_last(name: str) -> None:
    def last(model: nn.Module) -> nn.Module:
        return model.to(memory_format=torch.channels_last)

    assert trained(METHODS[name], DEVICE, bf16=True)[1].isfinite().all()
    plain, rearranged = trained(METHODS[name], DEVICE)[1], trained(METHODS[name], DEVICE, last)[1]
    torch.testing.assert_close(rearranged[0], plain[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_a_compiled_method_trains_to_the_same_first_losses(name: str) -> None:
    compiled, plain = trained(METHODS[name], DEVICE, torch.compile)[1], trained(METHODS[name], DEVICE)[1]
    assert compiled.isfinite().all()
    if name != "pixel_adaptive":
        # A compiler draws the noise of its samples in another order.
        torch.testing.assert_close(compiled[0], plain[0], rtol=1e-2, atol=1e-3)


@pytest.mark.skipif(DEVICE == "cpu", reason="a measure of the GPU's memory")
def test_the_second_phase_of_learned_dilation_takes_no_more_memory_than_the_plain_layer() -> None:
    peaks = []
    for method in (METHODS["dilation"], METHODS["learned_dilation"]):
        model, _ = trained(method, DEVICE)
        model.train()
        torch.cuda.reset_peak_memory_stats()
        model(torch.rand(8, 3, 256, 256, device=DEVICE)).square().mean().backward()
        peaks.append(torch.cuda.max_memory_allocated())
        del model
    assert peaks[1] <= 1.05 * peaks[0]


def study(folder: Path, **more: Any) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**TINY, "name": "gpu", **more}, sort_keys=False))
    return path


def test_two_trials_train_on_one_gpu_and_a_second_search_has_nothing_left(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from autorf.cli.app import app

    arguments = ["search", str(study(tmp_path, executor={"workers": 2})), "--root", str(tmp_path / "runs"), "--quiet"]
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0, first.output

    def written() -> dict[str, int]:
        weights = (tmp_path / "runs" / "gpu" / "trials").glob("*/model.safetensors")
        return {str(path): path.stat().st_mtime_ns for path in weights}

    before = written()
    assert len(before) >= 4
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert written() == before


def test_predictions_are_those_of_the_cpu(tmp_path: Path) -> None:
    write_pictures(tmp_path / "data")
    folder = retrained(tmp_path, RESIZED)
    pictures = sorted((tmp_path / "data" / "val" / "images").iterdir())
    on_gpu = [each.classes for each in autorf.predict(folder, pictures, device=DEVICE)]
    on_cpu = [each.classes for each in autorf.predict(folder, pictures, device="cpu")]
    different = [(gpu != cpu).mean() for gpu, cpu in zip(on_gpu, on_cpu, strict=True)]
    # Where two classes are equally likely, rounding decides.
    assert max(different) < 0.01


def test_bench_measures_the_gpu() -> None:
    measured = bench(network().eval(), (64, 64), devices=[DEVICE], repeats=3)
    assert str(measured.to_dict()).count(DEVICE) >= 1
