"""Frames per second of a network: one image at a time, after a warm-up, the median of repeated runs."""

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autorf.advice.peak_memory import peak_memory
from autorf.errors import InputError, in_one_line
from autorf.running.cost import costs, deployable
from autorf.surgery.dry_run import input_channels, random_like_parameters

WARM_UP, REPEATS, SECONDS = 5, 50, 20.0
"""Runs before any is timed; runs that are timed; and no new one begins after so many seconds on a device."""

FEWEST = 3
"""Runs that are timed however long they take."""


@dataclass(frozen=True)
class Speed:
    """How fast a network is on one device, with a batch of 1.

    Attributes:
        device: ``cpu`` or ``cuda``, with the GPU's name.
        threads: that the CPU computed with; None on a GPU.
        frames_per_second: one over the median latency.
        latency_ms: the median over ``runs``.
        latency_low_ms, latency_high_ms: a tenth of the runs took less than the one, and a tenth more than the other.
        peak_memory_mb: weights and what one run needs at most beside them, in units of 2**20 bytes.
        runs: how many were timed.
    """

    device: str
    threads: int | None
    frames_per_second: float
    latency_ms: float
    latency_low_ms: float
    latency_high_ms: float
    peak_memory_mb: float
    runs: int


@dataclass(frozen=True)
class Bench:
    """What one image costs.

    Attributes:
        image_size: ``(H, W)``.
        parameters: of the network.
        flops: of convolutions and matrix products, multiplication and addition counted apart.
        devices: a :class:`Speed` each.
    """

    image_size: tuple[int, int]
    parameters: int
    flops: int
    devices: tuple[Speed, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def bench(
    model: nn.Module,
    image_size: tuple[int, int] = (512, 512),
    *,
    devices: Sequence[str] | None = None,
    threads: int | None = None,
    repeats: int = REPEATS,
    warm_up: int = WARM_UP,
) -> Bench:
    """Measure how many images a second a network segments, one at a time.

    What it learned is frozen into plain layers where it can be, as it would be deployed. Whatever else runs on the
    machine slows it.

    Args:
        model: adapted or not; unchanged by this.
        image_size: ``(H, W)`` in pixels.
        devices: ``cpu``, ``cuda``; None for the CPU, and the GPU where there is one.
        threads: of the CPU; None for as many as torch takes.
        repeats: runs that are timed at most.
        warm_up: runs before.

    Raises:
        InputError: for something that is no model, a count below 1, a device that is not there, or an image that the
            model does not take.

    Examples:
        >>> from torch import nn
        >>> measured = bench(nn.Conv2d(3, 4, 3, padding=1), (32, 32), devices=["cpu"], repeats=3)
        >>> measured.parameters, measured.flops, len(measured.devices)
        (112, 221184, 1)
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"bench: a model is a torch.nn.Module, got {type(model).__name__}")
    for name, count in (("repeats", repeats), ("warm_up", warm_up), ("threads", 1 if threads is None else threads)):
        if count < 1:
            raise InputError(f"bench: {name}: at least 1, got {count}")
    names = devices or ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for name in names:
        if name != "cpu" and not (name == "cuda" and torch.cuda.is_available()):
            raise InputError(
                f"bench: device {name}: this machine has {'cpu, cuda' if torch.cuda.is_available() else 'cpu'}"
            )
    with cpu_threads(threads), torch.no_grad():
        plain = deployable(model)
        counted = _checked_costs(plain, image_size)
        speeds = tuple(_speed(plain, image_size, torch.device(name), repeats, warm_up) for name in names)
    return Bench(image_size, int(counted["parameters"]), int(counted["flops"]), speeds)


def _checked_costs(model: nn.Module, image_size: tuple[int, int]) -> dict[str, float]:
    try:
        return costs(model, image_size, torch.device("cpu"))
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        size = f"{image_size[0]}x{image_size[1]}"
        raise InputError(f"bench: the model does not take an image of {size}: {in_one_line(error, 160)}") from None


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Compute with so many CPU threads inside; None for as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _speed(model: nn.Module, image_size: tuple[int, int], device: torch.device, repeats: int, warm_up: int) -> Speed:
    model.to(device)
    image = random_like_parameters(model, (1, input_channels(model), *image_size))
    for _ in range(warm_up):
        model(image)
    taken = _timed(model, image, repeats)
    middle = statistics.median(taken)
    tenths = statistics.quantiles(taken, n=10) if len(taken) > 1 else [middle] * 9
    on_cpu = device.type == "cpu"
    return Speed(
        device="cpu" if on_cpu else f"cuda ({torch.cuda.get_device_name(device)})",
        threads=torch.get_num_threads() if on_cpu else None,
        frames_per_second=round(1000 / middle, 3),
        latency_ms=round(middle, 4),
        latency_low_ms=round(max(tenths[0], min(taken)), 4),
        latency_high_ms=round(min(tenths[-1], max(taken)), 4),
        peak_memory_mb=round(peak_memory(model, image) / 2**20, 1),
        runs=len(taken),
    )


def _timed(model: nn.Module, image: Tensor, repeats: int) -> list[float]:
    """Milliseconds of every run, the GPU's work included."""
    taken: list[float] = []
    _wait(image)
    began = time.perf_counter()
    for repeat in range(repeats):
        since = time.perf_counter()
        if repeat >= FEWEST and since - began > SECONDS:
            break
        model(image)
        _wait(image)
        taken.append(1000 * (time.perf_counter() - since))
    return taken


def _wait(image: Tensor) -> None:
    if image.is_cuda:
        torch.cuda.synchronize(image.device)
