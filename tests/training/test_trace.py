import pytest
import torch
from torch import nn

from autorf.methods import LearnedDilation
from autorf.surgery import adapt, advance, search_states
from autorf.training.trace import POINTS, Trace


@pytest.fixture
def model() -> nn.Module:
    return adapt(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)), LearnedDilation(targets=("0",), rates=(1, 2, 4)))


def test_long_epochs_are_thinned_and_taken_once(model: nn.Module) -> None:
    trace = Trace()
    for step in range(95):
        advance(model, step, 1000)
        trace.note(model, step, step, 95)
    found = trace.taken()
    assert found["step"] == list(range(0, 95, 5))
    assert len(found["step"]) <= POINTS
    assert len(found["dilation"]) == len(found["window"]) == len(found["step"])
    assert found["steps_per_epoch"] == 95
    assert trace.taken() == {}


def test_the_window_and_the_losses_are_kept_while_searching_only(model: nn.Module) -> None:
    trace = Trace()
    advance(model, 0, 10)
    model(torch.randn(8, 3, 6, 6)).square().mean().backward()
    advance(model, 1, 10)
    trace.note(model, 1, 0, 5)
    found = trace.taken()
    assert sum(found["window"][0]) == pytest.approx(1, abs=1e-3)
    assert found["profiles"][0][0] == 0
    assert found["rates"] == [1, 2, 4]
    advance(model, 10, 10)
    trace.note(model, 10, 0, 5)
    found = trace.taken()
    assert "window" not in found
    # What the search could not tell apart is known for good only when it is over.
    assert found["alike"] == [list(model[0].alike())]
    assert found["alike"][0]
    assert search_states(model) == []


def test_a_model_that_learns_nothing_leaves_nothing() -> None:
    trace = Trace()
    trace.note(nn.Conv2d(1, 1, 1), 0, 0, 5)
    assert trace.taken() == {}


@pytest.fixture
def layers() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1))


def test_the_windows_of_layers_that_search_the_same_options_are_averaged(layers: nn.Sequential) -> None:
    adapt(layers, LearnedDilation(targets=("0", "1"), rates=(1, 2, 4), start=1, shared=False))
    advance(layers, 0, 10)
    layers[1].mu = 1.0
    advance(layers, 1, 10)
    trace = Trace()
    trace.note(layers, 1, 0, 5)
    first, second = layers[0].window(), layers[1].window()
    assert first != second
    assert trace.taken()["window"] == [
        pytest.approx([(a + b) / 2 for a, b in zip(first, second, strict=True)], abs=1e-4)
    ]


@pytest.mark.parametrize(("shared", "n_searches"), [(False, 2), (True, 1)])
def test_every_search_keeps_a_profile_of_its_own(layers: nn.Sequential, shared: bool, n_searches: int) -> None:
    adapt(layers, LearnedDilation(targets=("0", "1"), rates=(1, 2, 4), shared=shared))
    advance(layers, 0, 10)
    layers(torch.randn(8, 3, 6, 6)).square().mean().backward()
    advance(layers, 1, 10)
    trace = Trace()
    trace.note(layers, 1, 0, 5)
    profiles = trace.taken()["profiles"]
    assert len(profiles) == n_searches
    assert profiles[0] == [pytest.approx(loss, rel=1e-4) for loss in layers[0].losses()]
    if not shared:
        assert profiles[0] != profiles[1] == [pytest.approx(loss, rel=1e-4) for loss in layers[1].losses()]
