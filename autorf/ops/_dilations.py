"""What may be a dilation."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from numbers import Integral

from autorf.errors import InputError

LARGEST = 2**16
"""Beyond any map, and small enough for positions in int32."""


def whole_rates(rates: Sequence[int]) -> tuple[int, ...]:
    """``rates`` as Python's own integers, of whatever library they are; ``InputError`` unless they increase from 1."""
    values = list(rates) if isinstance(rates, Iterable) else []
    whole = [int(rate) for rate in values if is_dilation(rate)]
    if not whole or len(whole) < len(values) or any(b <= a for a, b in pairwise(whole)):
        raise InputError(f"rates must be increasing positive integers up to {LARGEST}, got {rates}")
    return tuple(whole)


def is_dilation(value: object) -> bool:
    """Whether a value is an integer from 1 to ``LARGEST``; True is not."""
    return isinstance(value, Integral) and value is not True and 1 <= int(value) <= LARGEST
