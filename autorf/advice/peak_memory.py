"""How much memory a forward pass takes: measured, and from two sizes of the image foretold for others."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from autorf.errors import InputError, shown
from autorf.fields.graph import explained
from autorf.surgery.dry_run import evaluation, random_like_parameters

Size = tuple[int, int]

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_SMALL, _LARGE = 128, 256
"""Sides near which memory is measured."""


def parse_memory(value: str | float) -> int:
    """Bytes in ``8GB``, ``512 MiB`` or a number of bytes.

    Raises:
        InputError: for anything else, or nothing.

    Examples:
        >>> parse_memory("8GB"), parse_memory("0.5 GiB"), parse_memory(1024)
        (8000000000, 536870912, 1024)
    """
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]*)\s*", str(value))
    unit = None if match is None or isinstance(value, bool) else _UNITS.get(match[2].upper())
    size = 0 if match is None or unit is None else round(float(match[1]) * unit)
    if size < 1:
        raise InputError(f"memory {shown(value)}: a number with a unit, such as 8GB, 512MB or 4GiB")
    return size


def peak_memory(model: nn.Module, image: Tensor) -> int:
    """Bytes of the weights, the image, and the most that the tensors of one forward pass take at once.

    On the CPU what the operators' own libraries take beside tensors is not counted; on a GPU it is what the allocator
    handed out at most. Whatever else is on the device counts for nothing.
    """
    return _cuda_peak(model, image) if image.is_cuda else _cpu_peak(model, image)


def _cuda_peak(model: nn.Module, image: Tensor) -> int:
    torch.cuda.reset_peak_memory_stats(image.device)
    model(image)
    torch.cuda.synchronize(image.device)
    return torch.cuda.max_memory_allocated(image.device)


def _cpu_peak(model: nn.Module, image: Tensor) -> int:
    taken = [0, *(size for _, size in allocated(lambda: model(image))[0])]
    return max(taken) + held(model) + image.numel() * image.element_size()


def allocated(run: Callable[[], object]) -> tuple[list[tuple[int, int]], list[int]]:
    """What tensors on the CPU take more than before ``run``, in bytes, after each that is made or freed while it runs.

    Returns:
        The moments in nanoseconds with those bytes; and the moments of each :data:`MARK`, on the same clock.
    """
    # The profiler's native part talks on the standard error stream.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with _native_part_quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    assert recorded.profiler is not None
    events = sorted(recorded.profiler.kineto_results.events(), key=lambda event: event.start_ns())
    taken, line = 0, list[tuple[int, int]]()
    for event in events:
        if event.name() == "[memory]":
            taken += event.nbytes()
            line.append((event.start_ns(), taken))
    return line, [event.start_ns() for event in events if event.name() == MARK]


@contextmanager
def _native_part_quiet() -> Iterator[None]:
    """Nothing on the standard error descriptor: torch writes there of each tensor that was made before and is freed."""
    try:
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:
        # There is no standard error.
        yield
        return
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


MARK = "autorf: a part begins"
"""The name of a ``torch.profiler.record_function`` that divides what :func:`allocated` records into parts."""


def held(model: nn.Module) -> int:
    """Bytes of parameters and buffers."""
    return sum(tensor.numel() * tensor.element_size() for tensor in (*model.parameters(), *model.buffers()))


@dataclass(frozen=True)
class MemoryModel:
    """Peak memory over the area of a square image: ``weights + linear * area + quadratic * area ** 2`` bytes.

    Maps grow with the area; what attends over whole maps grows with its square. What operators take beside maps grows
    with neither, so that the larger of two measurements is the better guide, and for larger images an upper bound.

    Attributes:
        weights: bytes of parameters and buffers.
        linear, quadratic: fitted to the two measurements; the second is 0 where nothing attends.
        measured: side in pixels and bytes of each.
        device: where they were taken.
    """

    weights: int
    linear: float
    quadratic: float
    measured: tuple[tuple[int, int], ...]
    device: str

    @classmethod
    def fit(
        cls, measured: Iterable[tuple[int, int]], weights: int, device: str = "cpu", *, attends: bool = False
    ) -> MemoryModel:
        """Through two measurements, sides in pixels and bytes.

        Args:
            measured: at two sizes.
            weights: bytes of parameters and buffers.
            device: where.
            attends: whether something attends over the whole map.
        """
        (small, few), (large, many) = points = tuple(measured)
        a, b = small**2, large**2
        each = [(few - weights) / a, (many - weights) / b]
        quadratic = max(0.0, (each[1] - each[0]) / (b - a)) if attends else 0.0
        return cls(weights, max(0.0, each[1] - quadratic * b), quadratic, points, device)

    def at(self, side: int) -> int:
        """Bytes that a square image of ``side`` pixels is expected to take."""
        area = side**2
        return round(self.weights + self.linear * area + self.quadratic * area**2)

    def largest(self, memory: int, multiple: int) -> int:
        """The side of the largest square that fits, a multiple of ``multiple``; 0 where none does."""
        side = multiple
        while side <= _MOST_SIDE and self.at(2 * side) <= memory:
            side *= 2
        while self.at(side + multiple) <= memory and side <= _MOST_SIDE:
            side += multiple
        return side if self.at(side) <= memory else 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        points = [{"side": side, "bytes": size} for side, size in self.measured]
        return {"device": self.device, "weights_bytes": self.weights, "measured": points}


_MOST_SIDE = 2**15


def memory_model(model: nn.Module, in_channels: int, multiple: int, *, attends: bool = False) -> MemoryModel:
    """Measure ``model`` at two sizes, multiples of ``multiple`` near 128 and 256 pixels.

    Raises:
        InputError: where the network does not take images of these sizes.
    """
    small = multiple * math.ceil(_SMALL / multiple)
    large = max(small + multiple, multiple * math.ceil(_LARGE / multiple))
    points = []
    with evaluation(model), torch.no_grad():
        for side in (small, large):
            image = random_like_parameters(model, (1, in_channels, side, side))
            try:
                # What is made once, such as a library's own arrangement of the weights, is none of an image's.
                model(image[..., :multiple, :multiple] if side == small else image)
            except Exception as error:
                raise explained(model, image.shape, error) from error
            points.append((side, peak_memory(model, image)))
    return MemoryModel.fit(points, held(model), image.device.type, attends=attends)
