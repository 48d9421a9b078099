"""Feature maps against dilations: a dilation as large as the map sees nothing but padding."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

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


def _options(adapted: nn.Module) -> Iterator[tuple[str, tuple[float, ...]]]:
    for adaptation in adaptations(adapted):
        for name in adaptation.names:
            yield name, adaptation.method.options


def _least_side(size: tuple[int, int], kernel: tuple[int, int]) -> float:
    return min((length for length, taps in zip(size, kernel, strict=True) if taps > 1), default=math.inf)


def _exceeds(size: tuple[int, int]) -> str:
    return f"exceeds what its {size[0]}x{size[1]} map can use: all taps but one read padding"
