"""Random numbers that depend on seed, epoch and image only, whoever draws them."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int, epoch: int, index: int) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's global generators meanwhile; then they go on as if nothing had been drawn."""
    before_python, before_numpy = random.getstate(), np.random.get_state()
    state = np.random.SeedSequence([seed, epoch, index, 1]).generate_state(1, np.uint64)
    try:
        # Only the CPU's generator is touched.
        with torch.random.fork_rng(devices=[]):
            random.seed(int(state[0]))
            np.random.seed(int(state[0] & 0xFFFFFFFF))
            torch.default_generator.manual_seed(int(state[0] >> 1))
            yield
    finally:
        random.setstate(before_python)
        np.random.set_state(before_numpy)
