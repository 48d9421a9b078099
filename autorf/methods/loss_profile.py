"""What a search knows of the loss along its options: differences between neighbours, averaged over recent steps.

A profile is a tensor ``(2, n - 1)`` in double precision: for each pair of neighbouring options how often it was tried,
and the sum of what its upper option's loss was found to exceed its lower one's by. Older steps fade from both alike.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor


def empty(options: int) -> Tensor:
    """The profile before the first step."""
    return torch.zeros(2, options - 1, dtype=torch.float64)


def add(profile: Tensor, pairs: Sequence[int], differences: Tensor) -> None:
    """Add the differences measured of some pairs, the same one several times too.

    An exact 0 is of an image whose pixels are all ignored, or that did not reach the loss: it says nothing, and counts
    as nothing.
    """
    at, measured = torch.tensor(pairs, device=profile.device), differences.to(profile)
    # Not profile[:, at] += ...: that would keep only one of several differences of the same pair.
    profile[0].index_add_(0, at, (measured != 0).to(measured))
    profile[1].index_add_(0, at, measured)


def faded(profile: Tensor, passed: float) -> Tensor:
    """The profile after the share ``passed`` of the time in which older steps fade to 1 / e."""
    return profile * math.exp(-passed)


def losses(profile: Tensor) -> list[float]:
    """The loss at every option, less the loss at the first; nan where neither neighbour was ever tried."""
    # Plain numbers: a handful of options is looked at in every step, and a tensor's operations cost more than they do.
    weights, totals = profile.tolist()
    heights, tried = [0.0], [False]
    for weight, total in zip(weights, totals, strict=True):
        # A pair that was never tried counts as level, so that the profile goes on behind a gap.
        heights.append(heights[-1] + (total / weight if weight > 0 else 0.0))
        tried.append(weight > 0)
    return [
        height if before or after else math.nan
        for height, (before, after) in zip(heights, pairwise([*tried, False]), strict=True)
    ]


def lowest(profile: Tensor) -> int | None:
    """The option with the lowest known loss, the first of several; None before anything is known."""
    candidates = [(loss, option) for option, loss in enumerate(losses(profile)) if not math.isnan(loss)]
    return min(candidates)[1] if candidates else None
