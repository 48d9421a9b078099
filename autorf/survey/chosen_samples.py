"""The pictures of a data set that are shown: few, and every class among them where so many can."""

from collections.abc import Sequence

import numpy as np

from autorf.survey.survey import Look

N_SAMPLES = 12


def chosen_samples(looks: Sequence[Look], count: int = N_SAMPLES) -> list[int]:
    """The indices of the pictures to show: first those that hold classes not shown yet, then evenly spread ones.

    Args:
        looks: at the pictures; those that cannot be read are never chosen.
        count: how many.
    """
    readable = [at for at, look in enumerate(looks) if look.problem is None]
    chosen: list[int] = []
    shown: set[int] = set()
    while len(chosen) < count:
        gain = {at: len(_classes(looks[at]) - shown) for at in readable if at not in chosen}
        best = max(gain, key=gain.__getitem__, default=None)
        if best is None or gain[best] == 0:
            break
        chosen.append(best)
        shown |= _classes(looks[best])
    rest = [at for at in readable if at not in chosen]
    spread = np.linspace(0, len(rest) - 1, min(count - len(chosen), len(rest))).round().astype(int)
    return sorted([*chosen, *(rest[at] for at in spread)])


def _classes(look: Look) -> set[int]:
    return set(np.flatnonzero(look.pixels).tolist())
