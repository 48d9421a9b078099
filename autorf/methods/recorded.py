"""Modules whose record of the training lives in their buffers."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from autorf.errors import InputError
from autorf.methods.bookkeeping import Record, decoded, encoded, listed, milestones, with_milestones
from autorf.methods.modules import AdaptiveModule

RECORD_BUFFERS = BOOKKEEPING, MILESTONES = "bookkeeping", "milestones"
"""The buffers' names, after the module's."""

Reading = tuple[Tensor, int, Tensor, int]
"""The buffers that were read last, each with its version then."""


class Recorded(AdaptiveModule):
    """A module that remembers its training in two buffers; see :mod:`autorf.methods.bookkeeping`.

    The buffers are the truth: whatever copies, loads, averages, broadcasts or pickles a module's tensors carries the
    record. What ``forward`` needs of it is read once, and again only when a buffer is another tensor, or its version
    counter says that something was written into it.
    """

    bookkeeping: Tensor
    milestones: Tensor
    _options: tuple[float, ...]
    _start: Record
    _mirror: tuple[Reading, Record]

    def _keep(self, start: Record, options: Sequence[float], device: torch.device) -> None:
        """Begin with the record ``start``, of a choice among ``options``."""
        self._options, self._start = tuple(float(option) for option in options), start
        self.register_buffer(BOOKKEEPING, torch.tensor(encoded(start, self._options), device=device))
        self.register_buffer(MILESTONES, torch.tensor(milestones(start), device=device, dtype=torch.float32))
        self._mirror = (self._reading(), start)

    def _reading(self) -> Reading:
        words, numbers = self._buffers[BOOKKEEPING], self._buffers[MILESTONES]
        assert words is not None
        assert numbers is not None
        return words, _version(words), numbers, _version(numbers)

    @property
    def record(self) -> Record:
        """What the buffers say."""
        reading, record = self._mirror
        # A compiler would take each version for another program; it sees what was read when a mode or state was set.
        if torch.compiler.is_compiling():
            return record
        words, version, numbers, numbers_version = reading
        buffers = self._buffers
        if buffers[BOOKKEEPING] is not words or buffers[MILESTONES] is not numbers:
            return self._read()
        return record if version == _version(words) and numbers_version == _version(numbers) else self._read()

    @record.setter
    def record(self, record: Record) -> None:
        # Most steps change a part of the record only; to write it is what costs.
        before = self.record
        if record == before:
            return
        with torch.no_grad():
            self.bookkeeping.copy_(torch.tensor(encoded(record, self._options)))
            if not record.whole or milestones(record) != milestones(before):
                self.milestones.copy_(torch.tensor(milestones(record)))
        self._mirror = (self._reading(), record)

    def _read(self) -> Record:
        words, numbers = self.bookkeeping, self.milestones
        # Neither a tensor without values nor one of a tracer can be read.
        if any(type(buffer) is not Tensor or buffer.is_meta for buffer in (words, numbers)):
            return self._mirror[1]
        try:
            record = decoded(words.tolist(), self._options, self._start)
            record = with_milestones(record, numbers.tolist(), self._start)
        except InputError as error:
            raise InputError(f"{type(self).__name__}: {error}") from None
        self._mirror = (self._reading(), record)
        return record

    def train(self, mode: bool = True) -> Self:
        """Set the mode, and read the record: a compiled ``forward`` does not."""
        if MILESTONES in self._buffers:
            # Whatever the version says: writing by way of Tensor.data does not count.
            self._read()
        return super().train(mode)

    @abstractmethod
    def _record_of_first_version(self, state: Mapping[str, Tensor]) -> Record:
        """The record in a state of layout 1, whose entries go by their names in this module."""

    def upgrade_state(self, state: dict[str, Any], prefix: str) -> None:
        """Turn entries of layout 1 into the present one's; raise ``InputError`` unless they are of this module."""
        before = {name: state[prefix + name] for name in (*self.own, *self.own_before) if prefix + name in state}
        if before and BOOKKEEPING not in before:
            record = self._record_of_first_version(before)
            state[prefix + BOOKKEEPING] = torch.tensor(encoded(record, self._options))
            for name in self.own_before:
                state.pop(prefix + name, None)
        if prefix + BOOKKEEPING in state:
            record = self._checked(state[prefix + BOOKKEEPING], prefix.rstrip("."))
            if prefix + MILESTONES not in state:
                state[prefix + MILESTONES] = torch.tensor(milestones(record))

    own_before: tuple[str, ...] = ()
    """Names of buffers that layout 1 had and this one has not."""

    def _checked(self, words: Tensor, name: str) -> Record:
        """The record in ``words``; the first one where they cannot be read.

        Raises:
            InputError: unless they are a record of this module.
        """
        if type(words) is not Tensor or words.is_meta:
            return self._start
        if words.shape != self.bookkeeping.shape or words.is_floating_point():
            raise InputError(
                f"{name}: its state is of another choice than the model's, which is among {listed(self._options)}: it "
                f"has {words.numel()} numbers instead of {self.bookkeeping.numel()}"
            )
        try:
            return decoded(words.tolist(), self._options, self._start)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None

    def _loaded(self) -> None:
        _ = self.record


def _version(tensor: Tensor) -> int:
    """How often a tensor was written to; tensors of inference mode do not count."""
    return -1 if tensor.is_inference() else tensor._version
