"""What a user's own training data draws that nobody can draw again."""

from collections.abc import Iterator

import torch

from autorf.data import SegmentationSet, Splits

_READ_TWICE = 8
"""Items that are read twice; one that is flipped or not is the same both times with even odds."""


def draw_cautions(source: str, splits: Splits) -> Iterator[str]:
    """Say so where training items are others each time, although every generator that can be seeded is.

    Args:
        source: for messages.
        splits: of the study's data.
    """
    train = splits.train
    if train.draws and any(_differs(train, index) for index in range(min(_READ_TWICE, len(train)))):
        yield (
            f"{source}: data.factory: training items differ each time they are read: they draw from a "
            "generator of their own, and a resumed trial has other numbers; draw from Python's, NumPy's or torch's "
            "global one"
        )


def _differs(train: SegmentationSet, index: int) -> bool:
    first, second = train.unchanged([index]), train.unchanged([index])
    return not all(torch.equal(*pair) for pair in zip(first, second, strict=True))
