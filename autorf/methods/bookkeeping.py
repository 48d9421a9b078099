"""What a module remembers of a training beside its parameters, as whole numbers in one tensor, and five others.

No cast touches whole numbers, and most averages of a model's state copy them. One averages them too
(``AveragedModel(use_buffers=True)``, which also rounds them to single precision), so the words are of two kinds:

* *lasting* words hold what evaluation needs, in fixed point. A number that does not exist from the start is written
  beside a mark that is 0 until it does; their ratio is the same in every weighted average of a training's states.
* *exact* words hold the bits of doubles, which make a resumed search the uninterrupted one. An average destroys them,
  and a checksum tells.

Other averages leave whole numbers alone, and would stay in the phase in which they were made. So the *milestones*, what
evaluation needs, stand in a tensor of floating-point numbers too; where they are of a later phase, they are right.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from autorf.errors import InputError

VERSION = 2
"""Of this layout; version 1 had plain attributes and buffers of floating-point numbers."""

ONE = 1 << 40
"""The fixed-point word for 1."""

LARGEST = float(1 << 20)
"""What a fixed-point word holds at most."""

TOLERANCE = 0.01
"""By how much, as a share, rounding may change a constant that was averaged over and over."""

LAG = 1e-3
"""By how much an average may lag behind in how often a search was begun anew, to count as of the present one."""


class Phase(StrEnum):
    """Where a search stands: not begun, under way, or over with its value fixed."""

    IDLE = "idle"
    SEARCHING = "searching"
    FIXED = "fixed"


@dataclass(frozen=True)
class Record:
    """What a module remembers.

    Attributes:
        begun: whether its training has begun.
        ended: whether its search, or the time it was held, is over.
        centre: of what is tried, such as ``log(dilation)``.
        value: that was fixed at the end.
        again: how often a search was begun anew.
        progress: the share of the search, or of a training that depends on it, that is done.
        heard: after how many steps something was learned of the options; negative where nobody counted.
        rest: the value while nothing is searched, 0 for the module's original one.
        profile: what is known of the options, see :mod:`autorf.methods.loss_profile`.
        whole: whether it is as it was written, and not an average of several.
    """

    begun: bool = False
    ended: bool = False
    centre: float = 0.0
    value: float = 0.0
    again: int = 0
    progress: float = 0.0
    heard: int = 0
    rest: float = 0.0
    profile: tuple[float, ...] = ()
    whole: bool = True

    @property
    def phase(self) -> Phase:
        """The phase that ``begun`` and ``ended`` say."""
        if self.ended:
            return Phase.FIXED
        return Phase.SEARCHING if self.begun else Phase.IDLE


def encoded(record: Record, options: Sequence[float]) -> list[int]:
    """The words of ``record``, of a module that chooses among ``options``."""
    lasting = _fixed_points((VERSION, record.again, *options, *_marked(record)))
    exact = _bits([record.centre, record.value, record.progress, record.heard, record.rest, *record.profile])
    return [*lasting, _checksum([*lasting, *exact]), *exact]


def decoded(words: Sequence[int], options: Sequence[float], start: Record) -> Record:
    """The record in ``words``; ``start`` is the module's first one, which an average falls back upon.

    Raises:
        InputError: for words of another version or of other options, or an average over a search that was begun anew.
    """
    n_lasting = 6 + len(options)
    numbers = [word / ONE for word in words[:n_lasting]]
    if round(numbers[0]) != VERSION:
        raise InputError(
            f"its state has layout {numbers[0]:.3g}, this autorf reads layout {VERSION}: load it with the autorf that "
            "wrote it"
        )
    exact = words[n_lasting + 1 :]
    whole = words[n_lasting] == _checksum([*words[:n_lasting], *exact])
    _check_options(numbers[2:-4], [min(option, LARGEST) for option in options], exactly=whole)
    begun, centre, ended, value = numbers[-4:]
    if whole:
        exact_centre, exact_value, progress, heard, rest, *profile = _doubles(exact)
        return Record(
            begun > 0, ended > 0, exact_centre, exact_value, round(numbers[1]), progress, int(heard), rest,
            tuple(profile),
        )  # fmt: skip
    if numbers[1]:
        raise _begun_anew()
    return _of_average((begun, centre, ended, value), start)


def milestones(record: Record) -> tuple[float, ...]:
    """What of ``record`` an average of floating-point numbers keeps; see :func:`with_milestones`."""
    return (float(record.again), *_marked(record))


def with_milestones(record: Record, numbers: Sequence[float], start: Record) -> Record:
    """``record``, or what the milestones ``numbers`` beside it say where they are of a later phase.

    They are in an average that leaves whole numbers as they were when the copy was made. ``start`` is the module's
    first record.

    Raises:
        InputError: for such an average over a search that was begun anew.
    """
    again, begun, _, ended, _ = numbers
    if again > record.again + LAG:
        raise _begun_anew()
    # In an average that copies whole numbers, milestones of the search before fade only slowly.
    least = 2 * LAG if record.again else 0.0
    is_later = (begun > least and not record.begun) or (ended > least and not record.ended)
    return _of_average(numbers[1:], start) if is_later and again > record.again - LAG else record


def _of_average(marked: Sequence[float], start: Record) -> Record:
    begun, centre, ended, value = marked
    return replace(
        start,
        begun=begun > 0,
        ended=ended > 0,
        centre=centre / begun if begun > 0 else start.centre,
        value=value / ended if ended > 0 else start.value,
        heard=-1,
        whole=False,
    )


def _marked(record: Record) -> tuple[float, ...]:
    """Numbers that do not exist from the start, each behind a mark that is 0 until it does."""
    return (float(record.begun), record.begun * record.centre, float(record.ended), record.ended * record.value)


def _begun_anew() -> InputError:
    return InputError(
        "its state is an average over a search that was begun anew: average parameters only (use_buffers=False), or "
        "make the average anew"
    )


def n_words(start: Record, options: Sequence[float]) -> int:
    """How many words a record like ``start`` takes."""
    return len(encoded(start, options))


def _check_options(state: Sequence[float], options: Sequence[float], *, exactly: bool) -> None:
    tolerance = 1e-9 if exactly else TOLERANCE
    if any(abs(ours - theirs) > tolerance * abs(ours) for ours, theirs in zip(options, state, strict=True)):
        raise InputError(f"its state is of a search among {listed(state)}, the model searches among {listed(options)}")


def listed(options: Sequence[float]) -> str:
    """Options in words."""
    return ", ".join(f"{option:.4g}" for option in options)


@lru_cache(maxsize=256)
def _fixed_points(numbers: tuple[float, ...]) -> tuple[int, ...]:
    # Most steps change nothing of them.
    return tuple(round(min(number, LARGEST) * ONE) for number in numbers)


def _bits(numbers: Sequence[float]) -> list[int]:
    return list(struct.unpack(f"<{len(numbers)}q", struct.pack(f"<{len(numbers)}d", *numbers)))


def _doubles(words: Sequence[int]) -> list[float]:
    return list(struct.unpack(f"<{len(words)}d", struct.pack(f"<{len(words)}q", *words)))


def _checksum(words: Sequence[int]) -> int:
    return zlib.crc32(struct.pack(f"<{len(words)}q", *words))
