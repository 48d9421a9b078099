"""A method for layers: the layer's own dilation and another one, mixed by a learned share."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.methods import LayerMethod, LearningRule, Quantity
from autorf.methods.modules import AdaptiveConv2d
from autorf.ops.capture import real_dilated_conv2d


class TwoRates(LayerMethod):
    """Mix the convolution's result with that of dilation ``far``."""

    quantity: ClassVar[Quantity] = Quantity("mix", "share of the far taps")

    method: Literal["two_rates"] = "two_rates"
    far: int = 3

    def replacements(self, layers: Mapping[str, nn.Conv2d]) -> dict[str, nn.Module]:
        return {name: TwoRatesConv2d(layer, self.far) for name, layer in layers.items()}


class TwoRatesConv2d(AdaptiveConv2d):
    own = ("mix",)

    def __init__(self, layer: nn.Conv2d, far: int) -> None:
        super().__init__(layer)
        self.far = far
        self.mix = nn.Parameter(torch.zeros((), device=layer.weight.device))

    def forward(self, input: Tensor) -> Tensor:
        near = self._dilated(input, self.dilation[0])
        return near + self.mix * (self._dilated(input, self.far) - near)

    def _dilated(self, input: Tensor, rate: int) -> Tensor:
        padding = (rate * (self.kernel_size[0] // 2), rate * (self.kernel_size[1] // 2))
        return functional.conv2d(input, self.kernel(), self.bias, 1, padding, rate, self.groups)

    def values(self) -> dict[str, float]:
        return {"mix": self.mix.item()}

    def learning_rules(self) -> list[LearningRule]:
        return [LearningRule((self.mix,))]

    def receptive_field_form(self) -> Callable[..., Tensor]:
        channels, kernel, far = self.out_channels, list(self.kernel_size), float(self.far)
        return lambda input: real_dilated_conv2d(input, channels, kernel, [far, far])
