"""At how many seeds a study is looked at, and what chance of a false claim each look may take.

A grid is tested once, over all its seeds. The sampler ``sufficient`` stops where a test has named a field: it looks at
its first three seeds, and at all of them only where that names none. Two looks at one question take half the chance of
a false claim each (Bonferroni), so that both together keep :data:`autorf.comparison.sufficient.LEVEL`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from autorf.comparison.sufficient import LEVEL

FIRST = 3
"""Seeds of the first of two looks."""

GRID = "grid"
"""Note of a study whose grid is not trained whole: its ``configurations``, and the ``seeds`` of the first look."""


@dataclass(frozen=True)
class Look:
    """One test of the grid.

    Attributes:
        seeds: that it is over.
        level: chance of a false claim that it may take.
    """

    seeds: tuple[int, ...]
    level: float


def looks_of(seeds: Sequence[int]) -> tuple[Look, ...]:
    """The looks of the sampler ``sufficient`` at a study of these seeds, in their order.

    Example:
        >>> [(len(look.seeds), look.level) for look in looks_of([0, 1, 2, 3, 4])]
        [(3, 0.025), (5, 0.025)]
        >>> [(len(look.seeds), look.level) for look in looks_of([0, 1, 2])]
        [(3, 0.05)]
    """
    if len(seeds) <= FIRST:
        return (Look(tuple(seeds), LEVEL),)
    return tuple(Look(tuple(seen), LEVEL / 2) for seen in (seeds[:FIRST], seeds))
