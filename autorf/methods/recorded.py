"""Modules whose record of the training lives in a buffer."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from autorf.errors import InputError
from autorf.methods.bookkeeping import Record, decoded, encoded, listed
from autorf.methods.modules import AdaptiveModule

BUFFER = "bookkeeping"
"""The buffer's name, after the module's."""


class Recorded(AdaptiveModule):
    """A module that remembers its training in the buffer ``bookkeeping``; see :mod:`autorf.methods.bookkeeping`.

    The buffer is the truth: whatever copies, loads, averages, broadcasts or pickles a module's tensors carries the
    record. What ``forward`` needs of it is read once, and again only when the buffer is another tensor, or its version
    counter says that something was written into it.
    """

    bookkeeping: Tensor
    _options: tuple[float, ...]
    _start: Record
    _mirror: tuple[Tensor, int, Record]

    def _keep(self, start: Record, options: Sequence[float], device: torch.device) -> None:
        """Begin with the record ``start``, of a choice among ``options``."""
        self._options, self._start = tuple(float(option) for option in options), start
        words = torch.tensor(encoded(start, self._options), device=device)
        self.register_buffer(BUFFER, words)
        self._mirror = (words, _version(words), start)

    @property
    def record(self) -> Record:
        """What the buffer says."""
        # A compiler would take each version for another program; it sees what was read when a mode or state was set.
        if torch.compiler.is_compiling():
            return self._mirror[2]
        tensor, version, record = self._mirror
        if self._buffers[BUFFER] is tensor and version == _version(tensor):
            return record
        return self._read()

    @record.setter
    def record(self, record: Record) -> None:
        # Most steps change a part of the record only; to write it is what costs.
        if record == self.record:
            return
        buffer = self.bookkeeping
        with torch.no_grad():
            buffer.copy_(torch.tensor(encoded(record, self._options)))
        self._mirror = (buffer, _version(buffer), record)

    def _read(self) -> Record:
        buffer = self.bookkeeping
        # Neither a tensor without values nor one of a tracer can be read.
        if type(buffer) is not Tensor or buffer.is_meta:
            return self._mirror[2]
        try:
            record = decoded(buffer.tolist(), self._options, self._start)
        except InputError as error:
            raise InputError(f"{type(self).__name__}: {error}") from None
        self._mirror = (buffer, _version(buffer), record)
        return record

    def train(self, mode: bool = True) -> Self:
        """Set the mode, and read the record: a compiled ``forward`` does not."""
        if BUFFER in self._buffers:
            # Whatever the version says: writing by way of Tensor.data does not count.
            self._read()
        return super().train(mode)

    @abstractmethod
    def _record_of_first_version(self, state: Mapping[str, Tensor]) -> Record:
        """The record in a state of layout 1, whose entries go by their names in this module."""

    def upgrade_state(self, state: dict[str, Any], prefix: str) -> None:
        """Turn entries of layout 1 into the present one's; raise ``InputError`` unless they are of this module."""
        before = {name: state[prefix + name] for name in (*self.own, *self.own_before) if prefix + name in state}
        if before and BUFFER not in before:
            record = self._record_of_first_version(before)
            state[prefix + BUFFER] = torch.tensor(encoded(record, self._options))
            for name in self.own_before:
                state.pop(prefix + name, None)
        if prefix + BUFFER in state:
            self._check(state[prefix + BUFFER], prefix.rstrip("."))

    own_before: tuple[str, ...] = ()
    """Names of buffers that layout 1 had and this one has not."""

    def _check(self, words: Tensor, name: str) -> None:
        """Raise unless ``words`` are a record of this module."""
        if type(words) is not Tensor or words.is_meta:
            return
        if words.shape != self.bookkeeping.shape or words.is_floating_point():
            raise InputError(
                f"{name}: its state is of another choice than the model's, which is among {listed(self._options)}: it "
                f"has {words.numel()} numbers instead of {self.bookkeeping.numel()}"
            )
        try:
            decoded(words.tolist(), self._options, self._start)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None

    def _loaded(self) -> None:
        _ = self.record


def _version(tensor: Tensor) -> int:
    """How often a tensor was written to; tensors of inference mode do not count."""
    return -1 if tensor.is_inference() else tensor._version
