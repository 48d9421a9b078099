"""The search over options that methods share: a window that narrows, and the loss's profile along the options."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autorf.methods import loss_profile
from autorf.methods.base import AdaptiveModule


@dataclass(frozen=True)
class Schedule:
    """How a search goes on.

    Attributes:
        fraction: of the training's steps that it takes.
        window: the window's standard deviation when it begins, in log-units.
        final_window: and when it ends; in between it shrinks geometrically.
        hold: the share of the search before the window's centre may move.
        memory: the share of the search over which the profile is averaged; older steps fade exponentially.
    """

    fraction: float
    window: float
    final_window: float
    hold: float
    memory: float

    def sigma(self, done: float) -> float:
        """The window's standard deviation when the share ``done`` of the search is over; 0 behind its end."""
        return self.window * (self.final_window / self.window) ** done if done < 1 else 0.0


class OptionSearch(AdaptiveModule):
    """A module that draws among options in a window, and learns of their losses from the backward pass.

    What was drawn in forward passes is kept with the tensor whose gradient will tell of it, and taken into the profile
    before the next step. Buffers hold all that a resumed training needs.

    Attributes:
        profile: see :mod:`autorf.methods.loss_profile`.
        window_state: :meth:`_state` as it was last set.
        sigma: the window's standard deviation in log-units; 0 while nothing is searched.
        group: the modules whose profiles are summed; this one alone unless they share one search.
    """

    profile: Tensor
    window_state: Tensor
    sigma: float = 0.0
    _progress: float = 0.0
    group: "tuple[OptionSearch, ...]"

    def _begin_search(self, schedule: Schedule, n_options: int, device: torch.device) -> None:
        """Prepare; :meth:`_state` must be ready to be asked."""
        self.schedule = schedule
        self.group = (self,)
        self._drawn: list[tuple[Any, Tensor]] = []
        self.register_buffer("profile", loss_profile.empty(n_options, device))
        self.register_buffer("window_state", torch.tensor(self._state(), dtype=torch.float64, device=device))

    @property
    def searching(self) -> bool:
        """Whether the window is open: batches or images differ in their option."""
        return self.sigma > 0

    def losses(self) -> list[float]:
        """What the search knows of the loss at every option, less the loss at the first; nan where it never was.

        In units of the training's loss; averaged over the recent part of the search.
        """
        return loss_profile.losses(self._profile_of_group())

    def _search(self, done: float) -> None:
        """Take in what was drawn since the last step, and centre the window on the lowest option."""
        if not self.searching:
            return
        for module in self.group:
            module._listen(done)
        lowest = loss_profile.lowest(self._profile_of_group())
        # The first few steps saw few options: a centre that moved then would only follow noise.
        if done >= self.schedule.hold and lowest is not None:
            self._centre_on(lowest)

    @abstractmethod
    def _centre_on(self, option: int) -> None:
        """Move the window's centre to the option of that index."""

    @abstractmethod
    def _state(self) -> list[float]:
        """What a resumed search must know beside the profile."""

    @abstractmethod
    def _differences(self, drawn: Any, variable: Tensor) -> tuple[Sequence[int], Tensor]:
        """Pairs of options that were drawn, by the lower one's index, and what ``variable.grad`` says of each.

        That is by how much the loss of the upper one exceeds that of the lower one.
        """

    def _note_state(self) -> None:
        self.window_state.copy_(torch.tensor(self._state(), dtype=torch.float64))

    def _profile_of_group(self) -> Tensor:
        return torch.stack([module.profile for module in self.group]).sum(0)

    def _listen(self, done: float) -> None:
        """Take in what was drawn since the last step, and let older steps fade."""
        # What was drawn is dropped with it, so that every forward pass counts once.
        updated, self._drawn = self._updated_profile(), []
        loss_profile.renew(self.profile, updated, max(done - self._progress, 0.0) / self.schedule.memory)
        self._progress = max(done, self._progress)

    def _updated_profile(self) -> Tensor:
        """The profile with what the last backward passes said of what was drawn."""
        profile = self.profile.clone()
        for drawn, variable in self._drawn:
            # Mixed precision overflows now and then and skips that step; one nan would stay in the sums for good.
            if variable.grad is not None and variable.grad.isfinite().all():
                loss_profile.add(profile, *self._differences(drawn, variable))
        return profile

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self._drawn:
            # The next step would hear it first; whoever resumes has only what is saved.
            destination[f"{prefix}profile"] = self._updated_profile()
