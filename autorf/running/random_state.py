"""The state of the random numbers that a training draws: set from a seed, kept in a checkpoint, taken up again."""

import random
from collections.abc import Mapping
from typing import Any

import numpy
import torch


def seed_all(seed: int) -> None:
    """Begin Python's, NumPy's and torch's random numbers, on every device, from one seed."""
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)


def random_state() -> dict[str, Any]:
    """Where the random numbers are, as tensors and plain values; of CUDA's only where it is in use."""
    numbers: Any = numpy.random.get_state()
    kind, keys, *rest = numbers
    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {
        "python": random.getstate(),
        # Of 32 bits without a sign, for which torch has no tensors of its own everywhere.
        "numpy": [kind, torch.tensor(keys.astype("int64")), *rest],
        "torch": torch.get_rng_state(),
        "cuda": on_gpus,
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Go on where :func:`random_state` was; a GPU that is not there has nothing to go on with."""
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    kind, numpy_keys, *rest = state["numpy"]
    numpy.random.set_state((kind, numpy_keys.numpy().astype("uint32"), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
