"""The manual way: a fixed dilation."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field
from torch import nn

from autorf.methods.base import LayerMethod
from autorf.methods.convolutions import clone, with_dilation
from autorf.ops._dilations import LARGEST, is_dilation
from autorf.specification import Several


def _whole_number(value: Any) -> int:
    if not is_dilation(value):
        raise ValueError(f"a dilation must be a positive integer, at most {LARGEST}")
    return int(value)


Rate = Annotated[int, BeforeValidator(_whole_number), Field(ge=1)]
"""A dilation in pixels of the layer's map."""

Rates = Annotated[Several[Rate], Field(max_length=1024, fail_fast=True)]
"""Several dilations, of which the first wrong one is told: of a million there would be as many messages."""


class Dilation(LayerMethod):
    """Set the dilation of the targeted convolutions by hand.

    Attributes:
        rate: the dilation, a positive integer, in pixels of the layer's map (times its stride in input pixels); None
            keeps each layer's own, which is the unmodified network.

    Examples:
        >>> import autorf
        >>> autorf.Dilation(targets=".*conv2", rate=4)
        Dilation(method='dilation', targets='.*conv2', rate=4)
    """

    manual: ClassVar[bool] = True
    even_kernels: ClassVar[bool] = True
    any_padding: ClassVar[bool] = True

    method: Literal["dilation"] = "dilation"
    rate: Rate | None

    @property
    def set_dilation(self) -> int | None:
        """The rate."""
        return self.rate

    def replacements(self, layers: Mapping[str, nn.Conv2d]) -> dict[str, nn.Module]:
        """The same layers with another dilation, padded to keep the size of the map."""
        if self.rate is None:
            return {name: clone(layer) for name, layer in layers.items()}
        return {name: with_dilation(name, layer, (self.rate, self.rate)) for name, layer in layers.items()}
