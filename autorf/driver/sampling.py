"""Draw the next configuration: random, TPE or NSGA-II over conditional spaces, from nothing but what was tried."""

import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from autorf.errors import InputError
from autorf.study.objectives import sign
from autorf.study.search_space import Axis, Space, drawn
from autorf.study.settings import is_setting, thawed, value_at
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial, trial_from

ATTEMPTS, AT_RANDOM = 12, 40
"""Draws of one configuration that is new by the sampler, then by chance, before what is left is listed."""

_MAXIMISE, _MINIMISE = optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE
_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "running": TrialState.RUNNING,
}


@dataclass(frozen=True)
class Tried:
    """One configuration and what is known of it.

    Attributes:
        trial: the configuration, under any seed.
        state: ``complete`` when every seed is, ``running`` while one is still to run.
        values: of the objectives, means over seeds; empty unless complete.
        curve: the first objective by epoch, for those that were pruned.
        excess: how far each constraint is exceeded; at most 0 where it holds.
    """

    trial: Trial
    state: Literal["complete", "pruned", "failed", "running"]
    values: tuple[float, ...] = ()
    curve: Mapping[int, float] = field(default_factory=dict)
    excess: Mapping[str, float] = field(default_factory=dict)


class Suggestions:
    """Proposes configurations that were not tried yet.

    Every proposal starts from the tried ones alone: Optuna's study is rebuilt in memory, those that still run are in it
    as such (constant liar), and random numbers depend on ``search.seed`` and how many were tried. So a killed search
    goes on as if it had not been killed, and drivers on one store need no other memory than the store.

    Args:
        spaces: where from.
        study: its search says which sampler and what it aims at; its own settings are those of most trials.
        n_startup: random configurations before TPE begins.
    """

    def __init__(self, spaces: Sequence[Space], study: StudySpec, n_startup: int = 10) -> None:
        self.study, self.search, self.n_startup = study, study.search, n_startup
        self.branches = {branch_name(spaces, at): space for at, space in enumerate(spaces)}

    def next(self, tried: Sequence[Tried]) -> Trial | None:
        """A configuration that none of ``tried`` has, under the study's first seed; None when all were tried."""
        # Optuna says so of TPE's grouping of spaces. Not undone afterwards: other threads change these filters, too.
        warnings.filterwarnings("ignore", category=ExperimentalWarning)
        tried_before = {(attempted.trial.method, attempted.trial.settings) for attempted in tried}
        # In a small space the likeliest best is often one that was tried: as one more that runs, it is avoided.
        again: list[Tried] = []
        for attempt in range(ATTEMPTS + AT_RANDOM):
            by_chance = RandomSampler(self._seed(tried, attempt)) if attempt >= ATTEMPTS else None
            trial = self._draw([*tried, *again], by_chance or self._sampler(self._seed(tried, attempt)))
            if trial is not None and (trial.method, trial.settings) not in tried_before:
                return trial
            again += [Tried(trial, "running")] if trial is not None and by_chance is None else []
        left = [trial for trial in self._listed() if (trial.method, trial.settings) not in tried_before]
        return random.Random(self._seed(tried, -1)).choice(left) if left else None

    def _draw(self, tried: Sequence[Tried], sampler: BaseSampler) -> Trial | None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        directions = [_MAXIMISE if sign(name) > 0 else _MINIMISE for name in self.search.objectives]
        study = optuna.create_study(directions=directions, sampler=sampler)
        rows = (self._row(configuration, tried[:at]) for at, configuration in enumerate(tried))
        study.add_trials([row for row in rows if row is not None])
        asked = study.ask()
        branch = asked.suggest_categorical("method", list(self.branches))
        space = self.branches[branch]
        values = {name: self._suggested(asked, branch, axis) for name, axis in space.axes.items()}
        try:
            return self._trial({"method": space.method, **values})
        except InputError:
            # Fields that exclude each other; another draw will do.
            return None

    def _trial(self, configuration: Mapping[str, Any]) -> Trial:
        return trial_from(configuration, self.study.training.seeds[0], self.study)

    def _suggested(self, asked: optuna.Trial, branch: str, axis: Axis) -> Any:
        distribution = _distribution(axis)
        if distribution is None:
            return axis.choices[0]
        value = asked._suggest(f"{branch}.{axis.name}", distribution)
        return drawn(axis, value) if axis.range is not None else axis.choices[int(value)]

    def _sampler(self, seed: int) -> BaseSampler:
        if self.search.sampler == "random":
            return RandomSampler(seed)
        if self.search.sampler == "nsga2":
            return NSGAIISampler(population_size=_POPULATION, seed=seed)
        return TPESampler(n_startup_trials=self.n_startup, multivariate=True, group=True, constant_liar=True, seed=seed)

    def _seed(self, tried: Sequence[Tried], attempt: int) -> int:
        return (self.search.seed * 1_000_003 + len(tried) * 1_009 + attempt) % 2**31

    def _row(self, configuration: Tried, before: Sequence[Tried]) -> FrozenTrial | None:
        """A tried configuration as Optuna has it; None for one that no space holds, such as the default."""
        parameters = self._parameters(configuration.trial)
        if parameters is None:
            return None
        done = sum(other.state == "complete" for other in before)
        return create_trial(
            state=_STATES[configuration.state],
            values=list(configuration.values) if configuration.state == "complete" else None,
            params={name: value for name, (value, _) in parameters.items()},
            distributions={name: distribution for name, (_, distribution) in parameters.items()},
            intermediate_values=dict(configuration.curve) if len(self.search.objectives) == 1 else {},
            system_attrs={NSGAIISampler._get_generation_key(): done // _POPULATION},
            constraints=dict(configuration.excess) if configuration.excess else None,
        )

    def _parameters(self, trial: Trial) -> dict[str, tuple[Any, BaseDistribution]] | None:
        full = {**trial.method.model_dump(mode="json"), **{key: thawed(value) for key, value in trial.settings}}
        for branch, space in self.branches.items():
            if space.method != trial.method.method:
                continue
            # A setting that the trial does not name is the study's.
            own = {name: value_at(self.study, name) for name in space.axes if is_setting(name)}
            positions = {name: _position(axis, {**own, **full}.get(name)) for name, axis in space.axes.items()}
            if None not in positions.values():
                names: dict[str, tuple[Any, BaseDistribution]] = {
                    "method": (branch, CategoricalDistribution(list(self.branches)))
                }
                for name, axis in space.axes.items():
                    if (distribution := _distribution(axis)) is not None:
                        names[f"{branch}.{name}"] = (positions[name], distribution)
                return names
        return None

    def _listed(self) -> list[Trial]:
        trials: list[Trial] = []
        for space in self.branches.values():
            if not space.finite:
                continue
            for configuration in space.configurations():
                try:
                    trials.append(self._trial(configuration))
                except InputError:
                    continue
        return trials


_POPULATION = 16
"""Of NSGA-II; studies of trainings are small."""


def branch_name(spaces: Sequence[Space], at: int) -> str:
    """The name of one of several spaces: its method's, numbered where several have one method."""
    same = [index for index, space in enumerate(spaces) if space.method == spaces[at].method]
    return spaces[at].method if len(same) == 1 else f"{spaces[at].method}#{same.index(at) + 1}"


def _distribution(axis: Axis) -> BaseDistribution | None:
    """How an axis is drawn: ordered numbers by their place, so that neighbours are near; None for a single value."""
    if axis.range is not None:
        low, high = axis.range.low, axis.range.high
        if axis.whole:
            return IntDistribution(int(low), int(high), log=axis.range.log)
        return FloatDistribution(low, high, log=axis.range.log)
    if len(axis.choices) < 2:
        return None
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in axis.choices)
    if numbers and list(axis.choices) == sorted(axis.choices):
        return IntDistribution(0, len(axis.choices) - 1)
    return CategoricalDistribution(range(len(axis.choices)))


def _position(axis: Axis, value: Any) -> Any:
    """What Optuna would have drawn for ``value``; None where the axis does not hold it."""
    if axis.range is not None:
        inside = isinstance(value, int | float) and axis.range.low <= value <= axis.range.high
        return value if inside else None
    return next((at for at, choice in enumerate(axis.choices) if choice == value), None)
