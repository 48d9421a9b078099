"""What a search knows of the loss along its options: differences between neighbours, averaged over recent steps.

A profile is a tensor ``(4, n - 1)`` in double precision, for each pair of neighbouring options: how often it was tried;
the sum of what its upper option's loss was found to exceed its lower one's by; the sum of the squares of that; and the
sum of the squares of what each time counts now. Older steps fade from all alike, so that the first three are weighted
sums, and the last says how many equally weighted times they are worth.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

ROWS = 4
"""Numbers that are kept of a pair of options; earlier versions kept the first two."""

CERTAIN = 2.0
"""Standard errors by which an option has to lie above the lowest to be told from it: by chance one in 40 does."""


def empty(options: int) -> Tensor:
    """The profile before the first step."""
    return torch.zeros(ROWS, options - 1, dtype=torch.float64)


def widened(profile: Sequence[float]) -> tuple[float, ...]:
    """The numbers of a profile of an earlier version, with 0 for the rows it lacks: its pairs count as certain."""
    return (*profile, *[0.0] * len(profile))


def add(profile: Tensor, pairs: Sequence[int], differences: Tensor) -> None:
    """Add the differences measured of some pairs, the same one several times too.

    An exact 0 is of an image whose pixels are all ignored, or that did not reach the loss: it says nothing, and counts
    as nothing.
    """
    # A batch may hold no image that tried an option: then the list is empty, of no dtype.
    at, measured = torch.tensor(pairs, dtype=torch.long, device=profile.device), differences.to(profile)
    # Not profile[:, at] += ...: that would keep only one of several differences of the same pair.
    counted = (measured != 0).to(measured)
    for row, added in zip(profile, (counted, measured, measured.square(), counted), strict=True):
        row.index_add_(0, at, added)


def faded(profile: Tensor, passed: float) -> Tensor:
    """The profile after the share ``passed`` of the time in which older steps fade to 1 / e."""
    share = math.exp(-passed)
    # The last row holds squares of what the others' terms count.
    return profile * profile.new_tensor([share, share, share, share**2]).unsqueeze(1)


def losses(profile: Tensor) -> list[float]:
    """The loss at every option, less the loss at the first; nan where neither neighbour was ever tried."""
    # Plain numbers: a handful of options is looked at in every step, and a tensor's operations cost more than they do.
    weights, totals, *_ = profile.tolist()
    heights, tried = [0.0], [False]
    for weight, total in zip(weights, totals, strict=True):
        # A pair that was never tried counts as level, so that the profile goes on behind a gap.
        heights.append(heights[-1] + (total / weight if weight > 0 else 0.0))
        tried.append(weight > 0)
    return [
        height if before or after else math.nan
        for height, (before, after) in zip(heights, pairwise([*tried, False]), strict=True)
    ]


def variances(profile: Tensor) -> list[float]:
    """The squared standard error of the mean difference of each pair; infinite where it was tried less than twice.

    Differences of one pair are taken for independent, which those of the images of a batch are but for their weights.
    """
    errors = []
    for weight, total, squares, squared_weights in zip(*profile.tolist(), strict=True):
        if squares == 0 and weight > 0:
            # Nothing was kept of its spread, by an earlier version.
            errors.append(0.0)
            continue
        worth = weight**2 / squared_weights if squared_weights > 0 else 0.0
        spread = max(squares / weight - (total / weight) ** 2, 0.0) if weight > 0 else 0.0
        errors.append(spread / (worth - 1) if worth > 1 else math.inf)
    return errors


def alike(profile: Tensor) -> range:
    """The options around the lowest whose loss exceeds its by no more than :data:`CERTAIN` errors of that difference.

    By their indices; side by side, so that it ends at the first option that can be told apart. Empty before anything is
    known.
    """
    best = lowest(profile)
    if best is None:
        return range(0)
    heights, errors = losses(profile), variances(profile)
    low = high = best
    while low > 0 and _within_error(heights[low - 1] - heights[best], sum(errors[low - 1 : best])):
        low -= 1
    while high < len(errors) and _within_error(heights[high + 1] - heights[best], sum(errors[best : high + 1])):
        high += 1
    return range(low, high + 1)


def _within_error(difference: float, variance: float) -> bool:
    # An option that was never tried, or once, is not known to be as good as another: nan is within nothing.
    return math.isfinite(variance) and difference <= CERTAIN * math.sqrt(variance)


def lowest(profile: Tensor) -> int | None:
    """The option with the lowest known loss, the first of several; None before anything is known."""
    candidates = [(loss, option) for option, loss in enumerate(losses(profile)) if not math.isnan(loss)]
    return min(candidates)[1] if candidates else None
