"""The convolutions of a network whose dilation can be advised on."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from autorf.errors import InputError, near_names, shown
from autorf.fields.field import ReceptiveField


def adjustable_layers(model: nn.Module, field: ReceptiveField, names: Sequence[str] | None) -> dict[str, nn.Module]:
    """The convolutions whose dilation is to be advised on, by name.

    ``names``, else what the model offers as ``receptive_field_layers``, else its stride-1 convolutions with a window
    at the coarsest stride.

    Raises:
        InputError: for a name that does not exist or is no such convolution, or if none is found.
    """
    leading = {layer.name for layer in field.layers}
    offered = names if names is not None else getattr(model, "receptive_field_layers", None)
    modules = dict(model.named_modules())
    if offered is not None:
        listed = isinstance(offered, Sequence) and not isinstance(offered, str | bytes)
        if not listed or not offered or not all(isinstance(name, str) for name in offered):
            raise InputError(f"layers must be a list of the names of convolutions, got {shown(offered)}")
        for name in offered:
            if name not in modules:
                raise InputError(f"layers: the model has no module {name!r}{near_names(name, modules)}")
            if name not in leading:
                raise InputError(f"layers: {name!r} does not lead to the output")
            if not _adjustable(modules[name]):
                raise InputError(
                    f"layers: {name!r} is no convolution of stride 1 with a window, its dilation is no knob"
                )
        return {name: modules[name] for name in offered}
    strides = [max(layer.stride) for layer in field.layers if layer.stride]
    coarsest = [layer.name for layer in field.layers if layer.stride and max(layer.stride) == max(strides)]
    layers = {name: modules[name] for name in dict.fromkeys(coarsest) if _adjustable(modules.get(name))}
    if not layers:
        raise InputError("layers: no convolution of stride 1 with a window at the coarsest stride; name the layers")
    return layers


def _adjustable(module: nn.Module | None) -> bool:
    """Whether it has a square or other window and keeps its input's size; our own layers do by contract."""
    kernel, stride = getattr(module, "kernel_size", None), getattr(module, "stride", (1, 1))
    plain = isinstance(module, nn.Conv2d) or hasattr(module, "receptive_field_form")
    return plain and isinstance(kernel, tuple) and len(kernel) == 2 and max(kernel) > 1 and max(stride) == 1
