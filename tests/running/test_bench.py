"""Frames per second: what is measured, and what is refused."""

import pytest
import torch
from torch import nn

from autorf.errors import InputError
from autorf.methods import LearnedDilation
from autorf.running.bench import bench
from autorf.surgery import adapt, advance


def test_the_figures_of_one_image_fit_together() -> None:
    model = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 2, 1))
    threads = torch.get_num_threads()
    measured = bench(model, (64, 96), devices=["cpu"], threads=2, repeats=7)
    (speed,) = measured.devices
    assert (measured.parameters, measured.flops) == (1922, 2 * 64 * 96 * (64 * 27 + 128))
    assert (speed.device, speed.threads, speed.runs) == ("cpu", 2, 7)
    assert speed.latency_low_ms <= speed.latency_ms <= speed.latency_high_ms
    assert speed.frames_per_second == pytest.approx(1000 / speed.latency_ms, rel=1e-3)
    # The map between the two convolutions, 64 x 64 x 96 floats, the output, and what the kernels need beside them.
    held = (64 + 2 + 3) * 64 * 96 * 4 / 2**20
    assert held < speed.peak_memory_mb < 4 * held
    assert torch.get_num_threads() == threads


def test_an_adapted_model_is_measured_as_it_is_deployed_and_stays_adapted() -> None:
    model = adapt(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1)), LearnedDilation(targets="0"))
    advance(model, 10, 10)
    assert bench(model, (16, 16), devices=["cpu"], repeats=1).parameters == 224
    assert isinstance(model[0].method, LearnedDilation)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "resnet18"}, "a model is a torch.nn.Module, got str"),
        ({"repeats": 0}, "repeats: at least 1, got 0"),
        ({"threads": 0}, "threads: at least 1, got 0"),
        ({"devices": ["tpu"]}, "device tpu: this machine has cpu"),
        ({"image_size": (2, 2)}, "does not take an image of 2x2"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(given: dict[str, object], message: str) -> None:
    values = {"model": nn.Conv2d(3, 4, 5), "image_size": (16, 16), "devices": ["cpu"], **given}
    with pytest.raises(InputError) as error:
        bench(**values)  # type: ignore[arg-type]
    assert message in str(error.value)
    assert "\n" not in str(error.value)
