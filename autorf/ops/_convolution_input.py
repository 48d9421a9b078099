"""Checks and number types that the per-pixel convolutions share."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from autorf.errors import InputError
from autorf.ops._arguments import check_tensor, whole_number


def check_convolution(name: str, input: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    """Raise ``InputError`` unless the tensors describe a stride-1 convolution with an odd kernel."""
    check_tensor(name, "input", input)
    check_tensor(name, "weight", weight)
    if bias is not None:
        check_tensor(name, "bias", bias)
    whole_number(name, "groups", groups, least=0)
    if input.dim() != 4 or not input.is_floating_point():
        raise InputError(f"{name}: input must be floating-point (N, C, H, W), got {input.dtype} {tuple(input.shape)}")
    if weight.dim() != 4 or weight.shape[2] % 2 == 0 or weight.shape[3] % 2 == 0:
        raise InputError(f"{name}: weight must be (C_out, C_in / groups, odd, odd), got shape {tuple(weight.shape)}")
    if groups < 1 or input.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise InputError(
            f"{name}: {input.shape[1]} input channels in {groups} groups do not fit a weight of {tuple(weight.shape)}; "
            f"C_in must be {weight.shape[1]} x groups and C_out divisible by groups"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise InputError(f"{name}: bias must have shape ({weight.shape[0]},), got {tuple(bias.shape)}")


def check_map(name: str, what: str, value: Tensor, channels: int, input: Tensor) -> None:
    """Raise ``InputError`` unless ``value`` is a floating-point ``(N, channels, H, W)`` map that covers ``input``."""
    check_tensor(name, what, value)
    shape = (input.shape[0], channels, *input.shape[2:])
    if value.shape != shape:
        raise InputError(f"{name}: {what} must have shape {tuple(shape)} for this input, got {tuple(value.shape)}")
    if not value.is_floating_point():
        raise InputError(f"{name}: {what} must be floating-point, got {value.dtype}")


def check_alike(name: str, input: Tensor, **others: Tensor | None) -> None:
    """Raise ``InputError`` unless all tensors are on the device of ``input``."""
    for what, value in others.items():
        if value is not None and value.device != input.device:
            raise InputError(f"{name}: {what} is on {value.device} but input is on {input.device}")


def to_common_dtype(
    name: str, input: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """``input``, ``weight`` and ``bias`` in one dtype: the one of autocast where it is on, as ``conv2d`` does.

    Raises:
        InputError: for differing dtypes outside autocast.
    """
    kind = input.device.type
    if torch.is_autocast_enabled(kind) and input.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(kind)
        return input.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    for what, value in (("weight", weight), ("bias", bias)):
        if value is not None and value.dtype != input.dtype:
            raise InputError(f"{name}: {what} is {value.dtype} but input is {input.dtype}; convert one of them")
    return input, weight, bias


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """float64 for float64, float32 for the rest: half precision is too coarse for positions and long sums."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def without_autocast(input: Tensor) -> AbstractContextManager[None]:
    """A context in which operators keep the dtypes they are given."""
    kind = input.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
