"""When a search has run enough: its hours, or no improvement by more than the noise between seeds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, variance
from typing import Any

from autorf.store.record import Record
from autorf.study.objectives import sign, violated
from autorf.study.search_spec import SearchSpec


def by_configuration(records: Iterable[Record]) -> list[list[Record]]:
    """The records of each configuration, one a seed, in the order of their first."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(str(sorted(record.configuration.items())), []).append(record)
    return list(groups.values())


def score(records: Sequence[Record], search: SearchSpec) -> float | None:
    """The first objective of a configuration, its mean over seeds, larger for better.

    None unless every seed is complete and the means keep the constraints.
    """
    if any(record.state != "complete" for record in records):
        return None
    means = mean_result(records)
    if violated(means, search.constraints) or search.objectives[0] not in means:
        return None
    return sign(search.objectives[0]) * means[search.objectives[0]]


def mean_result(records: Sequence[Record]) -> dict[str, float]:
    """The mean over seeds of every number that all of them report."""
    results = [record.result.by_name if record.result is not None else {} for record in records]
    names = [name for name in results[0] if all(name in result for result in results)]
    return {name: mean(result[name] for result in results) for name in names}


def seed_noise(groups: Iterable[Sequence[Record]], objective: str) -> float | None:
    """The standard deviation between seeds of one configuration, pooled; None before two seeds of one are complete."""
    variances: list[float] = []
    for records in groups:
        complete = [record.result.by_name for record in records if record.state == "complete" and record.result]
        values = [result[objective] for result in complete if objective in result]
        variances += [variance(values)] * (len(values) - 1) if len(values) > 1 else []
    return math.sqrt(mean(variances)) if variances else None


def no_improvement(records: Sequence[Record], search: SearchSpec) -> str | None:
    """Why the stop rule ends the search, or None.

    Configurations count in the order they were begun, once all their seeds have ended.
    """
    assert search.stop is not None
    groups = by_configuration(records)
    noise = seed_noise(groups, search.objectives[0]) if search.stop.noise is None else search.stop.noise
    ended = [group for group in groups if _has_ended(group)]
    if noise is None:
        return None
    best, since = -math.inf, 0
    for group in sorted(ended, key=lambda group: min(record.row for record in group)):
        value = score(group, search)
        since += sum(record.state != "failed" for record in group)
        if value is not None and value > best + noise:
            best, since = value, 0
    if math.isinf(best) or since < search.stop.no_improvement:
        return None
    return f"no improvement by more than the seed noise ({noise:.3g}) in {since} trials"


def _has_ended(group: Iterable[Record]) -> bool:
    return all(record.finished for record in group)


def busy_hours(spans: Mapping[str, Any]) -> float:
    """Hours in which at least one driver ran; ``spans`` holds begin and end of each, in seconds."""
    total, reached = 0.0, -math.inf
    for begin, end in sorted((float(begin), float(end)) for begin, end in spans.values()):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total / 3600
