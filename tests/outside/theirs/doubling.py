"""A method for a region: a resize factor that is learned as its logarithm."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from autorf.methods import AdaptiveRegion, LearningRule, RegionMethod
from autorf.methods.region import ConstantRegion, Resampling, Sides, factor_values
from autorf.ops import inflate, interpolate


class Doubling(RegionMethod):
    """Resize by ``2 ** power``; it begins at power 0."""

    method: Literal["doubling"] = "doubling"

    def region(self, device: torch.device) -> AdaptiveRegion:
        return DoublingRegion(device)


class DoublingRegion(AdaptiveRegion):
    own = ("power",)

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.zeros((), device=device))

    def forward(self, input: Tensor, size: Sides | None = None, base: Sides | None = None) -> Tensor:
        factor = torch.exp2(self.power)
        return inflate(input, factor) if size is None else interpolate(input, 1 / factor.double(), size)

    def pair(self) -> tuple[float, float]:
        factor = torch.exp2(self.power).item()
        return factor, factor

    def values(self) -> dict[str, float]:
        return factor_values(self.pair())

    def learning_rules(self) -> list[LearningRule]:
        return [LearningRule((self.power,))]

    def receptive_field_form(self) -> Callable[..., Tensor]:
        return Resampling(self.pair())

    def frozen(self) -> nn.Module:
        return ConstantRegion(self.pair())
