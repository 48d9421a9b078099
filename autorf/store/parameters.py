"""A configuration as parameters that Optuna's own tools understand."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from autorf.errors import InputError
from autorf.study.search_space import Axis, Space, read_spaces
from autorf.study.settings import is_setting, thawed, value_at
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial, trial_from

_METHOD_NAMES = ("dilation", "inflation", "learned_dilation", "pixel_adaptive", "scale_adaptive")
"""Fixed here because Optuna refuses a categorical parameter that grows; another method is a fact of its row only."""

Axes = Mapping[str, Mapping[str, Any]]
"""What a study remembers of its axes, by parameter: ``choices`` where not all are numbers, ``float`` where one of the
numbers is no whole one, and the ``study``'s own value, which trials with that value do not name."""


def study_axes(spec: StudySpec) -> dict[str, dict[str, Any]]:
    """The axes of every search space of a study, by the name of their parameter.

    Raises:
        InputError: for a search space that cannot be read.
    """
    values: dict[str, list[Any]] = {}
    axes: dict[str, dict[str, Any]] = {}
    for space in read_spaces(spec.search_space, spec.name, spec):
        for axis in space.axes.values():
            name = _parameter(space.method, axis.name)
            values.setdefault(name, []).extend(_choices(space, axis, spec))
            axes[name] = {"study": value_at(spec, name)} if is_setting(name) else {}
    return {name: {**axes[name], **_kind(listed)} for name, listed in values.items()}


def _choices(space: Space, axis: Axis, spec: StudySpec) -> list[Any]:
    """The choices of an axis, or a range's ends, as trials have them."""
    first = {name: other.ends()[0] for name, other in space.axes.items()}
    configurations = ({"method": space.method, **first, axis.name: value} for value in axis.ends())
    trials = [trial_from(configuration, 0, spec, space.source) for configuration in configurations]
    return [_value(trial, axis.name, value_at(spec, axis.name) if is_setting(axis.name) else None) for trial in trials]


def _kind(values: Sequence[Any]) -> dict[str, Any]:
    if all(_is_number(value) for value in values):
        return {"float": any(isinstance(value, float) for value in values)}
    # Told apart as JSON, where true is not 1.
    return {"choices": list({json.dumps(choice): choice for choice in map(_plain, values)}.values())}


def axis_values(configuration: Mapping[str, Any], axes: Axes) -> dict[str, Any]:
    """What a trial has on every axis of its method, defaults and the study's own values too.

    Args:
        configuration: in today's terms; of a method that is not installed here there are none.
        axes: of the study.
    """
    try:
        trial = trial_from(configuration, 0)
    except InputError:
        return {}
    own = f"{trial.method.method}."
    names = {name: name if is_setting(name) else name.removeprefix(own) for name in axes}
    return {
        name: _value(trial, key, axes[name].get("study"))
        for name, key in names.items()
        if is_setting(name) or name.startswith(own)
    }


def _value(trial: Trial, name: str, of_study: Any) -> Any:
    if is_setting(name):
        return thawed(dict(trial.settings).get(name, of_study))
    return trial.method.model_dump(mode="json").get(name)


def waiting_row(
    configuration: Mapping[str, Any],
    facts: Mapping[str, Any],
    axes: Axes | None = None,
    values: Mapping[str, Any] | None = None,
) -> FrozenTrial:
    """A row of the storage that waits to be run, with all of ``facts`` beside its parameters.

    Parameters are ``method``, and by ``METHOD.FIELD`` or a dotted key of the study file every axis of the study, and
    whatever else of the configuration is a number.

    Args:
        configuration: in the study's terms.
        facts: of the row.
        axes: of the study; None where it began before they were kept.
        values: of the trial on the axes, see :func:`axis_values`.
    """
    method, study_axes = configuration["method"], axes or {}
    named = {n if n == "method" else _parameter(method, n): v for n, v in configuration.items()} | dict(values or {})
    parameters = {
        name: _plain(value) if "choices" in study_axes.get(name, {}) else value for name, value in named.items()
    }
    distributions = {name: d for name, value in parameters.items() if (d := _distribution(name, value, study_axes))}
    return create_trial(
        state=TrialState.WAITING,
        params={name: parameters[name] for name in distributions},
        distributions=distributions,
        user_attrs=dict(facts),
    )


def _parameter(method: str, name: str) -> str:
    return name if is_setting(name) else f"{method}.{name}"


def _plain(value: Any) -> Any:
    """A choice as Optuna takes one: lists and mappings as JSON."""
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _distribution(name: str, value: object, axes: Axes) -> BaseDistribution | None:
    # Optuna must have one distribution for all trials of a study; what lies outside is a fact of the row only.
    if name == "method":
        return CategoricalDistribution(_METHOD_NAMES) if value in _METHOD_NAMES else None
    axis = axes.get(name, {})
    if "choices" in axis:
        encoded = [json.dumps(choice) for choice in axis["choices"]]
        return CategoricalDistribution(axis["choices"]) if json.dumps(value) in encoded else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    whole = isinstance(value, int) and not axis.get("float", False)
    distribution = IntDistribution(0, 2**16) if whole else FloatDistribution(-1e9, 1e9)
    return distribution if distribution.low <= value <= distribution.high else None
