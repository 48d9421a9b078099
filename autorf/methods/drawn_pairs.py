"""Which pairs of neighbouring options a Gaussian window draws, and how often each."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import torch


@lru_cache(maxsize=256)
def drawn_pairs(
    logs: tuple[float, ...], mu: float, sigma: float, threshold: float
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The pairs whose share of the window reaches the threshold, as the most probable one always does; the shares.

    Args:
        logs: the options' logarithms, increasing.
        mu: the window's centre.
        sigma: its standard deviation.
        threshold: the least share that is drawn.

    Returns:
        The pairs, by the lower option's index, and their shares, which sum to 1.
    """
    every = tuple(range(len(logs) - 1))
    pairs = _kept(every, _probabilities(logs, every, mu, sigma), threshold)
    return pairs, tuple(_probabilities(logs, pairs, mu, sigma))


def _probabilities(logs: Sequence[float], pairs: Sequence[int], mu: float, sigma: float) -> list[float]:
    """How probable each pair of neighbouring options is, by the window's height at the middle of the two."""
    middles = [(low + high) / 2 for low, high in pairwise(logs)]
    heights = [-((middles[pair] - mu) ** 2) / (2 * sigma**2) for pair in pairs]
    return torch.softmax(torch.tensor(heights, dtype=torch.float64), 0).tolist()


def _kept(pairs: Sequence[int], probabilities: Sequence[float], threshold: float) -> tuple[int, ...]:
    limit = min(threshold, max(probabilities))
    return tuple(pair for pair, probability in zip(pairs, probabilities, strict=True) if probability >= limit)
