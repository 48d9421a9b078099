"""The size that pictures are brought to for a first search."""

from collections.abc import Sequence
from statistics import median

from autorf.advice.samples import Size, usual_size

LARGEST_SIDE = 512
"""Pixels: a first search should take hours, not days."""

STEP = 32
"""Pixels: the coarsest stride of common networks divides such sides."""


def chosen_size(sizes: Sequence[Size]) -> Size:
    """Height and width in pixels for pictures of ``sizes``: of their usual shape, in steps of 32, at most 512.

    >>> chosen_size([(360, 480)]), chosen_size([(3000, 2000)] * 3 + [(20, 20)]), chosen_size([(20, 20)])
    ((352, 480), (512, 352), (32, 32))
    """
    height, width = usual_size(sizes)
    if sizes.count((height, width)) * 2 < len(sizes):
        # Hardly two are alike: those in the middle stand for all.
        height, width = round(median(size[0] for size in sizes)), round(median(size[1] for size in sizes))
    scale = min(1.0, LARGEST_SIDE / max(height, width))
    return _stepped(height * scale), _stepped(width * scale)


def _stepped(side: float) -> int:
    return max(STEP, round(side / STEP) * STEP)
