"""A dilation that is searched and then fixed inside one training."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from autorf.methods import outside_graphs
from autorf.methods.base import LayerMethod, lengthened, square_dilation
from autorf.methods.bookkeeping import Phase, Record
from autorf.methods.convolutions import plain_convolution
from autorf.methods.dilation import Rates
from autorf.methods.modules import AdaptiveConv2d, SearchState
from autorf.methods.option_search import OptionSearch, Schedule
from autorf.methods.recorded import RECORD_BUFFERS
from autorf.ops._dilations import whole_rates
from autorf.ops.blended_dilation import blended_dilated_conv2d
from autorf.ops.capture import real_dilated_conv2d
from autorf.specification import Before, Number, PositiveFloat

_PositiveFraction = Annotated[Number, Field(gt=0, le=1)]


class LearnedDilation(LayerMethod):
    """Learn one dilation a layer in a single training: options are compared on the way, then the best is fixed.

    While searching, every image of a batch gets a dilation between two neighbouring options, drawn from a Gaussian
    window in ``log(dilation)``. The derivative of the loss with respect to where it lies between the two is, on
    average, the difference of their losses; summed along the options this is the loss's profile over all of them. It
    comes with the backward pass, needs no further look at the loss, and works with any optimizer. The window's centre
    is the lowest option of the profile; its width starts over every option, so the start hardly matters, and shrinks
    geometrically. After the search phase the layer is a plain dilated convolution and training goes on.

    Attributes:
        start: the dilation at which the window is centred until ``hold``; None for the layer's own.
        rates: the options, increasing positive integers.
        window: the window's standard deviation at the start of the search, in log-units; at most 100.
        final_window: and at its end; at least 0.001, at most ``window``.
        search: the share of the training's steps that the search phase takes, in (0, 1].
        extra: how much longer a study trains it than a fixed dilation, as a share of the steps. With 0.25 and the other
            defaults the dilation that it fixed is trained for as many steps as a manual one; with 0 the whole training,
            search phase included, is as long as a manual one.
        hold: the share of the search phase before the centre may move, in [0, 1).
        memory: the share of the search phase over which the profile is averaged; older steps fade exponentially.
        threshold: pairs of options with a smaller share of the window are not drawn and cost nothing.
        shared: whether all targeted layers share one dilation, the lowest of the sum of their profiles.

    Examples:
        >>> import autorf
        >>> method = autorf.LearnedDilation(targets="head", rates=(1, 2, 4, 8), start=2, extra=0.25)
        >>> method.steps(1200)  # a quarter more, for the search phase
        1500
    """

    settles: ClassVar[bool] = True

    method: Literal["learned_dilation"] = "learned_dilation"
    start: PositiveFloat | None = None
    rates: Rates = (1, 2, 3, 4, 5, 6, 8, 10, 12)
    window: Annotated[PositiveFloat, Field(le=100)] = 3.0
    final_window: Annotated[PositiveFloat, Field(ge=1e-3)] = 0.1
    search: _PositiveFraction = 0.2
    extra: Annotated[Number, Field(ge=0, le=1), Before(0.25)] = 0.0
    hold: Annotated[Number, Field(ge=0, lt=1)] = 0.1
    memory: PositiveFloat = 0.3
    threshold: Annotated[Number, Field(ge=0, lt=0.5)] = 0.02
    shared: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        whole_rates(self.rates)
        if self.start is not None and not self.rates[0] <= self.start <= self.rates[-1]:
            raise ValueError(f"start must lie within the rates {self.rates[0]}..{self.rates[-1]}, got {self.start:g}")
        if self.final_window > self.window:
            raise ValueError(f"final_window {self.final_window:g} must not exceed window {self.window:g}")
        return self

    def steps(self, given: int) -> int:
        """``given`` and ``extra`` of it."""
        return lengthened(given, self.extra)

    def not_lengthened(self) -> Self:
        """With no ``extra``."""
        return self.model_copy(update={"extra": 0.0})

    @property
    def search_share(self) -> float:
        """``search``."""
        return self.search

    @property
    def initial(self) -> float | None:
        """``start``."""
        return self.start

    @property
    def options(self) -> tuple[float, ...]:
        """``rates``."""
        return tuple(self.rates)

    def replacements(self, layers: Mapping[str, nn.Conv2d]) -> dict[str, nn.Module]:
        """One :class:`LearnedDilationConv2d` a layer."""
        searching = {
            name: LearnedDilationConv2d(layer, self, square_dilation(name, layer)) for name, layer in layers.items()
        }
        if self.shared:
            # One dilation for all: each begins where the first layer does.
            group = tuple(searching.values())
            for module in group:
                module.join(group)
        return dict(searching)


class LearnedDilationConv2d(OptionSearch, AdaptiveConv2d):
    """A convolution whose dilation is searched during the first part of a training.

    Before :meth:`advance` is first called it is the plain convolution of its original dilation, bit for bit. While it
    is searching, in evaluation mode, it is the plain convolution of the option nearest to the window's centre.

    Attributes:
        original: the dilation of the layer it replaces.
        group: the layers whose profiles are summed; the layer alone unless its method is ``shared``.
    """

    own = RECORD_BUFFERS

    def __init__(self, layer: nn.Conv2d, method: LearnedDilation, original: int) -> None:
        super().__init__(layer)
        self.method, self.original = method, original
        self._logs = tuple(math.log(rate) for rate in method.rates)
        schedule = Schedule(method.search, method.window, method.final_window, method.hold, method.memory)
        profile = (0.0,) * (2 * (len(method.rates) - 1))
        start = Record(centre=self._within(method.start or original), profile=profile)
        self._begin_search(schedule, method.rates, start, layer.weight.device)

    def join(self, group: "tuple[LearnedDilationConv2d, ...]") -> None:
        """Share one search with the other layers of ``group``, which begins where that of the first one does."""
        self.group = group
        self._start = replace(self._start, centre=group[0]._start.centre)
        self.record = self._start

    @property
    def mu(self) -> float:
        """``log(dilation)`` at the window's centre."""
        return self.record.centre

    @mu.setter
    def mu(self, value: float) -> None:
        self.record = replace(self.record, centre=value)

    @property
    def rate(self) -> int:
        """The dilation while the window is closed."""
        record = self.record
        return round(record.value if record.ended else record.rest) or self.original

    def advance(self, progress: float) -> None:
        """Open, move, narrow or close the window for this share of the training."""
        self._advance_search(progress / self.schedule.fraction)

    def nearest_option(self) -> int:
        """The option nearest to the window's centre, in log-units."""
        centre = self.record.centre
        return min(self.method.rates, key=lambda rate: abs(math.log(rate) - centre))

    def window(self) -> list[float]:
        """Every option's share of the images, summing to 1; of the fixed dilation alone while the window is closed."""
        if not self.searching:
            return [float(rate == self.rate) for rate in self.method.rates]
        by_pair = dict(zip(*self._pairs(), strict=True))
        # An image drawn between two options counts half for either: it lies on average midway.
        return [(by_pair.get(at - 1, 0.0) + by_pair.get(at, 0.0)) / 2 for at in range(len(self.method.rates))]

    def forward(self, input: Tensor) -> Tensor:
        """Images of several dilations while searching, a plain dilated convolution before and after; (N, C, H, W)."""
        if self.training:
            self._check_told()
        if not self.searching:
            return self._dilated(input, self.rate)
        if not self.training:
            return self._dilated(input, self.nearest_option())
        if torch.compiler.is_compiling():
            searched: Tensor = outside_graphs.call(self._searched, input)
            return searched
        return self._searched(input)

    def _searched(self, input: Tensor) -> Tensor:
        """Every image at a dilation that is drawn for it."""
        lower, blend = self._draw(len(input))
        blend = blend.to(input.device).requires_grad_(torch.is_grad_enabled())
        if blend.requires_grad:
            self._drawn.append((lower, blend))
        return blended_dilated_conv2d(input, self.kernel(), self.bias, lower, blend, self.method.rates, self.groups)

    def values(self) -> dict[str, float]:
        """The dilation: the window's centre while searching, the fixed option otherwise."""
        return {"dilation": math.exp(self.mu) if self.searching else float(self.rate)}

    def search_state(self) -> SearchState | None:
        """The window and the profile, while searching."""
        if not self.searching:
            return None
        return SearchState(tuple(self.method.rates), tuple(self.window()), tuple(self.losses()))

    def receptive_field_form(self) -> Callable[..., Tensor]:
        """A convolution of the current, possibly fractional, dilation."""
        dilation = self.values()["dilation"]
        channels, kernel = self.out_channels, list(self.kernel_size)
        return lambda input: real_dilated_conv2d(input, channels, kernel, [dilation, dilation])

    def frozen(self) -> nn.Module:
        """A plain convolution of the fixed dilation, or of the option nearest to the centre while searching."""
        rate = self.nearest_option() if self.searching else self.rate
        return plain_convolution(self, self.kernel(), self.bias, (rate, rate))

    def _within(self, rate: float) -> float:
        """The logarithm of ``rate``, brought within the options."""
        return math.log(min(max(rate, self.method.rates[0]), self.method.rates[-1]))

    def _dilated(self, input: Tensor, rate: int) -> Tensor:
        padding = (rate * (self.kernel_size[0] // 2), rate * (self.kernel_size[1] // 2))
        return functional.conv2d(input, self.kernel(), self.bias, 1, padding, rate, self.groups)

    def _pairs(self) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """The pairs of neighbouring options that are drawn, by the lower one's index, and how probable each is."""
        return _drawn_pairs(self._logs, self.mu, self.sigma, self.method.threshold)

    def _draw(self, n_images: int) -> tuple[list[int], Tensor]:
        """For every image the lower option's index and the upper one's share; spread evenly over the window."""
        pairs, probabilities = self._pairs()
        edges = torch.tensor([0.0, *probabilities], dtype=torch.float64).cumsum(0)
        # One draw in each of n equal strata, in random order: fewer repeats, so a less noisy profile a step.
        drawn = (torch.randperm(n_images) + torch.rand(n_images, dtype=torch.float64)) / n_images
        at = (torch.searchsorted(edges, drawn, right=True) - 1).clamp(0, len(pairs) - 1)
        blend = ((drawn - edges[at]) / (edges[at + 1] - edges[at])).clamp(0, 1)
        return [pairs[index] for index in at.tolist()], blend.float()

    def _differences(self, drawn: Any, variable: Tensor) -> tuple[Sequence[int], Tensor]:
        assert variable.grad is not None
        # The loss is a mean over images: an image's own is as many times larger.
        return drawn, variable.grad.double() * len(drawn)

    def _centre_on(self, option: int) -> None:
        self.mu = self._logs[option]

    def _settled(self, record: Record) -> Record:
        searched = record.phase is Phase.SEARCHING or len(self.method.rates) == 1
        return replace(record, value=self.nearest_option() if searched else self.rate)

    def _restart(self, record: Record) -> Record:
        return replace(self._start, centre=self._within(self.rate), rest=self.rate)

    def _record_of_first_version(self, state: Mapping[str, Tensor]) -> Record:
        sigma, rate, mu, progress = state["window_state"].double().tolist()
        profile, begun = self._profile_before(state), sigma > 0
        ended = not begun and (progress > 0 or rate != self.original)
        return Record(begun or ended, ended, mu, rate, progress=progress, heard=-1, profile=profile)


@lru_cache(maxsize=256)
def _drawn_pairs(
    logs: tuple[float, ...], mu: float, sigma: float, threshold: float
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The pairs whose share of the window reaches the threshold, as the most probable one always does; the shares."""
    every = tuple(range(len(logs) - 1))
    pairs = _kept(every, _probabilities(logs, every, mu, sigma), threshold)
    return pairs, tuple(_probabilities(logs, pairs, mu, sigma))


def _probabilities(logs: Sequence[float], pairs: Sequence[int], mu: float, sigma: float) -> list[float]:
    """How probable each pair of neighbouring options is, by the window's height at the middle of the two."""
    middles = [(low + high) / 2 for low, high in pairwise(logs)]
    heights = [-((middles[pair] - mu) ** 2) / (2 * sigma**2) for pair in pairs]
    return torch.softmax(torch.tensor(heights, dtype=torch.float64), 0).tolist()


def _kept(pairs: Sequence[int], probabilities: Sequence[float], threshold: float) -> tuple[int, ...]:
    limit = min(threshold, max(probabilities))
    return tuple(pair for pair, probability in zip(pairs, probabilities, strict=True) if probability >= limit)
