"""What a trained network costs to run: parameters, FLOPs, latency, memory."""

import copy
import math
import resource
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from autorf.errors import InputError, SearchWarning
from autorf.surgery import freeze
from autorf.surgery.dry_run import input_channels, random_like_parameters

WARM_UP, REPEATS, SECONDS = 3, 300, 0.6
"""Runs before latency is measured; runs at most; and no new run begins after so many seconds.

Half a second outlasts most of what else a busy machine does for a moment."""


def costs(model: nn.Module, image_size: tuple[int, int], device: torch.device) -> dict[str, float]:
    """What one image costs on ``device``: the model with what it learned frozen into plain layers where it can be.

    Args:
        model: adapted or not; unchanged by this.
        image_size: ``(H, W)`` of the image; the batch is 1.
        device: the trial's.

    Returns:
        ``parameters``; ``flops`` of convolutions and matrix products, multiplication and addition counted apart, while
        interpolation and gathering are not;
        ``latency_ms``, the median of repeated runs after a warm-up; whatever else runs on the device slows them, so
        compare trials with ``executor.workers: 1`` or on devices of their own where milliseconds count.
    """
    plain = deployable(model).to(device)
    image = random_like_parameters(plain, (1, input_channels(plain), *image_size))
    with torch.no_grad():
        with FlopCounterMode(display=False, custom_mapping=_own_flops()) as counter:
            plain(image)
        return {
            "parameters": sum(parameter.numel() for parameter in plain.parameters()),
            "flops": counter.get_total_flops(),
            "latency_ms": round(_latency_ms(plain, image), 4),
        }


def _own_flops() -> dict[Any, Any]:
    """The per-pixel operators' products: those of one convolution, wherever each pixel looks."""
    import autorf.ops  # noqa: F401 - the operators exist from here on

    def products(input: Any, weight: Any, *_: Any, **__: Any) -> int:
        n, _, height, width = input
        return int(2 * n * height * width * math.prod(weight))

    operators = torch.ops.autorf
    return {operators.pixel_adaptive_conv2d.default: products, operators.scale_adaptive_conv2d.default: products}


def deployable(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode, what the model learned frozen into plain layers where it has a plain form."""
    plain = copy.deepcopy(model).eval()
    try:
        with warnings.catch_warnings():
            # Of a trial its study has said it already.
            warnings.simplefilter("ignore", SearchWarning)
            freeze(plain, unfinished=True)
    except InputError:
        # What has no plain form costs what it is now.
        return plain
    return plain


def _latency_ms(model: nn.Module, image: Tensor) -> float:
    began = time.perf_counter()
    taken: list[float] = []
    for repeat in range(WARM_UP + REPEATS):
        since = time.perf_counter()
        model(image)
        if image.is_cuda:
            torch.cuda.synchronize(image.device)
        now = time.perf_counter()
        if repeat >= WARM_UP or now - began > SECONDS:
            taken.append(now - since)
        if now - began > SECONDS:
            break
    return 1000 * statistics.median(taken)


class PeakMemory:
    """The most memory that was in use since this was made: the GPU's where there is one, else this process's."""

    def __init__(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        else:
            try:
                # Linux forgets the process's high-water mark; a worker runs one trial after another.
                Path("/proc/self/clear_refs").write_text("5")
            except OSError:
                return

    def megabytes(self) -> int:
        """In units of 2**20 bytes."""
        if torch.cuda.is_available():
            return round(torch.cuda.max_memory_allocated() / 2**20)
        try:
            return round(_kilobytes("VmHWM") / 1024)
        except (OSError, StopIteration):
            return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def resident_bytes() -> int:
    """What this process takes of the memory now; at most so far where the system does not tell."""
    try:
        return 1024 * _kilobytes("VmRSS")
    except (OSError, StopIteration):
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _kilobytes(quantity: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(quantity)).split()[1])
