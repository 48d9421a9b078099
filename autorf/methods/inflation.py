"""Inflation: a learned resize around a region of the network, which changes the field of everything inside it."""

from collections.abc import Callable
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from autorf.methods.base import AdaptiveModule, LearningRule, Method
from autorf.methods.dilation import Rate
from autorf.ops.capture import resample2d
from autorf.ops.inflation import Gradient, inflate, inflated_side, interpolate
from autorf.specification import PositiveFloat

Sides = tuple[int, int]


class Inflation(Method):
    """Resize the map by a learned factor ``f`` before a region and back behind it.

    A larger ``f`` makes the region's receptive field smaller: ``rf = rf_in + stride (k_eff - 1) / f`` for one
    convolution of effective side ``k_eff``.
    Paper: Wei et al., *Learning adaptive receptive fields for deep image parsing networks*, 2018, section 3.2.

    Attributes:
        start: name of the module the region begins with; its first argument is the map. None for the network's own.
        end: name of the module the region ends with; it returns the map.
        factor: the initial ``f``; 1 leaves the network's output as it was.
        low: lower bound of ``f``.
        high: upper bound of ``f``; the region's cost grows with ``f`` squared.
        dilation: set the dilation of ``start``, a convolution, first; None keeps it.
        gradient: ``"exact"``, or ``"paper"`` as the authors divide it (Eqs. 7 and 11).
        learning_rate_multiplier: of ``f``, times the model's; ``f`` has its own optimizer group without decay.
        hold: the share of the training's steps before ``f`` may change, in [0, 1).
    """

    method: Literal["inflation"] = "inflation"
    start: str | None = None
    end: str | None = None
    factor: PositiveFloat = 1.0
    low: PositiveFloat = 0.25
    high: PositiveFloat = 4.0
    dilation: Rate | None = None
    gradient: Gradient = "exact"
    learning_rate_multiplier: PositiveFloat = 3.0
    hold: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.low <= self.factor <= self.high:
            raise ValueError(f"the bounds {self.low:g}..{self.high:g} exclude the initial factor {self.factor:g}")
        if (self.start is None) != (self.end is None):
            raise ValueError("start and end go together: name both, or neither for the network's own region")
        return self


class InflationRegion(AdaptiveModule):
    """Holds ``f`` and resizes on both sides of a region; see :class:`Inflation`."""

    own = ("factor",)
    factor: nn.Parameter

    def __init__(self, method: Inflation, device: torch.device) -> None:
        super().__init__()
        self.method = method
        self.factor = nn.Parameter(torch.tensor(method.factor, device=device))
        self.size: Sides | None = None
        self._held = False

    def forward(self, input: Tensor, size: Sides | None = None) -> Tensor:
        """Inflate ``(N, C, H, W)``, or with ``size`` return to ``(N, C, *size)``."""
        factor = self.factor.detach() if self._held else self.factor
        if size is None:
            return inflate(input, factor, gradient=self.method.gradient)
        # In double precision, as a constant factor is: freezing changes no bit.
        return interpolate(input, 1 / factor.double(), size, gradient=self.method.gradient)

    def advance(self, progress: float) -> None:
        """Hold ``f`` at first, and keep it within its bounds."""
        self._held = progress < self.method.hold
        with torch.no_grad():
            self.factor.clamp_(self.method.low, self.method.high)

    def values(self) -> dict[str, float]:
        """The inflation factor."""
        return {"f": self.factor.item()}

    def learning_rules(self) -> list[LearningRule]:
        """``f`` learns at a multiple of the model's learning rate."""
        return [LearningRule((self.factor,), multiplier=self.method.learning_rate_multiplier)]

    def receptive_field_form(self) -> Callable[..., Tensor]:
        """Resampling by the present value of ``f``."""
        return _Resampling(self.factor.item(), resample2d)

    def frozen(self) -> nn.Module:
        """The same resizes with ``f`` a constant."""
        return ConstantRegion(self.factor.item())


class ConstantRegion(nn.Module):
    """Resizes by a fixed factor on both sides of a region."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.size: Sides | None = None

    def forward(self, input: Tensor, size: Sides | None = None) -> Tensor:
        """Inflate, or with ``size`` return to it."""
        return inflate(input, self.factor) if size is None else interpolate(input, 1 / self.factor, size)

    def receptive_field_form(self) -> Callable[..., Tensor]:
        """Resampling by the fixed factor."""
        return _Resampling(self.factor, resample2d)

    def extra_repr(self) -> str:
        """The factor."""
        return f"factor={self.factor:.4g}"


class _Resampling:
    """What a region does, in the marks of the receptive-field engine."""

    def __init__(self, factor: float, resample: Callable[..., Tensor]) -> None:
        self.factor, self.resample = factor, resample

    def __call__(self, input: Tensor, size: Sides | None = None) -> Tensor:
        factor = self.factor if size is None else 1 / self.factor
        height, width = size or (inflated_side(int(side), factor) for side in input.shape[2:])
        return self.resample(input, height, width, factor, factor)


class EnterRegion:
    """Forward pre-hook of a region's first module: remembers the map's size and inflates it."""

    def __init__(self, region: InflationRegion | ConstantRegion) -> None:
        self.region = region

    def __call__(self, module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The first module's arguments with its map inflated."""
        self.region.size = (arguments[0].shape[2], arguments[0].shape[3])
        return (self.region(arguments[0]), *arguments[1:])


class LeaveRegion:
    """Forward hook of a region's last module: returns its output to the size before the region."""

    def __init__(self, region: InflationRegion | ConstantRegion) -> None:
        self.region = region

    def __call__(self, module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """The last module's output at the size before the region."""
        resized: Tensor = self.region(output, self.region.size)
        return resized
