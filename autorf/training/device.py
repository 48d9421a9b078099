"""What a trial does on its device: in which precision it computes, whether it compiles, how it receives its batches."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from threading import RLock
from typing import Any, Literal

import torch
from torch import Tensor, nn

Precision = Literal["32", "bf16", "auto"]
Computed = Literal["32", "bf16"]

_BF16_FROM = (8, 0)
"""The first compute capability whose tensor cores take bfloat16: NVIDIA's Ampere."""

_UNREAD_STEPS = 64
"""How many losses a GPU computes before the host looks at them: to look has it wait for all that is under way."""


def own_device() -> torch.device:
    """What this process trains on."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def computed_precision(precision: Precision, device: torch.device) -> Computed:
    """What ``training.precision`` comes to on a device: ``auto`` is bfloat16 where a GPU has units for it."""
    if precision != "auto":
        return precision
    has_units = device.type == "cuda" and torch.cuda.get_device_capability(device) >= _BF16_FROM
    return "bf16" if has_units else "32"


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """The context in which a step computes in ``training.precision``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=computed_precision(precision, device) == "bf16")


def compiled(network: nn.Module) -> Callable[[Tensor], Any]:
    """What is called instead of ``network``, whose parameters, buffers and hooks it has; it is compiled when called.

    Args:
        network: adapted already. It stays as it is, for whoever evaluates, saves or copies it.
    """
    # A process trains one trial after another, and a function is compiled a few times in all.
    torch.compiler.reset()
    _keep_locks_of_threads()
    # A compiler's own random numbers would be other ones: a trial answers the same whether it is compiled or not.
    call: Callable[[Tensor], Any] = torch.compile(network, options={"fallback_random": True})
    return call


def _keep_locks_of_threads() -> None:
    """Have the progress bar that torch makes in compiling, and never shows, lock threads alone: a lock of processes is
    left behind by a worker that is ended, and the interpreter warns of it."""
    with suppress(ImportError):
        from tqdm import tqdm  # type: ignore[import-untyped]

        if not hasattr(tqdm, "_lock"):
            tqdm.set_lock(RLock())


def is_of_compiler(error: BaseException) -> bool:
    """Whether an error, or what caused it, comes of compiling a network."""
    modules = {type(each).__module__.partition(".")[2].partition(".")[0] for each in _causes(error)}
    return bool(modules & {"_dynamo", "_inductor"})


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def is_fused(groups: Iterable[Mapping[str, Any]]) -> bool | None:
    """``fused`` of Adam and AdamW: one kernel a step where all parameters are on a GPU; elsewhere torch's default."""
    parameters = [parameter for group in groups for parameter in group["params"]]
    fits = all(parameter.is_cuda and parameter.is_floating_point() for parameter in parameters)
    return True if parameters and fits else None


def unread_steps(device: torch.device) -> int:
    """After how many steps the host looks whether their losses are numbers; on the CPU there is nothing to wait for."""
    return 1 if device.type == "cpu" else _UNREAD_STEPS


@lru_cache(maxsize=1)
def pins_memory() -> bool:
    """Whether batches are put into pinned memory, from which a GPU takes them while the host goes on.

    Only where there is CUDA, and the system lets memory be pinned: a container may not.
    """
    if not torch.cuda.is_available():
        return False
    try:
        torch.empty(1).pin_memory()
    except RuntimeError:
        return False
    return True
