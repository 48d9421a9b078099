"""Whether the trials at a rung of pruning differ by more than their seeds do; where they do not, ranks are chance."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from autorf.comparison.noninferiority import paired
from autorf.driver.stopping import by_configuration
from autorf.store.record import Record

LEAST_CONFIGURATIONS = 3
CHANCE = 0.05
"""Configurations differ where chance alone would make them differ as much less often than this."""


def rung_caution(records: Iterable[Record], metric: str, epochs: int) -> str | None:
    """What to tell people of a rung; None where its trials differ, or too few have reached it.

    An F test over configurations and seeds, those that reached the rung under every seed of the first one that did.

    Args:
        records: of the study's search.
        metric: that prunes.
        epochs: of the rung.
    """
    scores = scores_at(records, metric, epochs)
    if len(scores) < LEAST_CONFIGURATIONS or scores.shape[1] < 2:
        return None
    chance = chance_of_equals(scores)
    if chance < CHANCE:
        return None
    return (
        f"after {epochs} {'epoch' if epochs == 1 else 'epochs'} the {len(scores)} configurations differ no more than "
        f"their seeds do (p = {chance:.2f}): which are pruned there is chance; give pruning a larger min_epochs, or "
        "leave it out"
    )


def scores_at(records: Iterable[Record], metric: str, epochs: int) -> NDArray[np.float64]:
    """``(configurations, seeds)`` after so many epochs, of configurations that have reached them under every seed."""
    groups = by_configuration(records)
    seeds = sorted({record.seed for group in groups for record in group})
    rows = []
    for group in groups:
        by_seed = {record.seed: record.history[epochs - 1] for record in group if len(record.history) >= epochs}
        values = [by_seed[seed].by_name.get(metric, np.nan) if seed in by_seed else np.nan for seed in seeds]
        if np.isfinite(values).all():
            rows.append(values)
    return np.array(rows, float).reshape(len(rows), len(seeds))


def chance_of_equals(scores: NDArray[np.float64]) -> float:
    """The chance that configurations without any difference differ as much as these, by the F test of two ways.

    Args:
        scores: ``(configurations, seeds)``, two or more of both, none missing.
    """
    from scipy.special import fdtrc

    pairs = paired(scores)
    between = scores.shape[1] * scores.mean(1).var(ddof=1)
    residual = float(pairs.residual)
    if residual == 0:
        return 0.0 if between > 0 else 1.0
    return float(fdtrc(len(scores) - 1, pairs.freedom, between / residual))
