"""A trial: one configuration under one seed, known by the hash of both."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from autorf.data.fold_spec import fold_of, folds_of
from autorf.errors import InputError
from autorf.methods import Method
from autorf.study.control import Control
from autorf.study.search_space import Space, own_fields, read_spaces, split
from autorf.study.settings import (
    FOLD,
    HEAT_MAP,
    IMAGE_SIZE,
    Keys,
    Settings,
    canonical,
    differing,
    thawed,
    with_settings,
)
from autorf.study.spec import StudySpec
from autorf.training.spec import TrainingSpec

LENGTH = "training.steps"
"""The setting that holds the length of a control."""


@dataclass(frozen=True)
class Trial:
    """One configuration under one seed.

    Attributes:
        method: with all its fields.
        seed: of initial weights, order and augmentation.
        settings: the dotted keys of the study file in which the trial differs from its study, with its own values.
    """

    method: Method
    seed: int
    settings: Settings = ()

    @property
    def configuration(self) -> dict[str, Any]:
        """The canonical configuration: the method's name, its fields that differ from their defaults, and settings."""
        own = {"method": self.method.method, **self.method.model_dump(mode="json", exclude_defaults=True)}
        return {**own, **{key: thawed(value) for key, value in self.settings}}

    @property
    def key(self) -> str:
        """:func:`key_of` its configuration."""
        return key_of(self.configuration, self.seed)

    @property
    def setting(self) -> str:
        """The configuration in a few words, for tables."""
        settings = {
            key.removeprefix("training.").removeprefix("model.args."): value
            for key, value in self.settings
            if key != FOLD
        }
        shown = {**own_fields(self.method), **settings}
        return ", ".join(f"{name} {_short(value)}" for name, value in shown.items()) or self.method.unset

    @property
    def label(self) -> str:
        """The trial in a few words, for progress and MLflow."""
        return f"{self.method.method} ({self.setting}) seed {self.seed}{fold_words(self.fold)}"

    @property
    def fold(self) -> int | None:
        """The fold of the data that validates it; None where the data has none."""
        return dict(self.settings).get(FOLD)

    @property
    def without_fold(self) -> Self:
        """The same on all of the data: what the trials of a replicate have in common."""
        return replace(self, settings=tuple(pair for pair in self.settings if pair[0] != FOLD))

    @property
    def network(self) -> Settings:
        """Those of the settings that make another network, or have it see images of another size."""
        return tuple(
            (key, value) for key, value in self.settings if key in (IMAGE_SIZE, HEAT_MAP) or key.startswith("model.")
        )


def fold_words(fold: int | None) -> str:
    """What a trial's label says of its fold."""
    return "" if fold is None else f" fold {fold}"


def key_of(configuration: Mapping[str, Any], seed: int, control: Control | None = None) -> str:
    """Twelve hexadecimal digits of the hash of a canonical configuration and the seed; never an index.

    A control is another trial than one with its configuration, and than the control of another winner.
    """
    identity = [configuration, seed] if control is None else [configuration, seed, control.to_json()]
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def trial_from(
    configuration: Mapping[str, Any], seed: int, study: StudySpec | None = None, source: str = "stored trial"
) -> Trial:
    """The trial of a configuration, canonical.

    Args:
        configuration: a method's name and fields, and dotted keys of the study file.
        seed: of the trial.
        study: settings equal to its own are left out. None for a configuration that is canonical already.
        source: for messages.

    Raises:
        InputError: for a configuration this version of autorf does not know, or a setting that the study cannot have.
    """
    method, settings = split(configuration, source)
    return Trial(method, seed, canonical(settings, source) if study is None else differing(study, settings, source))


def spec_of(study: StudySpec, trial: Trial) -> StudySpec:
    """The study as one trial has it: with its settings, and trained for as long as its method asks for.

    How long that is needs the study's steps, see :func:`autorf.study.spec.counted`; before, it is the study's length.
    A trial with ``training.steps`` of its own is trained for so many, whatever the study's length, and validated where
    the study's trials are.

    Data, network and training of a trial come from here and nowhere else.

    >>> from autorf.methods import Dilation
    >>> from autorf.study.spec import parse_study
    >>> study = parse_study({"name": "a", "data": {"name": "digits"}, "model": {"name": "largefov:resnet18"},
    ...                      "search_space": ["dilation"]}, "a.yaml")
    >>> spec_of(study, Trial(Dilation(rate=2), 0, (("model.channels", (8, 8)),))).model.channels
    (8, 8)

    Raises:
        InputError: for settings that the study cannot have.
    """
    settings = dict(trial.settings)
    spec = with_settings(study, settings, "stored trial")
    training = _own_length(spec, trial.method)
    if LENGTH in settings:
        # A control is trained for so many steps, whatever becomes of it.
        training = training.model_copy(update={"stop": None})
    return spec.model_copy(update={"training": training})


def _own_length(spec: StudySpec, method: Method) -> TrainingSpec:
    """The training for as long as the method asks for, its validations where those of the study are."""
    training, per_epoch = spec.training, spec.steps_per_epoch
    if per_epoch is None:
        # Nobody trains before the images were counted.
        return training
    given = training.steps or training.epochs * per_epoch
    steps = method.steps(given)
    if fold_of(spec.data) is not None and training.steps is None:
        # Folds may differ by an image, and so an epoch of theirs by a step: counted in steps they train equally.
        return training.in_steps_of(steps, per_epoch)
    if steps == training.steps and training.validate_every is not None:
        return training
    if training.steps is None and steps % per_epoch == 0:
        return training.model_copy(update={"epochs": steps // per_epoch})
    return training.in_steps_of(steps, per_epoch)


def grid(spec: StudySpec, source: str) -> list[Trial]:
    """Every trial of a study, in the order of its search spaces: all configurations for the first seed, then the next.

    Raises:
        InputError: for a bad search space, or one configuration in two of them.
    """
    named = configurations(spec, read_spaces(spec.search_space, source, spec))
    return under_every_seed(named, spec.training.seeds, folds_of(spec.data))


def configurations(spec: StudySpec, spaces: Sequence[Space]) -> list[Trial]:
    """Every configuration of finite spaces, in their order, under the study's first seed.

    Raises:
        InputError: for a range without a step, or one configuration in two spaces.
    """
    trials: dict[Trial, None] = {}
    for space in spaces:
        for configuration in space.configurations():
            trial = trial_from(configuration, spec.training.seeds[0], spec, space.source)
            if trial in trials:
                raise InputError(
                    f"{space.source}: {trial.method.method} ({trial.setting}) is in two search spaces; keep one"
                )
            trials[trial] = None
    return list(trials)


def under_every_seed(trials: Sequence[Trial], seeds: Sequence[int], folds: int | None = None) -> list[Trial]:
    """The configurations of ``trials`` under every seed: all for the first seed, then for the next.

    Of data in folds each stands for as many trials, one after the other, so that a replicate is soon whole.
    """
    distinct = dict.fromkeys((trial.method, trial.settings) for trial in trials)
    seeded = [Trial(method, seed, settings) for seed in seeds for method, settings in distinct]
    return [member for trial in seeded for member in in_folds(trial, folds)]


def in_folds(trial: Trial, folds: int | None) -> list[Trial]:
    """A trial on every fold of the data; itself where the data has none."""
    if folds is None:
        return [trial]
    return [replace(trial, settings=tuple(sorted([*trial.settings, (FOLD, fold)]))) for fold in range(folds)]


def side_text(sides: Sequence[float]) -> str:
    """A receptive field for people: one number for a square, rounded to a tenth of a pixel."""
    height, width = (f"{round(length, 1):g}" for length in sides)
    return height if height == width else f"{height}x{width}"


def _short(value: Any) -> str:
    if value is None:
        return "unchanged"
    if isinstance(value, Keys):
        keys = ", ".join(f"{name} {_short(inner)}" for name, inner in value if name != "name")
        return f"{dict(value)['name']} ({keys})"
    if isinstance(value, tuple) and any(isinstance(inner, Keys) for inner in value):
        return " + ".join(map(_short, value))
    if isinstance(value, tuple | list):
        return str(list(value))
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
