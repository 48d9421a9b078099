"""Targets whose change has no effect."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import autorf
from autorf.errors import InputError, TrainingWarning
from autorf.methods import Method


class Network(nn.Module):
    """Runs ``middle(self, x)`` between two convolutions."""

    def __init__(self, middle: Callable[..., Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.others = [self.second, self.second.forward]
        self.middle = middle

    def forward(self, x: Tensor) -> Tensor:
        return self.middle(self, self.first(x))


IDLE: dict[str, tuple[Callable[..., Tensor], str]] = {
    "never called": (lambda net, x: x, "by the forward pass in evaluation mode"),
    "read directly": (lambda net, x: functional.conv2d(x, net.second.weight, padding=1), "reads its weight itself"),
    "read, and changed first": (lambda net, x: functional.conv2d(x, net.second.weight * 2), "reads its weight itself"),
    "kept in a list": (lambda net, x: net.others[0](x), "through another reference"),
    "bound early": (lambda net, x: net.others[1](x), "through another reference"),
    "in training only": (lambda net, x: net.second(x) if net.training else x, "in evaluation mode"),
}
METHODS: list[Method] = [
    autorf.Dilation(targets="second", rate=2),
    autorf.LearnedDilation(targets="second"),
    autorf.PixelAdaptive(targets="second"),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.method)
@pytest.mark.parametrize("kind", IDLE)
def test_a_target_without_effect_is_refused_where_an_example_shows_it(kind: str, method: Method) -> None:
    middle, reason = IDLE[kind]
    network = Network(middle)
    with pytest.raises(InputError, match=f"^adapt: 'second' is never called.*{reason}"):
        autorf.adapt(network, method, example_input=torch.rand(1, 3, 16, 16))
    assert type(network.second) is nn.Conv2d
    assert not autorf.adaptations(network)


@pytest.mark.parametrize("kind", IDLE)
def test_without_an_example_it_is_warned_of(kind: str) -> None:
    middle, reason = IDLE[kind]
    with pytest.warns(TrainingWarning, match=reason):
        autorf.adapt(Network(middle), METHODS[0])


USED: dict[str, Callable[..., Tensor]] = {
    "called": lambda net, x: net.second(x),
    "called by its forward": lambda net, x: net.second.forward(x),
    "called, and read for something else": lambda net, x: net.second(x) + net.second.weight.mean(),
}


@pytest.mark.parametrize("kind", USED)
def test_a_target_that_runs_is_changed_without_a_word(kind: str) -> None:
    network, image = Network(USED[kind]), torch.rand(1, 3, 16, 16)
    before = network(image)
    autorf.adapt(network, METHODS[0])
    assert not torch.equal(network(image), before)
    assert "forward" not in vars(network.second)


def offloaded(layer: nn.Module) -> None:
    """As accelerate does: the old forward, bound to the layer, inside a new one."""
    old = layer.forward

    def forward(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return old(*args, **kwargs)

    layer.forward = functools.partial(forward, layer)  # type: ignore[method-assign]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.method)
def test_a_layer_whose_forward_was_replaced_is_refused(method: Method) -> None:
    network = Network(USED["called"])
    offloaded(network.second)
    with pytest.raises(InputError, match=r"'second' has had its forward replaced .* take that off"):
        autorf.adapt(network, method)


def test_hooks_and_random_numbers_do_not_see_the_look() -> None:
    network, seen = Network(USED["called"]), list[int]()
    network.first.register_forward_hook(lambda *_: seen.append(1))
    before = torch.get_rng_state()
    autorf.adapt(network, METHODS[0])
    assert seen == []
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_that_takes_no_random_image_is_adapted_without_a_word() -> None:
    network = nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (1, 3, 8, 8)), nn.Conv2d(3, 3, 3, padding=1))
    assert autorf.adapt(network, autorf.Dilation(targets="2", rate=2))[2].dilation == (2, 2)
