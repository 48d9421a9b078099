"""Two other ways to learn a dilation, as methods of a package: what ``real_networks.py`` puts beside our own.

* ``mixture``: one output averaged over a Gaussian window in log(dilation), whose centre is moved by its gradient.
* ``branches``: after RF-Next's description: branches with one kernel at d - D, d and d + D, D = d / 2, weighted by
  normalised coefficients that are learned; their expectation becomes d eight times.

Both search for the first fifth of a training, as ``learned_dilation`` does, and then fix the dilation; each layer has
its own. Neither has been trained elsewhere: what they come to here says nothing of their authors' own settings.
"""

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.methods import LayerMethod, LearningRule
from autorf.methods.base import square_dilation
from autorf.methods.convolutions import plain_convolution
from autorf.methods.dilation import Rates
from autorf.methods.modules import AdaptiveConv2d
from autorf.ops import windowed_dilated_conv2d
from autorf.ops.capture import real_dilated_conv2d

SEARCH, TURNS = 0.2, 8
WINDOW, FINAL_WINDOW, LEAST_SHARE = 3.0, 0.1, 0.02
CENTRE_RATE = 0.03
"""The learning rate of the mixture's centre, in log-units: what moves it over the whole range within a search."""


class Rival(LayerMethod):
    """A method whose layers search one dilation each, and then fix it."""

    settles: ClassVar[bool] = True
    layer: ClassVar[type["RivalConv2d"]]

    rates: Rates = (1, 2, 4, 8)

    @property
    def search_share(self) -> float:
        return SEARCH

    @property
    def options(self) -> tuple[float, ...]:
        return tuple(self.rates)

    def replacements(self, layers: Mapping[str, nn.Conv2d]) -> dict[str, nn.Module]:
        return {
            name: self.layer(layer, tuple(self.rates), square_dilation(name, layer)) for name, layer in layers.items()
        }


class RivalConv2d(AdaptiveConv2d):
    """A layer that searches; ``progress`` and ``rate`` are part of its state."""

    progress: Tensor
    rate: Tensor

    def __init__(self, layer: nn.Conv2d, rates: tuple[int, ...], original: int) -> None:
        super().__init__(layer)
        self.rates = rates
        device = layer.weight.device
        # Of the search, negative before it begins; and the dilation, in the search where it is now.
        self.register_buffer("progress", torch.tensor(-1.0, device=device))
        self.register_buffer("rate", torch.tensor(float(original), device=device))
        self.own = ("progress", "rate", *self.begin(layer.weight))

    def begin(self, weight: Tensor) -> tuple[str, ...]:
        """Make what is learned; its names."""
        raise NotImplementedError

    def moved(self) -> float:
        """The dilation after the last step."""
        raise NotImplementedError

    def weighted(self) -> tuple[list[int], Tensor]:
        """The dilations of this step, and their weights, which sum to 1."""
        raise NotImplementedError

    @property
    def searching(self) -> bool:
        return 0 <= float(self.progress) < 1

    def advance(self, progress: float) -> None:
        done = progress / SEARCH
        if float(self.progress) >= 1:
            return
        with torch.no_grad():
            if self.searching:
                self.rate.fill_(self.moved())
            self.progress.fill_(min(done, 1.0))
            if done >= 1:
                self.rate.fill_(self.nearest())

    def nearest(self) -> int:
        """The option nearest to the dilation, in log-units."""
        return min(self.rates, key=lambda option: abs(math.log(option / float(self.rate))))

    def forward(self, input: Tensor) -> Tensor:
        if not (self.searching and self.training):
            rate = self.nearest() if self.searching else round(float(self.rate))
            padding = (rate * (self.kernel_size[0] // 2), rate * (self.kernel_size[1] // 2))
            return functional.conv2d(input, self.kernel(), self.bias, 1, padding, rate, self.groups)
        rates, weights = self.weighted()
        return windowed_dilated_conv2d(input, self.kernel(), self.bias, weights, rates, self.groups)

    def values(self) -> dict[str, float]:
        return {"dilation": float(self.rate)}

    def receptive_field_form(self) -> Callable[..., Tensor]:
        channels, kernel, dilation = self.out_channels, list(self.kernel_size), float(self.rate)
        return lambda input: real_dilated_conv2d(input, channels, kernel, [dilation, dilation])

    def frozen(self) -> nn.Module:
        rate = self.nearest()
        return plain_convolution(self, self.kernel(), self.bias, (rate, rate))

    def untrained(self) -> tuple[nn.Parameter, ...]:
        return () if self.searching else tuple(rule.parameters[0] for rule in self.learning_rules())


class MixtureConv2d(RivalConv2d):
    """A window whose centre is a parameter."""

    def begin(self, weight: Tensor) -> tuple[str, ...]:
        self.centre = nn.Parameter(self.rate.log().reshape(1))
        return ("centre",)

    def moved(self) -> float:
        self.centre.clamp_(math.log(self.rates[0]), math.log(self.rates[-1]))
        return math.exp(self.centre.item())

    def weighted(self) -> tuple[list[int], Tensor]:
        sigma = WINDOW * (FINAL_WINDOW / WINDOW) ** float(self.progress)
        options = torch.tensor(self.rates, dtype=self.centre.dtype, device=self.centre.device).log()
        shares = torch.softmax(-((options - self.centre) ** 2) / (2 * sigma**2), 0)
        least = min(LEAST_SHARE, float(shares.detach().max()))
        kept = [at for at, share in enumerate(shares.tolist()) if share >= least]
        return [self.rates[at] for at in kept], shares[kept] / shares[kept].sum()

    def learning_rules(self) -> list[LearningRule]:
        return [LearningRule((self.centre,), learning_rate=CENTRE_RATE, scheduled=False)]


class BranchesConv2d(RivalConv2d):
    """Branches around one dilation, whose expectation becomes the next one."""

    turns: Tensor

    def begin(self, weight: Tensor) -> tuple[str, ...]:
        self.share = nn.Parameter(weight.new_full((3,), 0.01))
        self.register_buffer("turns", torch.zeros((), device=weight.device))
        return ("share", "turns")

    def moved(self) -> float:
        if float(self.progress) * TURNS < float(self.turns) + 1:
            return float(self.rate)
        rates, weights = self.weighted()
        expected = sum(weight * rate for weight, rate in zip(weights.tolist(), rates, strict=True))
        self.turns.add_(1)
        self.share.fill_(0.01)
        return min(max(expected, self.rates[0]), self.rates[-1])

    def weighted(self) -> tuple[list[int], Tensor]:
        rate = max(1, round(float(self.rate)))
        reach = max(1, round(rate / 2))
        rates = sorted({max(1, rate - reach), rate, rate + reach})
        used = self.share[: len(rates)].abs()
        return rates, used / used.sum()

    def learning_rules(self) -> list[LearningRule]:
        return [LearningRule((self.share,))]


class Mixture(Rival):
    """One output averaged over a window whose centre is moved by its gradient."""

    layer = MixtureConv2d
    method: Literal["mixture"] = "mixture"


class Branches(Rival):
    """Branches around one dilation whose expectation becomes the next, after RF-Next."""

    layer = BranchesConv2d
    method: Literal["branches"] = "branches"


RIVALS: dict[str, type[Rival]] = {"mixture": Mixture, "branches": Branches}
