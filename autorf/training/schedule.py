"""The learning rate over a training, as a factor of its peak."""

import math
from collections.abc import Callable

from autorf.training.spec import TrainingSpec

Factor = Callable[[int], float]


def schedule(spec: TrainingSpec, steps: int) -> Factor:
    """The factor on the learning rate at each optimizer step of a training of ``steps``."""
    warmup = int(spec.warmup * steps)
    rule = spec.schedule
    if rule.kind == "cosine":
        return warmup_cosine(steps, warmup)
    if rule.kind == "poly":
        return warmup_poly(steps, warmup, rule.power)
    drops = [int(fraction * steps) for fraction in rule.milestones] if rule.kind == "step" else []
    gamma = rule.gamma
    if rule.split is not None:
        drops, gamma = [step for drop in drops for step in (drop, drop + rule.split)], math.sqrt(gamma)
    return lambda step: _rising(step, warmup) * gamma ** sum(step >= drop for drop in drops)


def warmup_cosine(total: int, warmup: int) -> Factor:
    """Rising linearly for ``warmup`` steps, then a cosine to 0."""

    def factor(step: int) -> float:
        if step < warmup:
            return _rising(step, warmup)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))

    return factor


def warmup_poly(total: int, warmup: int, power: float) -> Factor:
    """Rising linearly for ``warmup`` steps, then ``(1 - t) ** power`` of the share ``t`` of the other steps.

    Without warm-up this is the rule of Chen et al., *DeepLab*, 2018: ``(1 - step / total) ** power``.

    >>> [round(warmup_poly(4, 0, 0.9)(step), 3) for step in range(5)]
    [1.0, 0.772, 0.536, 0.287, 0.0]
    """

    def factor(step: int) -> float:
        if step < warmup:
            return _rising(step, warmup)
        return float(max(0.0, 1 - (step - warmup) / max(total - warmup, 1)) ** power)

    return factor


def constant(step: int) -> float:
    """For parameters that do not follow the schedule."""
    return 1.0


def _rising(step: int, warmup: int) -> float:
    return min(1.0, (step + 1) / (warmup + 1))
