"""What a study is going to run: every check that needs no training, the default, the order, the budget."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

from torch import nn

from autorf.data.fold_spec import folds_of, n_train_of
from autorf.driver.cautions import class_cautions, loss_cautions, scale_cautions, statistics_caution, weights_cautions
from autorf.driver.default import baseline_of, default_first
from autorf.driver.draw_cautions import draw_cautions
from autorf.driver.fold_cautions import fold_cautions
from autorf.driver.ordered_grid import ordered_grid
from autorf.driver.places import lacks_place, with_places
from autorf.driver.prior import candidates, nearest_first, prior_rnorm
from autorf.errors import InputError, TrainingWarning
from autorf.methods import Method, method_class
from autorf.methods.modules import SEARCH_STEPS
from autorf.networks.checkpoint import notes_kept
from autorf.networks.place import Place
from autorf.running.first_step import check_scores
from autorf.running.maps import dead_dilation, dead_options, map_sizes, several_layers
from autorf.running.multiscale import check_scales
from autorf.study.defaults import Defaults
from autorf.study.scale import check_scale
from autorf.study.search_space import Space, read_spaces
from autorf.study.settings import Settings
from autorf.study.spec import StudySpec, counted
from autorf.study.trial import Trial, configurations, in_folds, spec_of, trial_from, under_every_seed
from autorf.surgery.dry_run import input_channels
from autorf.tasks import TASKS, Task

STARTERS = 4
"""How many configurations near the prior a sampler begins with."""


@dataclass(frozen=True)
class StudyPlan:
    """The trials of a study, in the order in which they run.

    Attributes:
        configurations: under the first seed; all of a grid, for a sampler those it begins with.
        unordered: the same without the prior.
        limit: how many configurations the budget allows, None for all.
        seeds: of the study.
        spaces: where a sampler draws more from; empty for a grid.
        prior: the rnorm near which good fields are expected.
        warnings: what is allowed but of no use.
        examples: one trial of every method and network that may run.
        n_train: how many images a trial trains on in an epoch.
        bisected: of a grid that is not trained whole, smallest receptive field first.
        baseline: the checkpoint that methods train ``only`` their own on, as it is; None without one.
        places: where methods without targets work, of every network that offers nothing itself.
        accepted: configurations that are not run, but belong to the study where it has them already.
        folds: how many the data is in; None without.
    """

    configurations: tuple[Trial, ...]
    unordered: tuple[Trial, ...]
    limit: int | None
    seeds: tuple[int, ...]
    spaces: tuple[Space, ...] = ()
    prior: float | None = None
    warnings: tuple[str, ...] = ()
    examples: tuple[Trial, ...] = ()
    n_train: int = 0
    bisected: tuple[Trial, ...] = ()
    baseline: Trial | None = None
    places: tuple[Place, ...] = ()
    accepted: tuple[Trial, ...] = ()
    folds: int | None = None

    @property
    def trials_each(self) -> int:
        """How many trials a configuration is: one a seed, and of data in folds one a seed and fold."""
        return len(self.seeds) * (self.folds or 1)

    @property
    def trials(self) -> list[Trial]:
        """What to run first, within the budget: all configurations for the first seed, then the next; the baseline,
        which no seed changes, behind the default. Of a grid that is bisected only the default, under one seed."""
        if not self.bisected:
            return self._with_baseline(self.configurations[: self.limit])
        whole = [trial for trial in self.configurations if trial not in self.bisected]
        trials = self._with_baseline(whole)
        default = self.configurations[0]
        return trials if default in trials else [default, *trials]

    @property
    def listed(self) -> list[Trial] | None:
        """Every trial that belongs to a grid, whatever the budget; None for a sampler, to which any may belong."""
        return None if self.spaces else self._with_baseline((*self.configurations, *self.accepted))

    def _with_baseline(self, configurations: Sequence[Trial]) -> list[Trial]:
        trials = under_every_seed(configurations, self.seeds, self.folds)
        if self.baseline is None:
            return trials
        first = self.folds or 1
        return [*trials[:first], *in_folds(self.baseline, self.folds), *trials[first:]]

    @property
    def n_configurations(self) -> int | None:
        """How many configurations there will be in the end; None where only time or the spaces' end says."""
        if self.spaces or self.bisected:
            return self.limit
        return min(len(self.configurations), self.limit or len(self.configurations))


def plan(spec: StudySpec, source: str, root: Path, defaults: Defaults | None = None) -> StudyPlan:
    """The study's trials, after checking everything that can be checked without training.

    Args:
        spec: the study.
        source: where it was read from, for messages.
        root: the folder of all studies, for a prior from another study.
        defaults: those that the study began with; None for today's.

    Raises:
        InputError: for a bad search space, model, data set or prior, targets that the model does not have, or a
            dilation as large as its feature map.
    """
    from autorf.data import channels_of, load
    from autorf.networks import build

    spaces = read_spaces(spec.search_space, source, spec, defaults)
    check_scale(spec, spaces, source)
    seed, drawn = spec.training.seeds[0], spec.search.sampler not in ("grid", "sufficient")
    named = ends_of(spec, spaces) if drawn else configurations(spec, spaces)
    baseline = baseline_of(spec, source, named)
    listed = [trial for trial in named if trial.method.trained]
    spaces = [space for space in spaces if method_class(space.method).trained]
    splits = load(spec.data, cache=spec.cache)
    classes = splits.class_names
    with notes_kept():
        try:
            model = build(spec.model, classes, channels_of(spec.data))
            check_scales(model, spec.data.image_size, spec.evaluation)
            if any(map(lacks_place, spaces)):
                # What scores no pixels has no place to be looked for.
                _sizes_at(spec.data.image_size, model, spec.model.name, len(classes), splits.task)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
        spec = with_places(spec, spaces, classes, source)
        if spec.model.places:
            model = build(spec.model, classes, channels_of(spec.data))
        warnings = _check_methods(spec, source, listed, model, classes)
    warnings += (*scale_cautions(spec, source, listed), *statistics_caution(spec, source, listed, model))
    warnings += (*weights_cautions(spec, source, listed), *loss_cautions(spec, source, listed))
    warnings += (*class_cautions(spec, source, listed, splits), *draw_cautions(source, splits))
    n_train = n_train_of(spec.data, len(splits.train))
    spec = counted(spec, n_train, source)
    warnings += tuple(fold_cautions(spec, source, splits))
    warnings += _short_searches(spec, source, listed, n_train)
    ordered = default_first([] if drawn else listed, spaces, model, seed, spec)
    # That of a study that began before its grid had the network as built.
    plain_default = default_first([] if drawn else listed, spaces, model, seed)[:1]
    unordered = tuple(ordered)
    bisected: tuple[Trial, ...] = ()
    if spec.search.sampler == "sufficient":
        bisected, too_small = ordered_grid(spec, source, ordered, classes)
        warnings += (too_small,) if too_small else ()
    target_rnorm = prior_rnorm(spec.search.prior, root, source)
    if target_rnorm is not None:
        pool = candidates(spec, spaces) if drawn else ordered[1:]
        near = nearest_first(pool, target_rnorm, spec, classes)
        ordered = [ordered[0], *[trial for trial in near if trial != ordered[0]][: STARTERS if drawn else None]]
    return StudyPlan(
        configurations=tuple(ordered),
        unordered=unordered,
        limit=configuration_limit(spec),
        seeds=spec.training.seeds,
        spaces=tuple(spaces) if drawn else (),
        prior=target_rnorm,
        warnings=warnings,
        examples=_examples([*ordered, *listed, *([baseline] if baseline else [])]),
        n_train=n_train,
        bisected=bisected,
        baseline=baseline,
        places=spec.model.places or (),
        accepted=tuple(trial for trial in plain_default if trial not in ordered),
        folds=folds_of(spec.data),
    )


def _examples(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """The first trial of every method and network, the last kind first."""
    return tuple({(trial.method.method, trial.network): trial for trial in reversed(trials)}.values())


def _short_searches(spec: StudySpec, source: str, trials: Sequence[Trial], n_train: int) -> tuple[str, ...]:
    """Say so where a method searches for so few steps that what it finds may be chance."""
    warnings: dict[str, None] = {}
    for trial in trials:
        search_fraction = trial.method.search_share
        training = spec_of(spec, trial).training
        length = training.steps or training.epochs * math.ceil(n_train / training.batch_size)
        steps = round(search_fraction * length)
        if search_fraction and steps < SEARCH_STEPS:
            warnings[
                f"{source}: {trial.method.method}: its search phase has only {steps} steps, fewer than "
                f"{SEARCH_STEPS}: what it finds may be chance; give more epochs, smaller batches or a larger search"
            ] = None
    return tuple(warnings)


def configuration_limit(spec: StudySpec) -> int | None:
    """How many configurations the budget's trials allow; None without one."""
    trials = None if spec.search.budget is None else spec.search.budget.trials
    return None if trials is None else trials // (len(spec.training.seeds) * (folds_of(spec.data) or 1))


def ends_of(spec: StudySpec, spaces: Sequence[Space]) -> list[Trial]:
    """One configuration for every end of every axis, to check spaces that cannot be listed."""
    trials: list[Trial] = []
    for space in spaces:
        lowest = {name: axis.ends()[0] for name, axis in space.axes.items()}
        corners = [{**lowest, name: end} for name, axis in space.axes.items() for end in axis.ends()] or [lowest]
        for values in corners:
            trials.append(trial_from({"method": space.method, **values}, spec.training.seeds[0], spec))
    return list(dict.fromkeys(trials))


def _sizes_at(
    image_size: tuple[int, int], model: nn.Module, name: str, n_classes: int, task: Task
) -> dict[str, tuple[int, int]]:
    """The model's maps for images of a size; an error names the size where the model does not take it.

    Raises:
        InputError: also for a model that does not score what the task has a class for.
    """
    outputs: list[Any] = []
    try:
        sizes = map_sizes(model, image_size, outputs.append)
        check_scores(outputs[0], name, n_classes, task)
        return sizes
    except InputError as error:
        if outputs:
            raise
        height, width = image_size
        channels = input_channels(model)
        kind = "images" if channels == 3 else f"images of {channels} channels and"
        raise InputError(
            f"data.image_size: {name} does not take {kind} of {height} x {width} pixels: {error}"
        ) from None


def _check_methods(
    spec: StudySpec, source: str, listed: Sequence[Trial], model: nn.Module, classes: Any
) -> tuple[str, ...]:
    """Put every method into every network once; what is wrong is an error, what is useless a warning."""
    from autorf.data import channels_of
    from autorf.networks import build

    warnings: dict[str, None] = {}
    first: dict[tuple[Method, Settings], Trial] = {}
    for trial in listed:
        first.setdefault((trial.method, trial.network), trial)
    network, sizes = spec.model, dict[str, tuple[int, int]]()
    image_size: tuple[int, int] | None = None
    try:
        for (method, _), trial in first.items():
            own = spec_of(spec, trial)
            if own.model != network:
                model, network, image_size = build(own.model, classes, channels_of(own.data)), own.model, None
            if own.data.image_size != image_size:
                image_size = own.data.image_size
                sizes = _sizes_at(image_size, model, network.name, len(classes), TASKS[spec.task])
            adapted = _adapted(build(own.model, classes, channels_of(own.data)), method)
            method.check_classes(len(classes))
            if spec.training.compile and not method.compiles:
                raise InputError(
                    f"training.compile: {method.method} changes the sizes of its maps from step to step, and the "
                    "network would be compiled anew for each; leave training.compile out, or the method"
                )
            if problem := dead_dilation(adapted, model, sizes):
                raise InputError(f"{trial.method.method} ({trial.setting}): {problem}")
            for useless in (dead_options(adapted, sizes), several_layers(adapted, sizes)):
                if useless:
                    warnings[f"{source}: {trial.method.method}: {useless}"] = None
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    return tuple(warnings)


def _adapted(model: nn.Module, method: Method) -> nn.Module:
    """``model`` adapted; a target that the forward pass does not call is an error here."""
    from autorf.surgery import adapt

    with catch_warnings():
        simplefilter("error", TrainingWarning)
        try:
            return adapt(model, method)
        except TrainingWarning as unused:
            raise InputError(str(unused)) from None
