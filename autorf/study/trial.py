"""A trial: one configuration under one seed, known by the hash of both."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autorf.errors import InputError
from autorf.methods import Method
from autorf.study.search_space import TRAINING, Space, read_spaces, settings, split
from autorf.study.spec import StudySpec
from autorf.training.spec import TrainingSpec


@dataclass(frozen=True)
class Trial:
    """One configuration under one seed.

    Attributes:
        method: with all its fields.
        seed: of initial weights, order and augmentation.
        training: the training settings, by name, in which the trial differs from the study's.
    """

    method: Method
    seed: int
    training: tuple[tuple[str, Any], ...] = ()

    @property
    def configuration(self) -> dict[str, Any]:
        """The canonical configuration: the method's name, its fields that differ from their defaults, and ``training.``
        settings that differ from the study's."""
        own = {"method": self.method.method, **self.method.model_dump(mode="json", exclude_defaults=True)}
        return {**own, **{f"{TRAINING}{name}": value for name, value in self.training}}

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits of the hash of configuration and seed; never an index."""
        canonical = json.dumps([self.configuration, self.seed], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @property
    def setting(self) -> str:
        """The configuration in a few words, for tables."""
        shown = {**settings(self.method), **dict(self.training)}
        return ", ".join(f"{name} {_short(value)}" for name, value in shown.items()) or "default"

    @property
    def label(self) -> str:
        """The trial in a few words, for progress and MLflow."""
        return f"{self.method.method} ({self.setting}) seed {self.seed}"


def trial_from(configuration: Mapping[str, Any], seed: int, study: TrainingSpec | None = None) -> Trial:
    """The trial of a configuration, canonical.

    Args:
        configuration: a method's name and fields, and ``training.`` settings.
        seed: of the trial.
        study: the study's training; settings equal to it are left out. None for a configuration that was stored.

    Raises:
        InputError: for a configuration this version of autorf does not know.
    """
    return _trial(configuration, seed, study, "stored trial")


def _trial(configuration: Mapping[str, Any], seed: int, study: TrainingSpec | None, source: str) -> Trial:
    method, training = split(configuration, source)
    kept = {name: value for name, value in training.items() if study is None or value != getattr(study, name)}
    return Trial(method, seed, tuple(sorted(kept.items())))


def training_of(study: TrainingSpec, trial: Trial) -> TrainingSpec:
    """The study's training with what a trial changes in it, and as long as its method asks for."""
    epochs = trial.method.epochs(study.epochs)
    return TrainingSpec.model_validate({**study.model_dump(), **dict(trial.training), "epochs": epochs})


def grid(spec: StudySpec, source: str) -> list[Trial]:
    """Every trial of a study, in the order of its search spaces: all configurations for the first seed, then the next.

    Raises:
        InputError: for a bad search space, or one configuration in two of them.
    """
    return under_every_seed(configurations(spec, read_spaces(spec.search_space, source)), spec.training.seeds)


def configurations(spec: StudySpec, spaces: Sequence[Space]) -> list[Trial]:
    """Every configuration of finite spaces, in their order, under the study's first seed.

    Raises:
        InputError: for a range without a step, or one configuration in two spaces.
    """
    found: list[Trial] = []
    for space in spaces:
        for configuration in space.configurations():
            trial = _trial(configuration, spec.training.seeds[0], spec.training, space.source)
            if trial in found:
                raise InputError(
                    f"{space.source}: {trial.method.method} ({trial.setting}) is in two search spaces; keep one"
                )
            found.append(trial)
    return found


def under_every_seed(trials: Sequence[Trial], seeds: Sequence[int]) -> list[Trial]:
    """The configurations of ``trials`` under every seed: all for the first seed, then for the next."""
    distinct = dict.fromkeys((trial.method, trial.training) for trial in trials)
    return [Trial(method, seed, training) for seed in seeds for method, training in distinct]


def side_text(sides: Sequence[float]) -> str:
    """A receptive field for people: one number for a square, rounded to a tenth of a pixel."""
    height, width = (f"{round(side, 1):g}" for side in sides)
    return height if height == width else f"{height}x{width}"


def _short(value: Any) -> str:
    if value is None:
        return "unchanged"
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
