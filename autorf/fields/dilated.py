"""Receptive fields of a network as it would be with other dilations, the network itself left as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from autorf.ops.capture import dilated_form


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
    return dilated_form(channels, kernel, dilation, getattr(layer, "stride", (1, 1)))
