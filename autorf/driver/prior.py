"""A prior on rnorm: where it comes from, what lies near it, and what it saved."""

import math
import random
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from autorf.errors import InputError
from autorf.methods import Method
from autorf.study.objectives import sign
from autorf.study.search_space import Axis, Space
from autorf.study.search_spec import PriorSpec, SearchSpec
from autorf.study.settings import Settings
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial, trial_from

POINTS = 5
"""Of a range, so many values are looked at when configurations near the prior are sought."""
MOST = 200
"""And so many configurations in all."""


def prior_rnorm(prior: PriorSpec | None, root: Path, source: str) -> float | None:
    """The rnorm that a prior means; None without one.

    Of a study with several image sizes it is the slope of the line that fits the winners of all, see
    :mod:`autorf.comparison.rnorm`; of another, and where no line fits yet, the rnorm of its best configuration.

    Raises:
        InputError: for a study that does not exist (with near names) or has no complete trial.
    """
    if prior is None or prior.from_study is None:
        return None if prior is None else prior.rnorm
    from autorf.comparison import compare_studies, results_of
    from autorf.comparison.rnorm import best_line
    from autorf.store.ranking import ranked
    from autorf.store.replicates import replicates
    from autorf.store.store import open_store

    try:
        store = open_store(root, prior.from_study)
        records = store.records()
    except InputError as error:
        raise InputError(f"{source}: search.prior.from_study: {error}") from None
    search = SearchSpec.model_validate((store.spec or {}).get("search") or {})
    groups = ranked(replicates(records, (store.spec or {}).get("data") or {}), search)
    if not groups:
        raise InputError(
            f"{source}: search.prior.from_study: study {prior.from_study!r} has no complete trial yet; finish it, "
            "or give rnorm: NUMBER"
        )
    comparison = compare_studies([results_of(store)])
    line = best_line(comparison.rnorm, sign(comparison.metric))
    return mean(record.value("rnorm") for record in groups[0]) if line is None else line.ratio


def candidates(spec: StudySpec, spaces: Sequence[Space]) -> list[Trial]:
    """Configurations all over the spaces, of a range :data:`POINTS` values, under the first seed."""
    trials: dict[Trial, None] = {}
    for space in spaces:
        axes = [_points(axis) for axis in space.axes.values()]
        for number in _spread(math.prod(map(len, axes))):
            values = _combination(axes, number)
            try:
                named = {"method": space.method, **dict(zip(space.axes, values, strict=True))}
                trials[trial_from(named, spec.training.seeds[0], spec)] = None
            except InputError:
                # Fields that exclude each other.
                continue
    # Of configurations equally near the prior, none is better for being listed first.
    return random.Random(spec.search.seed).sample(list(trials), len(trials))


def nearest_first(trials: Sequence[Trial], rnorm: float, spec: StudySpec, classes: Any) -> list[Trial]:
    """The configurations by how far their rnorm, where learning starts, is from ``rnorm``; equals keep their order."""
    from autorf.running.at_start import field_at_start

    rnorms: dict[tuple[Method, Settings], float] = {}
    for trial in trials:
        if (trial.method, trial.network) not in rnorms:
            rnorms[trial.method, trial.network] = field_at_start(spec, trial, classes).rnorm
    return sorted(trials, key=lambda trial: abs(rnorms[trial.method, trial.network] - rnorm))


def saved(ordered: Sequence[Trial], unordered: Sequence[Trial], best: Trial, rnorm: float) -> str | None:
    """What the prior saved, in one sentence; None where the best configuration is not one of both orders."""
    with_prior, without = _place(best, ordered), _place(best, unordered)
    if with_prior is None or without is None:
        return None
    fewer = without - with_prior
    difference = f"{abs(fewer)} {'fewer' if fewer >= 0 else 'more'}"
    return (
        f"Prior rnorm {rnorm:.2f}: the best configuration was number {with_prior} of {len(ordered)} to run, in the "
        f"grid's own order it is number {without}: {difference} configurations until it was found."
    )


def _place(configuration: Trial, order: Sequence[Trial]) -> int | None:
    """The number of a configuration in an order, from 1; seeds make no difference."""
    same = (configuration.method, configuration.settings)
    places = (at for at, trial in enumerate(order, 1) if (trial.method, trial.settings) == same)
    return next(places, None)


def _spread(combinations: int) -> Sequence[int]:
    """All numbers of combinations, or :data:`MOST` of them drawn from all over."""
    return range(combinations) if combinations <= MOST else random.Random(0).sample(range(combinations), MOST)


def _combination(axes: Sequence[Sequence[Any]], number: int) -> list[Any]:
    """One of all combinations of the axes' values; the last axis varies fastest."""
    values: list[Any] = []
    for axis in reversed(axes):
        number, at = divmod(number, len(axis))
        values.insert(0, axis[at])
    return values


def _points(axis: Axis) -> Sequence[Any]:
    if axis.range is None:
        return axis.choices
    low, high = axis.range.low, axis.range.high
    fractions = [at / (POINTS - 1) for at in range(POINTS)]
    if axis.range.log:
        values = [low * (high / low) ** fraction for fraction in fractions]
    else:
        values = [low + (high - low) * fraction for fraction in fractions]
    return list(dict.fromkeys(round(value) if axis.whole else float(f"{value:.6g}") for value in values))
