"""Receptive fields of a network as it would be with other dilations, the network itself left as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from autorf.errors import InputError, near_names
from autorf.ops.capture import real_dilated_conv2d
from autorf.receptive_field.field import ReceptiveField


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
    found = {name: modules[name] for name in dict.fromkeys(coarsest) if _adjustable(modules.get(name))}
    if not found:
        raise InputError("layers: no convolution of stride 1 with a window at the coarsest stride; name the layers")
    return found


@contextmanager
def dilated(layers: Sequence[nn.Module], dilation: float) -> Iterator[None]:
    """Let the engine see these convolutions with another, possibly fractional, dilation."""
    own = [layer.__dict__.get("receptive_field_form") for layer in layers]
    try:
        for layer in layers:
            layer.__dict__["receptive_field_form"] = lambda layer=layer: _form(layer, dilation)
        yield
    finally:
        for layer, form in zip(layers, own, strict=True):
            if form is None:
                del layer.__dict__["receptive_field_form"]
            else:
                layer.__dict__["receptive_field_form"] = form


def _form(layer: nn.Module, dilation: float) -> Callable[[Tensor], Tensor]:
    channels, kernel = getattr(layer, "out_channels"), list(getattr(layer, "kernel_size"))  # noqa: B009
    return lambda x: real_dilated_conv2d(x, channels, kernel, [dilation, dilation])


def _adjustable(module: nn.Module | None) -> bool:
    """Whether it has a square or other window and keeps its input's size; our own layers do by contract."""
    kernel, stride = getattr(module, "kernel_size", None), getattr(module, "stride", (1, 1))
    plain = isinstance(module, nn.Conv2d) or hasattr(module, "receptive_field_form")
    return plain and isinstance(kernel, tuple) and len(kernel) == 2 and max(kernel) > 1 and max(stride) == 1
