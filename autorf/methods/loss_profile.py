"""What a search knows of the loss along its options: differences between neighbours, averaged over recent steps.

A profile is a tensor ``(2, n - 1)`` in double precision: for each pair of neighbouring options how often it was tried,
and the sum of what its upper option's loss was found to exceed its lower one's by. Older steps fade from both alike.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor


def empty(options: int, device: torch.device) -> Tensor:
    """The profile before the first step."""
    return torch.zeros(2, options - 1, dtype=torch.float64, device=device)


def add(profile: Tensor, pairs: Sequence[int], differences: Tensor) -> None:
    """Add what was found of some pairs, the same one several times too."""
    at, found = torch.tensor(pairs, device=profile.device), differences.to(profile)
    profile[0].index_add_(0, at, torch.ones_like(found))
    profile[1].index_add_(0, at, found)


def renew(profile: Tensor, heard: Tensor, passed: float) -> None:
    """Take in what all processes heard, in place, and let the whole fade.

    Args:
        profile: as it was.
        heard: the profile with this process's newest steps added.
        passed: since the last call, over the time in which older steps fade to 1 / e.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        # Every process must come to the same centre.
        heard = heard - profile
        torch.distributed.all_reduce(heard)
        heard = heard + profile
    profile.copy_(heard * math.exp(-passed))


def losses(profile: Tensor) -> list[float]:
    """The loss at every option, less the loss at the first; nan where neither neighbour was ever tried."""
    weight, total = profile
    seen = weight > 0
    differences = torch.where(seen, total / weight.where(seen, torch.ones_like(weight)), 0.0)
    heights = [0.0, *differences.cumsum(0).tolist()]
    known = [False, *seen.tolist(), False]
    return [
        height if before or after else math.nan
        for height, (before, after) in zip(heights, pairwise(known), strict=True)
    ]


def lowest(profile: Tensor) -> int | None:
    """The option with the lowest known loss, the first of several; None before anything is known."""
    known = [(loss, option) for option, loss in enumerate(losses(profile)) if loss == loss]
    return min(known)[1] if known else None
