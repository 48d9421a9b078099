"""The search over options that methods share: a window that narrows, and the loss's profile along the options."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from autorf.errors import InputError
from autorf.methods import loss_profile
from autorf.methods.bookkeeping import Phase, Record, decoded, encoded, n_words
from autorf.methods.modules import SearchProgress
from autorf.methods.processes import NOT_TOLD, announce, in_parallel, summed
from autorf.methods.recorded import BOOKKEEPING, Recorded


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


class OptionSearch(Recorded):
    """A module that draws among options in a window, and learns of their losses from the backward pass.

    What was drawn in forward passes is kept with the tensor whose gradient will tell of it, and taken into the profile
    before the next step. The record holds all that a resumed training needs. A search that is over stays over, however
    long a training goes on, until :meth:`search_again`.

    Attributes:
        group: the modules whose profiles are summed; this one alone unless they share one search.
    """

    own_before = ("profile", "window_state")
    group: "tuple[OptionSearch, ...]"

    def _begin_search(self, schedule: Schedule, options: Sequence[float], start: Record, device: torch.device) -> None:
        """Prepare a search whose profile, in ``start``, is that before the first step."""
        self.schedule = schedule
        self.group = (self,)
        self._drawn: list[tuple[Any, Tensor]] = []
        self._advanced_to: float | None = None
        self._keep(start, options, device)

    @property
    def searching(self) -> bool:
        """Whether the window is open: batches or images differ in their option."""
        return self.record.phase is Phase.SEARCHING

    @property
    def sigma(self) -> float:
        """The window's standard deviation in log-units; 0 while nothing is searched."""
        record = self.record
        return self.schedule.sigma(record.progress) if record.phase is Phase.SEARCHING else 0.0

    @property
    def profile(self) -> Tensor:
        """A copy of what is known of the loss, ``(4, n - 1)``; see :mod:`autorf.methods.loss_profile`."""
        return torch.tensor(self.record.profile, dtype=torch.float64).view(loss_profile.ROWS, -1)

    def search_progress(self) -> SearchProgress:
        """The phase, the share of the search that is done, and after how many steps something was heard."""
        record = self.record
        steps = None if record.heard < 0 else record.heard
        return SearchProgress(record.phase, min(record.progress, 1.0), steps, self.training)

    @property
    def searches(self) -> bool:
        """Yes."""
        return True

    def search_again(self) -> None:
        """Forget the profile and open the window anew with the next ``advance``, from where the last search ended."""
        self._drawn = []
        self.record = replace(self._restart(self.record), again=self.record.again + 1)

    def losses(self) -> list[float]:
        """What the search knows of the loss at every option, less the loss at the first; nan where it never was.

        In units of the training's loss; averaged over the recent part of the search.
        """
        return loss_profile.losses(self._profile_of_group())

    def alike(self) -> tuple[float, ...]:
        """The options whose loss the search cannot tell from the lowest, or could not when it ended.

        Side by side around the lowest, each no further above it than two standard errors of their difference; empty
        before anything is known, and where a search ended before errors were kept.
        """
        if not self.record.profile:
            return ()
        values = self._profiled_options()
        return tuple(values[at] for at in loss_profile.alike(self._profile_of_group()))

    def _advance_search(self, done: float) -> None:
        """Take in what was drawn since the last step; open, move, narrow or close the window for this share of it."""
        record = self.record
        if in_parallel() and self._advanced_to is None:
            announce()
        if record.begun and not record.ended:
            self._take_in(done)
            record = self.record
        if not record.ended:
            progress = max(done, record.progress)
            over = progress >= 1 or not record.profile
            ended = self._settled(record) if over else record
            self.record = replace(ended, begun=True, ended=over, progress=progress)
        self._advanced_to = self.record.progress

    def _pooled(self) -> "tuple[OptionSearch, ...]":
        """The modules whose profiles are summed now."""
        return self.group

    def _take_in(self, done: float) -> None:
        """Listen, and centre the window on the lowest option."""
        for module in self._pooled():
            module._listen(done)
        lowest = loss_profile.lowest(self._profile_of_group())
        # The first few steps saw few options: a centre that moved then would only follow noise.
        if self._may_move(self.record.progress) and lowest is not None:
            self._centre_on(lowest)

    def _may_move(self, done: float) -> bool:
        """Whether the window's centre may move when the share ``done`` of the search is over."""
        return done >= self.schedule.hold

    @abstractmethod
    def _profiled_options(self) -> Sequence[float]:
        """The options that the profile is of."""

    @abstractmethod
    def _centre_on(self, option: int) -> None:
        """Move the window's centre to the option of that index."""

    @abstractmethod
    def _settled(self, record: Record) -> Record:
        """``record`` with the value that the end of the search fixes."""

    @abstractmethod
    def _restart(self, record: Record) -> Record:
        """The record of a module whose search, which ended with ``record``, is about to begin anew."""

    @abstractmethod
    def _differences(self, drawn: Any, variable: Tensor) -> tuple[Sequence[int], Tensor]:
        """Pairs of options that were drawn, by the lower one's index, and what ``variable.grad`` says of each.

        That is by how much the loss of the upper one exceeds that of the lower one.
        """

    def _check_told(self) -> None:
        """Raise where another process leads a search of which this one was never told, which would hang at the end."""
        if not in_parallel():
            return
        if self._advanced_to is None and not self.record.ended:
            # What DistributedDataParallel copies from the first process does not count as written.
            self._read()
        if self.searching and self.record.progress != self._advanced_to:
            raise InputError(f"a search goes on that this process was not advanced in: {NOT_TOLD}")

    def _profile_of_group(self) -> Tensor:
        first, *others = self._pooled()
        profile = first.profile
        for module in others:
            profile += module.profile
        return profile

    def _listen(self, done: float) -> None:
        """Take in what was drawn since the last step, in all processes, and let older steps fade."""
        record = self.record
        if not record.whole:
            raise InputError(
                "a search cannot go on from an average of its states (AveragedModel with use_buffers=True): resume "
                "from the training's own state"
            )
        passed = max(done - record.progress, 0.0)
        # Every process must take part, or none: what one still has to say can wait for the next step.
        if passed == 0 and (in_parallel() or not self._drawn):
            return
        # What was drawn is dropped with it, so that every forward pass counts once.
        profile, steps = self._updated(self.profile, done)
        self._drawn = []
        profile = loss_profile.faded(profile, passed / self.schedule.memory)
        listened = replace(
            record,
            profile=tuple(profile.flatten().tolist()),
            progress=max(done, record.progress),
            heard=_more(record.heard, steps),
        )
        self.record = self._going_on(listened)

    def _going_on(self, listened: Record) -> Record:
        """What the search goes on with, ``listened`` having taken in the last step: just that."""
        return listened

    def _updated(self, profile: Tensor, done: float) -> tuple[Tensor, int]:
        """The profile with what the last backward passes of all processes said, and 1 if they said anything."""
        if not in_parallel():
            steps = self._add_drawn(profile)
            return profile, steps
        newest = torch.zeros_like(profile)
        steps = self._add_drawn(newest)
        # Every process must come to the same centre.
        heard = torch.cat([newest.flatten(), newest.new_tensor([steps])])
        total = summed(heard, done, self.bookkeeping.device)
        return profile + total[:-1].view_as(profile), int(total[-1] > 0)

    def _add_drawn(self, profile: Tensor) -> int:
        steps = 0
        for drawn, variable in self._drawn:
            # Mixed precision overflows now and then and skips that step; one nan would stay in the sums for good.
            if variable.grad is not None and variable.grad.isfinite().all():
                pairs, differences = self._differences(drawn, variable)
                loss_profile.add(profile, pairs, differences)
                # Of few images none may have tried an option.
                steps = max(steps, int(len(pairs) > 0))
        return steps

    def _hear(self) -> None:
        """Take what the last backward pass said into the record before it goes elsewhere: only it is carried along.

        The next step would hear it first, and comes to the same either way.
        """
        record, profile = self.record, self.profile
        steps = self._add_drawn(profile)
        self._drawn = [(drawn, variable) for drawn, variable in self._drawn if variable.grad is None]
        if steps:
            self.record = replace(record, profile=tuple(profile.flatten().tolist()), heard=_more(record.heard, steps))

    def __getstate__(self) -> dict[str, Any]:
        # Pickled, the tensors would lose their gradients. Of several processes each has its own part to say later.
        if self._drawn and not in_parallel():
            self._hear()
        return {**super().__getstate__(), "_drawn": []}

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        if self._drawn and not in_parallel():
            self._hear()
        super()._save_to_state_dict(destination, prefix, keep_vars)

    def _loaded(self) -> None:
        super()._loaded()
        self._drawn, self._advanced_to = [], None

    def _profile_before(self, state: Mapping[str, Tensor]) -> tuple[float, ...]:
        """The profile in a state of layout 1."""
        profile = state.get("profile")
        return self._start.profile if profile is None else loss_profile.widened(profile.double().flatten().tolist())

    def upgrade_state(self, state: dict[str, Any], prefix: str) -> None:
        """Take a state too whose profile has the two rows that earlier versions kept."""
        words = state.get(prefix + BOOKKEEPING)
        if type(words) is Tensor and not words.is_meta and words.shape == (self._n_words_before(),):
            state[prefix + BOOKKEEPING] = self._with_all_rows(words, prefix.rstrip("."))
        super().upgrade_state(state, prefix)

    def _n_words_before(self) -> int:
        narrow = self._start.profile[: len(self._start.profile) // 2]
        # One option alone has no profile, and the words that it always had.
        return n_words(replace(self._start, profile=narrow), self._options) if narrow else 0

    def _with_all_rows(self, words: Tensor, name: str) -> Tensor:
        try:
            record = decoded(words.tolist(), self._options, self._start)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        if not record.whole:
            # An average stays one: with words of its own its checksum would be right.
            return torch.cat([words, words.new_zeros(len(self.bookkeeping) - len(words))])
        widened = replace(record, profile=loss_profile.widened(record.profile))
        return torch.tensor(encoded(widened, self._options), device=words.device)


def _more(heard: int, steps: int) -> int:
    return heard + steps if heard >= 0 else heard
