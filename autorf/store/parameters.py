"""A configuration as parameters that Optuna's own tools understand."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from autorf.study.settings import is_setting

_METHOD_NAMES = ("dilation", "inflation", "learned_dilation", "pixel_adaptive", "scale_adaptive")
"""Fixed here because Optuna refuses a categorical parameter that grows; another method is a fact of its row only."""


def waiting_row(configuration: Mapping[str, Any], facts: Mapping[str, Any]) -> FrozenTrial:
    """A row of the storage that waits to be run: ``method``, ``METHOD.FIELD`` and the dotted keys of the study file
    where they are numbers, and all of ``facts`` beside them."""
    method = configuration["method"]
    named = {n if n == "method" or is_setting(n) else f"{method}.{n}": v for n, v in configuration.items()}
    distributions = {name: d for name, value in named.items() if (d := _distribution(name, value))}
    return create_trial(
        state=TrialState.WAITING,
        params={name: named[name] for name in distributions},
        distributions=distributions,
        user_attrs=dict(facts),
    )


def _distribution(name: str, value: object) -> BaseDistribution | None:
    if name == "method":
        return CategoricalDistribution(_METHOD_NAMES) if value in _METHOD_NAMES else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    distribution = IntDistribution(0, 2**16) if isinstance(value, int) else FloatDistribution(-1e9, 1e9)
    # Optuna must have one range for all trials of a study; what lies outside is a fact of the row only.
    return distribution if distribution.low <= value <= distribution.high else None
