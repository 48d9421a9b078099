"""Feature maps against dilations: a dilation as large as the map sees nothing but padding."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from autorf.methods import LearnedDilation
from autorf.methods.modules import AdaptiveConv2d
from autorf.surgery import adaptations
from autorf.surgery.dry_run import input_channels, random_like_parameters, run

Sizes = Mapping[str, tuple[int, int]]


def map_sizes(
    model: nn.Module, image_size: tuple[int, int], see: Callable[[Any], None] = lambda output: None
) -> dict[str, tuple[int, int]]:
    """Height and width of the map that each convolution reads, by name, for one image ``(H, W)``.

    The model runs on shapes alone where it can, which tells all that an image of any size would.

    Args:
        model: run once in evaluation mode.
        image_size: ``(H, W)``.
        see: gets what the model returns, whose tensors may have no values.

    Raises:
        InputError: when the model does not take an image of that size.
    """
    sizes: dict[str, tuple[int, int]] = {}

    def note(name: str, input: Tensor) -> None:
        sizes[name] = (input.shape[2], input.shape[3])

    handles = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: note(name, inputs[0]))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        see(run(model, random_like_parameters(model, (1, input_channels(model), *image_size)), shapes_only=True))
    finally:
        for handle in handles:
            handle.remove()
    return sizes


def dead_dilation(adapted: nn.Module, original: nn.Module, sizes: Sizes) -> str | None:
    """What is wrong with a dilation that a method set: one not below the side of its map leaves one tap of its kernel.

    The network's own dilations are its author's business. None where every dilation fits.
    """
    for name, module in adapted.named_modules():
        if not isinstance(module, nn.Conv2d | AdaptiveConv2d) or name not in sizes:
            continue
        dilation = (int(module.dilation[0]), int(module.dilation[1]))
        before = original.get_submodule(name).dilation
        least = _least_side(sizes[name], (module.kernel_size[0], module.kernel_size[1]))
        if dilation != before and max(dilation) >= least:
            return f"dilation {max(dilation)} of layer {name!r} {_exceeds(sizes[name])}; search at most {least - 1:g}"
    return None


def dead_options(adapted: nn.Module, sizes: Sizes) -> str | None:
    """Which options of a method that learns its dilation its map is too small for, or None."""
    for name, options in _options(adapted):
        dead = [rate for rate in options if name in sizes and rate >= min(sizes[name])]
        if dead:
            listed = ", ".join(str(rate) for rate in dead)
            return f"options {listed} of layer {name!r}: each {_exceeds(sizes[name])}; leave them out of rates"
    return None


def several_layers(adapted: nn.Module, sizes: Sizes) -> str | None:
    """What is wrong with how several layers of one learned dilation share it, or None.

    One dilation on maps of different strides is another field in each; dilations of their own together may reach beyond
    the map, whatever each of them does alone.
    """
    for adaptation in adaptations(adapted):
        method, names = adaptation.method, [name for name in adaptation.names if name in sizes]
        if not isinstance(method, LearnedDilation) or len(names) < 2:
            continue
        first, other = names[0], next((name for name in names if sizes[name] != sizes[names[0]]), None)
        if method.one_dilation and other is not None:
            return (
                f"shared: {str(method.shared).lower()}: layers {first!r} and {other!r} read maps of "
                f"{_side(sizes[first])} and {_side(sizes[other])}: one dilation is another field in each; target "
                "layers of one stride, or set shared: false"
            )
        largest = max(method.rates)
        layers = [adapted.get_submodule(name) for name in names]
        kernels = [max(layer.kernel_size) for layer in layers if isinstance(layer, AdaptiveConv2d)]
        # Of layers behind each other: each adds its dilation once for every tap but one.
        field = 1 + sum(largest * (kernel - 1) for kernel in kernels)
        least = min(min(sizes[name]) for name in names)
        if not method.one_dilation and field > least:
            return (
                f"rates up to {largest} in each of {len(names)} layers: together they see up to {field:g} px of a map "
                f"of {least}; leave large ones out, or set shared: true, which is one dilation for all"
            )
    return None


def _side(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _options(adapted: nn.Module) -> Iterator[tuple[str, tuple[float, ...]]]:
    for adaptation in adaptations(adapted):
        for name in adaptation.names:
            yield name, adaptation.method.options


def _least_side(size: tuple[int, int], kernel: tuple[int, int]) -> float:
    return min((length for length, taps in zip(size, kernel, strict=True) if taps > 1), default=math.inf)


def _exceeds(size: tuple[int, int]) -> str:
    return f"exceeds what its {_side(size)} map can use: all taps but one read padding"
