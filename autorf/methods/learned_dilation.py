"""A dilation that is searched and then fixed inside one training."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from autorf.methods.base import AdaptiveConv2d, LayerMethod, LearningRule, square_dilation
from autorf.methods.convolutions import plain_convolution
from autorf.methods.dilation import Rate
from autorf.ops.capture import real_dilated_conv2d
from autorf.ops.windowed_dilation import check_rates, windowed_dilated_conv2d
from autorf.specification import PositiveFloat

Share = Annotated[float, Field(gt=0, le=1)]


class LearnedDilation(LayerMethod):
    """Learn one dilation a layer in a single training: a window over dilations narrows, then the nearest is fixed.

    The window is Gaussian in ``log(dilation)`` around a learned centre. It starts wide enough to compare every option
    with shared weights, so the start hardly matters, and narrows geometrically; after the search phase the layer is a
    plain dilated convolution and training goes on.

    Attributes:
        start: the dilation at which the window is centred first; None for the layer's own.
        rates: the options, increasing positive integers.
        window: the window's standard deviation at the start of the search, in log-units; > ``final_window``.
        final_window: and at its end.
        search: the share of the training's steps that the search phase takes, in (0, 1].
        hold: the share of the search phase before the centre may move, in [0, 1).
        learning_rate: of the centre (in log-units a step under Adam); it has its own optimizer group, no decay.
        threshold: options with a smaller share of the window are skipped and cost nothing.
        shared: whether all targeted layers share one centre.
    """

    method: Literal["learned_dilation"] = "learned_dilation"
    start: PositiveFloat | None = None
    rates: tuple[Rate, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 12)
    window: PositiveFloat = 3.0
    final_window: PositiveFloat = 0.15
    search: Share = 0.3
    hold: Annotated[float, Field(ge=0, lt=1)] = 0.1
    learning_rate: PositiveFloat = 0.03
    threshold: Annotated[float, Field(ge=0, lt=0.5)] = 0.02
    shared: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_rates(self.rates)
        if self.start is not None and not self.rates[0] <= self.start <= self.rates[-1]:
            raise ValueError(f"start must lie within the rates {self.rates[0]}..{self.rates[-1]}, got {self.start:g}")
        if self.final_window > self.window:
            raise ValueError(f"final_window {self.final_window:g} must not exceed window {self.window:g}")
        return self

    def replacements(self, layers: Mapping[str, nn.Conv2d]) -> dict[str, nn.Module]:
        """One :class:`LearnedDilationConv2d` a layer."""
        made: dict[str, nn.Module] = {}
        centre: nn.Parameter | None = None
        for name, layer in layers.items():
            module = LearnedDilationConv2d(layer, self, square_dilation(name, layer))
            if self.shared and centre is not None:
                module.mu = centre
            centre, made[name] = module.mu, module
        return made


class LearnedDilationConv2d(AdaptiveConv2d):
    """A convolution whose dilation is searched during the first part of a training.

    Before :meth:`advance` is first called it is the plain convolution of its original dilation, bit for bit.
    """

    own = ("mu", "window_state")
    mu: nn.Parameter
    window_state: Tensor

    def __init__(self, layer: nn.Conv2d, method: LearnedDilation, original: int) -> None:
        super().__init__(layer)
        self.method = method
        start = min(max(method.start or original, method.rates[0]), method.rates[-1])
        device = layer.weight.device
        self.mu = nn.Parameter(torch.tensor(math.log(start), device=device))
        self.sigma, self.rate, self._held = 0.0, original, True
        self._options: tuple[int, ...] = (original,)
        self.register_buffer("window_state", torch.tensor([self.sigma, self.rate], dtype=torch.float64, device=device))

    @property
    def searching(self) -> bool:
        """Whether the window is open: the layer averages several dilations."""
        return self.sigma > 0

    def advance(self, progress: float) -> None:
        """Open, narrow or close the window for this share of the training; keep the centre within the options."""
        done = progress / self.method.search
        if done < 1:
            self._clamp_centre()
            ratio = self.method.final_window / self.method.window
            self._set(self.method.window * ratio**done, self.rate, held=done < self.method.hold)
        elif self.searching:
            self._clamp_centre()
            self._set(0.0, self.nearest_option(), held=True)

    def nearest_option(self) -> int:
        """The option nearest to the window's centre, in log-units."""
        centre = self.mu.item()
        return min(self.method.rates, key=lambda rate: abs(math.log(rate) - centre))

    def window(self) -> Tensor:
        """Every option's share, ``(len(rates),)``, summing to 1, before small shares are dropped."""
        options = torch.tensor(self.method.rates, device=self.mu.device, dtype=self.mu.dtype).log()
        centre = self.mu.detach() if self._held else self.mu
        return torch.softmax(-((options - centre) ** 2) / (2 * self.sigma**2), 0)

    def forward(self, input: Tensor) -> Tensor:
        """The windowed convolution while searching, a plain dilated one before and after; ``(N, C, H, W)``."""
        if not self.searching:
            return self._dilated(input)
        chosen = [self.method.rates.index(option) for option in self._options]
        share = self.window()[chosen]
        return windowed_dilated_conv2d(input, self.kernel(), self.bias, share / share.sum(), self._options, self.groups)

    def _dilated(self, input: Tensor) -> Tensor:
        padding = (self.rate * (self.kernel_size[0] // 2), self.rate * (self.kernel_size[1] // 2))
        return functional.conv2d(input, self.kernel(), self.bias, 1, padding, self.rate, self.groups)

    def values(self) -> dict[str, float]:
        """The dilation: the window's centre while searching, the fixed option otherwise."""
        return {"dilation": math.exp(self.mu.item()) if self.searching else float(self.rate)}

    def learning_rules(self) -> list[LearningRule]:
        """The centre learns at its own constant rate."""
        return [LearningRule((self.mu,), learning_rate=self.method.learning_rate, scheduled=False)]

    def receptive_field_form(self) -> Callable[..., Tensor]:
        """A convolution of the current, possibly fractional, dilation."""
        dilation = self.values()["dilation"]
        channels, kernel = self.out_channels, list(self.kernel_size)
        return lambda input: real_dilated_conv2d(input, channels, kernel, [dilation, dilation])

    def frozen(self) -> nn.Module:
        """A plain convolution of the fixed dilation, or of the option nearest to the centre while searching."""
        rate = self.nearest_option() if self.searching else self.rate
        return plain_convolution(self, self.kernel(), self.bias, (rate, rate))

    def _clamp_centre(self) -> None:
        with torch.no_grad():
            self.mu.clamp_(math.log(self.method.rates[0]), math.log(self.method.rates[-1]))

    def _set(self, sigma: float, rate: int, *, held: bool) -> None:
        self.sigma, self.rate, self._held = sigma, rate, held
        self.window_state.copy_(torch.tensor([sigma, rate], dtype=torch.float64))
        self._options = _kept(self.method.rates, self.window(), self.method.threshold) if sigma > 0 else (rate,)

    def _loaded(self) -> None:
        sigma, rate = self.window_state.tolist()
        self._set(sigma, int(rate), held=True)


def _kept(rates: Sequence[int], window: Tensor, threshold: float) -> tuple[int, ...]:
    """The options whose share reaches the threshold; the largest always does."""
    shares = window.tolist()
    limit = min(threshold, max(shares))
    return tuple(rate for rate, share in zip(rates, shares, strict=True) if share >= limit)
