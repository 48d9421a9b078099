"""An inflation factor that is searched over its whole range before it is learned from where it stands."""

import math
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import ReferenceType

import torch
from torch import Tensor

from autorf.methods import loss_profile
from autorf.methods.bookkeeping import Record
from autorf.methods.inflation import Inflation, InflationRegion, warn_of_bound
from autorf.methods.modules import SearchState
from autorf.methods.option_search import OptionSearch, Schedule
from autorf.ops.inflation import Gradient

PARTS = 16
"""Into how many parts of equal ratio the range of ``f`` is divided."""

WINDOW, FINAL_WINDOW = 3.0, 0.1
"""The window's standard deviation in ``log f`` when the search begins, and when it ends."""

HOLD, MEMORY = 0.1, 0.3
"""Fractions of the search: before the centre may move, and over which the profile is averaged."""


class SearchedInflationRegion(OptionSearch, InflationRegion):
    """A region whose ``f`` is drawn anew for every batch while it searches; see ``search`` of :class:`Inflation`."""

    def __init__(self, method: Inflation, device: torch.device, values_per_position: float = 0.0) -> None:
        super().__init__(method, device, values_per_position)
        low, high = math.log(method.low), math.log(method.high)
        self.edges = [low + (high - low) * part / PARTS for part in range(PARTS + 1)]
        self._bound = math.inf
        schedule = Schedule(method.search, WINDOW, FINAL_WINDOW, HOLD, MEMORY)
        start = Record(profile=tuple(loss_profile.empty(PARTS + 1).flatten().tolist()))
        self._begin_search(schedule, (method.low, method.high), start, device)

    def advance(self, progress: float) -> None:
        """Open, move, narrow or close the window for this share of the training; behind it ``f`` is learned."""
        self._advance_search(progress / self.schedule.fraction)
        self._keep_within_bounds()

    def search_state(self) -> SearchState | None:
        """The window over the ends of the range's parts, and the profile, while searching."""
        if not self.searching:
            return None
        ends = torch.tensor(self.edges, dtype=torch.float64)
        middles = torch.cat([ends[:1], (ends[1:] + ends[:-1]) / 2, ends[-1:]])
        below = self._below(middles)
        # The window is cut off at the range's ends; what lies outside is never drawn.
        probabilities = (below[1:] - below[:-1]) / (below[-1] - below[0])
        factors = tuple(self._profiled_options())
        return SearchState(factors, tuple(probabilities.tolist()), tuple(self.losses()))

    def _profiled_options(self) -> Sequence[float]:
        return [float(f"{math.exp(edge):.4g}") for edge in self.edges]

    def _factor(self) -> Tensor:
        if self.training:
            self._check_told()
        if not (self.searching and self.training):
            return super()._factor()
        factor = self.factor.new_tensor(math.exp(self._drawn_logarithm()))
        return self._heard(factor) if torch.is_grad_enabled() else factor

    def _again(
        self, shared: tuple[Tensor, "ReferenceType[Tensor] | None"], inwards: bool
    ) -> tuple[Tensor, "ReferenceType[Tensor] | None"]:
        if not (self.searching and self.training):
            return super()._again(shared, inwards)
        factor, labels = shared
        if inwards:
            # The random numbers behind it must be those of the forward pass.
            self._drawn_logarithm()
        if torch.is_grad_enabled() and not factor.requires_grad:
            factor = self._heard(factor)
        return factor, labels

    def _heard(self, factor: Tensor) -> Tensor:
        """``factor``, whose gradient the search will take in."""
        self._drawn.append((None, factor.requires_grad_()))
        return factor

    def _drawn_logarithm(self) -> float:
        """The logarithm of a factor within the window."""
        ends = self._below(torch.tensor([self.edges[0], max(self.edges[0], min(self.edges[-1], self._bound))]))
        at = ends[0] + (ends[1] - ends[0]) * torch.rand((), dtype=torch.float64)
        drawn = self._centre() + self.sigma * float(torch.special.ndtri(at))
        return min(max(drawn, self.edges[0]), self.edges[-1])

    def _gradient(self) -> Gradient:
        return "exact" if self.searching else super()._gradient()

    def _largest(self) -> float:
        return self.method.high if self.searching else super()._largest()

    def _limit(self, bound: float) -> None:
        if not self.searching:
            super()._limit(bound)
            return
        if bound < self.method.high and self._bound >= self.edges[-1]:
            warn_of_bound(bound)
        # Never lifted again: what was drawn would depend on what else the machine does even more.
        self._bound = min(self._bound, math.log(bound))

    def _centre(self) -> float:
        return math.log(math.sqrt(math.prod(self.pair())))

    def _below(self, at: Tensor) -> Tensor:
        """The probability that the whole Gaussian, not cut off, lies below some values of ``log f``."""
        return torch.special.ndtr((at.double() - self._centre()) / self.sigma)

    def _differences(self, drawn: Any, variable: Tensor) -> tuple[Sequence[int], Tensor]:
        assert variable.grad is not None
        width = self.edges[1] - self.edges[0]
        part = int((math.log(variable.item()) - self.edges[0]) / width)
        # Since df = f d(log f), the gradient times f is the slope along log f; times the width, the part's difference.
        return [min(max(part, 0), PARTS - 1)], (variable.grad * variable.detach() * width)[None]

    def _centre_on(self, option: int) -> None:
        with torch.no_grad():
            self.factor.fill_(math.exp(self.edges[option]))

    def _settled(self, record: Record) -> Record:
        return record

    def _restart(self, record: Record) -> Record:
        return self._start

    def _is_untrained(self) -> bool:
        return self.searching and self.training

    def _record_of_first_version(self, state: Mapping[str, Tensor]) -> Record:
        if "window_state" not in state:
            return self._start
        sigma, progress = state["window_state"].double().tolist()
        ended = sigma == 0 and progress > 0
        profile = self._profile_before(state)
        return Record(sigma > 0 or ended, ended, progress=progress, heard=-1, profile=profile)
