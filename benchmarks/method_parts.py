"""What a method must do in one training step beside the plain network: its operators, less what they replace.

Each part is a call of an operator alone, forward and backward, with what the layers or the region gave it in a step of
the adapted model. Before a part is timed it is checked to give what they gave.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.methods import dilation_search, inflation, pixel_adaptive, scale_adaptive
from autorf.methods.modules import AdaptiveConv2d
from autorf.ops import blended_dilated_conv2d, inflate, interpolate, pixel_adaptive_conv2d, scale_adaptive_conv2d

OPERATORS = (
    (dilation_search, "blended_dilated_conv2d"),
    (scale_adaptive, "scale_adaptive_conv2d"),
    (pixel_adaptive, "pixel_adaptive_conv2d"),
    (inflation, "inflate"),
)
"""Where methods take their operators from, which is where they are listened to."""

TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}

Call = Callable[[], object]


@dataclass
class Parts:
    """What is computed beside a plain step: ``more`` instead of ``less``."""

    more: list[Call] = field(default_factory=list)
    less: list[Call] = field(default_factory=list)


@dataclass
class Passed:
    """What one layer got and gave in a step, its parameters then, and the arguments of the operator that it called."""

    layer: Any
    parameters: dict[str, Tensor]
    input: Tensor
    output: Tensor
    arguments: tuple[Any, ...] | None


def parts_of(model: nn.Module, step: Call, rate: int | None, region: nn.Module) -> Parts:
    """What the methods in ``model`` do beside the plain network in one ``step``, which is taken.

    Args:
        model: adapted.
        step: a training step of it.
        rate: the dilation of the convolutions that are replaced; None for each layer's own, 1.
        region: the plain modules that an inflation goes around.
    """
    with listening(model) as (passed, inflated):
        step()
    parts = Parts()
    for each in passed:
        more, less = _parts_of_layer(each, rate or 1)
        parts.more += more
        parts.less += less
    for map, factor in inflated:
        more, less = _parts_of_region(region, map, factor)
        parts.more += more
        parts.less += less
    return parts


@contextmanager
def listening(model: nn.Module) -> Iterator[tuple[list[Passed], list[tuple[Tensor, Tensor]]]]:
    """What the adapted layers get, give and call inside, and the maps that are inflated, with their factors."""
    passed: list[Passed] = []
    inflated: list[tuple[Tensor, Tensor]] = []
    called: list[tuple[Any, ...]] = []

    def heard(name: str, operator: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(*arguments: Any, **options: Any) -> Tensor:
            if name == "inflate":
                inflated.append((arguments[0], arguments[1]))
            else:
                called.append(arguments)
            return operator(*arguments, **options)

        return call

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        parameters = {key: value.detach().clone() for key, value in layer.named_parameters()}
        arguments = called.pop() if called else None
        passed.append(Passed(layer, parameters, inputs[0].detach(), output.detach(), arguments))

    with ExitStack() as stack:
        for module, name in OPERATORS:
            stack.enter_context(mock.patch.object(module, name, heard(name, getattr(module, name))))
        for layer in model.modules():
            if isinstance(layer, AdaptiveConv2d):
                stack.callback(layer.register_forward_hook(note).remove)
        yield passed, inflated


def _leaf(value: Tensor | None) -> Any:
    """A tensor by itself, whose gradient is asked for."""
    return None if value is None else value.detach().clone().requires_grad_()


def _both_ways(forward: Callable[[], Tensor], *leaves: Tensor | None) -> Call:
    """Forward and backward, all ``leaves`` asking for their gradient."""
    asked = [leaf for leaf in leaves if leaf is not None]
    pattern = torch.randn_like(forward())
    return lambda: torch.autograd.grad(forward(), asked, pattern)


def _convolution(input: Tensor, weight: Tensor, bias: Tensor | None, rate: int, groups: int) -> Callable[[], Tensor]:
    padding = (rate * (weight.shape[2] // 2), rate * (weight.shape[3] // 2))
    return lambda: functional.conv2d(input, weight, bias, 1, padding, rate, groups)


def _parts_of_layer(passed: Passed, rate: int) -> tuple[list[Call], list[Call]]:
    layer = passed.layer
    input, weight, bias = (_leaf(value) for value in (passed.input, *map(passed.parameters.get, ("weight", "bias"))))
    replaced = _both_ways(_convolution(input, weight, bias, rate, layer.groups), input, weight, bias)
    if passed.arguments is None:
        fixed = _convolution(input, weight, bias, layer.rate, layer.groups)
        torch.testing.assert_close(fixed(), passed.output)
        return [_both_ways(fixed, input, weight, bias)], [replaced]
    more = _PARTS[type(layer)](passed, input, weight, bias)
    return more, [replaced]


def _blended(passed: Passed, input: Tensor, weight: Tensor, bias: Tensor | None) -> list[Call]:
    """Two convolutions for each image that explores, one for each of the others."""
    assert passed.arguments is not None
    images, _, _, lower, blend, rates, groups = passed.arguments
    explores = [at for at, share in enumerate(blend.tolist()) if 0 < share < 1]
    explored, shares = _leaf(images[explores]), _leaf(blend[explores])
    pairs = [lower[at] for at in explores]

    def forward() -> Tensor:
        return blended_dilated_conv2d(explored, weight, bias, pairs, shares, rates, groups)

    at_choice = [at for at, image in enumerate(input) if not any(torch.equal(image, each) for each in explored)]
    exploring = [at for at in range(len(input)) if at not in at_choice]
    torch.testing.assert_close(forward(), passed.output[exploring], **TOLERANCE)
    calls = [_both_ways(forward, explored, weight, bias, shares)]
    if at_choice:
        others = _leaf(input[at_choice])
        chosen = _convolution(others, weight, bias, passed.layer.nearest_option(), groups)
        torch.testing.assert_close(chosen(), passed.output[at_choice], **TOLERANCE)
        calls.append(_both_ways(chosen, others, weight, bias))
    return calls


def _scale_adaptive(passed: Passed, input: Tensor, weight: Tensor, bias: Tensor | None) -> list[Call]:
    """The regression of the scale, and the convolution that follows it."""
    layer = passed.layer
    own = [_leaf(passed.parameters[key]) for key in ("scale_weight", "scale_bias")]

    def forward() -> Tensor:
        scale = functional.conv2d(input, *own, padding=1).clamp(layer.method.low, layer.method.high)
        return scale_adaptive_conv2d(input, weight, bias, scale, layer.rate, layer.groups)

    torch.testing.assert_close(forward(), passed.output, **TOLERANCE)
    return [_both_ways(forward, input, weight, bias, *own)]


def _pixel_adaptive(passed: Passed, input: Tensor, weight: Tensor, bias: Tensor | None) -> list[Call]:
    """The logits, a sample of them, and the convolution that follows it."""
    assert passed.arguments is not None
    layer, shares = passed.layer, passed.arguments[3].detach()
    own = _leaf(passed.parameters["option_weight"])

    def mixed(probabilities: Tensor) -> Tensor:
        return pixel_adaptive_conv2d(input, weight, bias, probabilities, layer.method.rates, layer.groups)

    def forward() -> Tensor:
        logits = functional.leaky_relu(functional.conv2d(input, own))
        return mixed(functional.gumbel_softmax(logits, layer.temperature, dim=1))

    # Each sample is another one: compared is the convolution by the sample of the step.
    torch.testing.assert_close(mixed(shares), passed.output, **TOLERANCE)
    return [_both_ways(forward, input, weight, bias, own)]


_PARTS: dict[type[nn.Module], Callable[[Passed, Tensor, Tensor, Tensor | None], list[Call]]] = {
    dilation_search.LearnedDilationConv2d: _blended,
    scale_adaptive.ScaleAdaptiveConv2d: _scale_adaptive,
    pixel_adaptive.PixelAdaptiveConv2d: _pixel_adaptive,
}


def _parts_of_region(region: nn.Module, map: Tensor, factor: Tensor) -> tuple[list[Call], list[Call]]:
    """Both resizes and the region on the inflated map, instead of the region on the map."""
    inside, input, learned = copy.deepcopy(region), _leaf(map), _leaf(factor)
    size = (map.shape[2], map.shape[3])

    def forward() -> Tensor:
        inflated: Tensor = inside(inflate(input, learned))
        return interpolate(inflated, 1 / learned.double(), size)

    def plain() -> Tensor:
        output: Tensor = inside(input)
        return output

    weights = list(inside.parameters())
    return [_both_ways(forward, input, learned, *weights)], [_both_ways(plain, input, *weights)]
