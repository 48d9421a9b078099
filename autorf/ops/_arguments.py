"""What public functions say, in one line, when they are given something else than what they take."""

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autorf.errors import InputError, a_type, shown

MOST = 2**31

MOST_MEASURED = 2**32
"""Of an image that is only thought about: no pixel of it is ever made."""


def check_module(function: str, model: Any) -> None:
    """Raise ``InputError`` unless ``model`` is a module whose parts can be looked at and changed.

    Args:
        function: that was called, for the message.
        model: what it was given.
    """
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise InputError(f"{function} takes a torch.nn.Module that is not compiled by torch.jit, got {kind_of(model)}")


def check_tensor(function: str, name: str, value: Any, dims: int | None = None) -> None:
    """Raise ``InputError`` unless ``value`` is a dense tensor, of ``dims`` dimensions where these are given."""
    if not isinstance(value, Tensor):
        raise InputError(f"{function}: {name} must be a tensor, got {kind_of(value)}")
    if value.layout is not torch.strided or value.is_quantized:
        raise InputError(f"{function}: {name} must be a dense tensor that is not quantised, got {value.dtype}")
    if dims is not None and value.dim() != dims:
        raise InputError(f"{function}: {name} must have {dims} dimensions, got shape {tuple(value.shape)}")


def check_values(function: str, name: str, tensors: Iterable[Tensor]) -> None:
    """Raise ``InputError`` where ``tensors`` have shapes alone, as on the meta device, and their values are needed."""
    if any(tensor.is_meta for tensor in tensors):
        raise InputError(f"{function}: {name} is on the meta device and has no values; give it some, on a CPU or GPU")


def check_path(function: str, name: str, value: Any) -> None:
    """Raise ``InputError`` unless ``value`` names a file or folder."""
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise InputError(f"{function}: {name} must be a path, got {shown(value)}")


def whole_number(function: str, name: str, value: Any, least: int = 1, most: int = MOST) -> int:
    """``value`` as Python's own integer, of whatever library it is.

    Raises:
        InputError: unless it is a whole number from ``least`` to ``most``; True is none.
    """
    if not _is_whole(value) or not least <= int(value) <= most:
        raise InputError(f"{function}: {name} must be a whole number from {least} to {most}, got {shown(value)}")
    return int(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and value is not True and value is not False


def positive_number(function: str, name: str, value: Any, *, zero: bool = False) -> float:
    """``value`` as a float.

    Raises:
        InputError: unless it is a finite number above 0, or 0 itself where ``zero``; True is none.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    number = float(value) if is_number and abs(value) < 1e300 else math.nan
    if not (number > 0 or (zero and number == 0)):
        least = "at least 0" if zero else "positive"
        raise InputError(f"{function}: {name} must be {least}, got {shown(value)}")
    return number


def image_sides(function: str, image_size: Any) -> tuple[int, int]:
    """``(height, width)`` of an image that is given so, or by one side.

    Raises:
        InputError: unless the sides are positive whole numbers, of at most :data:`MOST_MEASURED` pixels together.
    """
    sides = image_size if isinstance(image_size, Sequence) else (image_size, image_size)
    whole = [int(side) for side in sides if _is_whole(side) and int(side) > 0]
    if len(whole) != 2 or len(sides) != 2 or isinstance(image_size, str | bytes) or math.prod(whole) > MOST_MEASURED:
        raise InputError(
            f"{function}: image_size must be a positive side or (height, width) in pixels, at most {MOST_MEASURED} "
            f"pixels in all, got {shown(image_size)}"
        )
    return whole[0], whole[1]


def kind_of(value: Any) -> str:
    """What a value is, in a few words."""
    if isinstance(value, torch.jit.ScriptModule):
        return "a module compiled by torch.jit"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return "None" if value is None else a_type(value)
