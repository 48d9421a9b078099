"""The layer of ``learned_dilation``: images of several dilations while it searches, then a plain convolution."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.errors import InputError
from autorf.methods import loss_profile, outside_graphs
from autorf.methods.bookkeeping import Phase, Record
from autorf.methods.convolutions import plain_convolution
from autorf.methods.drawn_pairs import drawn_pairs
from autorf.methods.joint_draws import JointDraws, evenly_spread
from autorf.methods.modules import AdaptiveConv2d, SearchState
from autorf.methods.option_search import OptionSearch, Schedule
from autorf.methods.recorded import RECORD_BUFFERS
from autorf.ops.blended_dilation import blended_dilated_conv2d
from autorf.ops.capture import real_dilated_conv2d

if TYPE_CHECKING:
    from autorf.methods.learned_dilation import LearnedDilation

TOGETHER = {"same_option": math.inf, "then_each": 0.5, "then_neighbours": 0.5}
"""For what share of the search an image has one option in all layers, which search one dilation as long."""


class LearnedDilationConv2d(OptionSearch, AdaptiveConv2d):
    """A convolution whose dilation is searched during the first part of a training.

    Before :meth:`advance` is first called it is the plain convolution of its original dilation, bit for bit. While it
    is searching, in evaluation mode, it is the plain convolution of the option nearest to the window's centre.

    Attributes:
        original: the dilation of the layer it replaces.
        group: the layers that have one dilation from the first step to the last; the layer alone unless they share it.
        companions: all layers of the method, where they share or draw together; the layer alone elsewhere.
    """

    own = RECORD_BUFFERS

    def __init__(self, layer: nn.Conv2d, method: "LearnedDilation", original: int) -> None:
        super().__init__(layer)
        self.method, self.original = method, original
        self.companions: tuple[LearnedDilationConv2d, ...] = (self,)
        self.at = 0
        self.draws: JointDraws | None = None
        self._logs = tuple(math.log(rate) for rate in method.rates)
        schedule = Schedule(method.search, method.window, method.final_window, method.hold, method.memory)
        profile = tuple(loss_profile.empty(len(method.rates)).flatten().tolist())
        start = Record(centre=self._within(method.start or original), profile=profile)
        self._begin_search(schedule, method.rates, start, layer.weight.device)

    def join(self, companions: "tuple[LearnedDilationConv2d, ...]", at: int, draws: JointDraws | None) -> None:
        """Share a search, as the method says, with ``companions``, of which this layer is the one at index ``at``.

        Args:
            companions: all layers of the method, this one too.
            at: its index.
            draws: what they draw together; None where each draws by itself.
        """
        self.at, self.draws = at, draws
        if draws is not None or self.method.one_dilation:
            # Not otherwise: a copy of a layer copies its companions.
            self.companions = companions
        if self.method.one_dilation:
            self.group = companions
        if self.method.one_dilation or self.method.shared in TOGETHER:
            # One dilation for all, at least at first: each begins where the first layer does.
            self._start = replace(self._start, centre=companions[0]._start.centre)
            self.record = self._start

    @property
    def together(self) -> bool:
        """Whether an image has the same option in all layers now, which search one dilation."""
        return self.record.progress < self._together_until

    @property
    def _together_until(self) -> float:
        return TOGETHER.get(str(self.method.shared), 0.0) if len(self.companions) > 1 else 0.0

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
        """Every image at a dilation that is drawn for it, or at the current choice."""
        heard, blend = self._draw(len(input))
        blend = blend.to(input.device).requires_grad_(torch.is_grad_enabled())
        if blend.requires_grad:
            self._drawn.append((heard, blend))
        pairs = [pair for pair in heard if pair is not None]
        if len(pairs) == len(heard):
            return self._blended(input, pairs, blend)
        explored, others = (
            torch.tensor([at for at, pair in enumerate(heard) if (pair is None) == rests], device=input.device)
            for rests in (False, True)
        )
        # An image at the current choice needs one convolution, where one between two options needs both.
        at_choice = self._dilated(input[others], self.nearest_option())
        output = at_choice.new_zeros(len(input), *at_choice.shape[1:]).index_add_(0, others, at_choice)
        return output.index_add_(0, explored, self._blended(input[explored], pairs, blend)) if pairs else output

    def _blended(self, input: Tensor, lower: Sequence[int], blend: Tensor) -> Tensor:
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
        return drawn_pairs(self._logs, self.mu, self.sigma, self.method.threshold)

    def _draw(self, n_images: int) -> tuple[Sequence[int | None], Tensor]:
        """For every image its pair of options, by the lower one's index, or None; the upper one's share where drawn."""
        if self.draws is None:
            return self._spread(evenly_spread(n_images))
        if getattr(self, "_is_replica", False):
            raise InputError(
                "learned_dilation: layers that draw together, or explore with a share of the images, need one process "
                "a replica: train with DistributedDataParallel instead of DataParallel"
            )
        draw = self.draws.take(self.at, n_images, self.method.explore)
        explores = draw.explores & (draw.layer == self.at) if self._one_at_a_time else draw.explores
        pairs, blend = self._spread(draw.place[explores] if self.together else evenly_spread(int(explores.sum())))
        heard: list[int | None] = [None] * n_images
        for image, pair in zip(explores.nonzero().flatten().tolist(), pairs, strict=True):
            heard[image] = pair
        return heard, blend

    @property
    def _one_at_a_time(self) -> bool:
        return self.method.shared == "one_at_a_time"

    def _spread(self, places: Tensor) -> tuple[list[int], Tensor]:
        """The lower option's index and the upper one's share at ``places`` in the window, each in [0, 1)."""
        pairs, probabilities = self._pairs()
        edges = torch.tensor([0.0, *probabilities], dtype=torch.float64, device=places.device).cumsum(0)
        at = (torch.searchsorted(edges, places, right=True) - 1).clamp(0, len(pairs) - 1)
        blend = ((places - edges[at]) / (edges[at + 1] - edges[at])).clamp(0, 1)
        return [pairs[index] for index in at.tolist()], blend.float()

    def _differences(self, drawn: Any, variable: Tensor) -> tuple[Sequence[int], Tensor]:
        assert variable.grad is not None
        # The loss is a mean over images: an image's own is as many times larger.
        return [pair for pair in drawn if pair is not None], variable.grad.double() * len(drawn)

    def _profiled_options(self) -> Sequence[float]:
        return self.method.rates

    def _pooled(self) -> tuple[OptionSearch, ...]:
        return self.companions if self.together else self.group

    def _may_move(self, done: float) -> bool:
        # What is heard begins anew where each layer goes on by itself.
        begun = self._together_until if done >= self._together_until else 0.0
        return done - begun >= self.schedule.hold

    def _going_on(self, listened: Record) -> Record:
        if not (self.together and listened.progress >= self._together_until):
            return listened
        # From here on each goes its own way, from a common option: what was heard until now was of that of all layers.
        return replace(listened, value=self.nearest_option(), profile=self._start.profile)

    def _centre_on(self, option: int) -> None:
        self.mu = self._logs[self._within_reach(option)]

    def _within_reach(self, option: int) -> int:
        """The option of that index, or the nearest to it that the layer may leave the common one for."""
        if self.method.shared != "then_neighbours" or self.together or not self.record.value:
            return option
        common = self.method.rates.index(round(self.record.value))
        return min(max(option, common - 1), common + 1)

    def _settled(self, record: Record) -> Record:
        if record.phase is not Phase.SEARCHING and len(self.method.rates) > 1:
            return replace(record, value=self.rate)
        return replace(record, value=self._preferred())

    def _preferred(self) -> int:
        """The option to fix: nearest to the centre, or the one preferred of those that cannot be told apart."""
        alike = loss_profile.alike(self._profile_of_group()) if len(self.method.rates) > 1 else range(0)
        if self.method.prefer == "lowest_loss" or not alike:
            return self.nearest_option()
        return self.method.rates[self._within_reach(alike[0] if self.method.prefer == "smallest" else alike[-1])]

    def _restart(self, record: Record) -> Record:
        # Layers that share a dilation, if only at first, begin at one.
        leader = self.companions[0] if self._together_until else self
        return replace(self._start, centre=self._within(leader.rate), rest=self.rate)

    def _record_of_first_version(self, state: Mapping[str, Tensor]) -> Record:
        sigma, rate, mu, progress = state["window_state"].double().tolist()
        profile, begun = self._profile_before(state), sigma > 0
        ended = not begun and (progress > 0 or rate != self.original)
        return Record(begun or ended, ended, mu, rate, progress=progress, heard=-1, profile=profile)
