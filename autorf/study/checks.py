"""What the parts of a study, each of them legal, must not ask for together."""

from typing import TYPE_CHECKING

from autorf.data.patch_spec import PictureFiles
from autorf.errors import InputError, near_names
from autorf.study.fold_checks import check_folds
from autorf.study.objectives import group_of, parse_constraint
from autorf.study.task_checks import check_classes, check_task

if TYPE_CHECKING:
    from autorf.study.spec import StudySpec


def check_parts(spec: "StudySpec", source: str) -> None:
    """Raise ``InputError`` for the first thing that does not go with another part of the study."""
    training = spec.training
    check_task(spec, source)
    check_folds(spec, source)
    try:
        check_heat_map(spec)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    _check_groups(spec, source)
    _check_published(spec, source)
    check_classes(training, spec.data, source)
    _check_stop(spec, source)
    _check_patches(spec, source)
    _check_compile(spec, source)
    if not training.in_steps:
        check_pruning(spec, source)
    check_seeds(spec, source)


def check_seeds(spec: "StudySpec", source: str) -> None:
    """Raise ``InputError`` where the search needs more seeds, or a larger budget for those that there are."""
    search, training = spec.search, spec.training
    if search.stop is not None and search.stop.noise is None and len(training.seeds) < 2:
        raise InputError(
            f"{source}: search.stop: one seed tells nothing of the noise between seeds; state it (noise: 0.01) or give "
            "training.seeds two or more"
        )
    trials = None if search.budget is None else search.budget.trials
    if trials is not None and trials < len(training.seeds):
        raise InputError(
            f"{source}: search.budget.trials: {trials} trials are less than one configuration under "
            f"{len(training.seeds)} seeds; give at least {len(training.seeds)}"
        )


def check_heat_map(spec: "StudySpec") -> None:
    """Raise ``InputError`` where images have a map of landmarks and the network no weights of their own for it."""
    landmarks = getattr(spec.data, "landmarks", None)
    if spec.model.name.startswith("python:") or landmarks is None:
        return
    if landmarks.heat_map and not spec.model.added_channels:
        raise InputError("data.landmarks.heat_map: gives images a fourth channel; set model.added_channels: 1 for it")
    if spec.model.added_channels and not landmarks.heat_map:
        raise InputError(
            "model.added_channels: images have three channels; set data.landmarks.heat_map: true for a map"
        )


def _check_patches(spec: "StudySpec", source: str) -> None:
    """Raise ``InputError`` where whole pictures, which are validated in tiles, would be seen at several scales."""
    if spec.evaluation.asked and isinstance(spec.data, PictureFiles) and spec.data.patches is not None:
        raise InputError(
            f"{source}: evaluation: whole pictures that are validated in tiles (data.patches) are seen at their own "
            "scale only; leave evaluation out"
        )


def _check_compile(spec: "StudySpec", source: str) -> None:
    """Raise ``InputError`` where a network that several processes train would be compiled."""
    if spec.training.compile and spec.executor.resources.count > 1:
        raise InputError(
            f"{source}: training.compile: a trial in {spec.executor.resources.count} processes (executor.resources) is "
            "not compiled; leave one of them out"
        )


def _check_groups(spec: "StudySpec", source: str) -> None:
    """Raise ``InputError`` where the search aims at a label group that the data set does not have."""
    limits = [parse_constraint(text).name for text in spec.search.constraints]
    for name in (*spec.search.objectives, *limits):
        _check_group(spec, name, f"{source}: search")


def _check_group(spec: "StudySpec", metric: str, place: str) -> None:
    group = group_of(metric)
    if group is None:
        return
    from autorf.data.loading import labels_of

    groups = labels_of(spec.data).groups or {}
    if group not in groups:
        has = f"has {', '.join(f'f1_{name}' for name in groups)}" if groups else "has no label groups (data.groups)"
        raise InputError(f"{place}: f1_{group}: the data set {spec.data.name} {has}{near_names(group, groups)}")


def _check_published(spec: "StudySpec", source: str) -> None:
    """Raise ``InputError`` for a published figure of what no trial of the study can be."""
    if not spec.published:
        return
    from autorf.study.published import check_where

    for number, figure in enumerate(spec.published):
        place = f"{source}: published.{number}"
        _check_group(spec, figure.metric, place)
        if figure.stage is not None and spec.distill is None:
            raise InputError(f"{place}.stage: {figure.stage}: the study has no section distill; leave stage out")
        if figure.multiscale and not spec.evaluation.asked:
            raise InputError(f"{place}.multiscale: the study scores at one size; give evaluation.scales the others")
        check_where(spec, figure.where, f"{place}.where")


def _check_stop(spec: "StudySpec", source: str) -> None:
    """Raise ``InputError`` where trainings may end early and the search needs them to be equally long."""
    if spec.training.stop is None:
        return
    if spec.search.pruning is not None:
        raise InputError(
            f"{source}: training.stop: search.pruning ends trainings too, by their rank among equally long ones; give "
            "one of the two"
        )
    if spec.search.sampler == "sufficient":
        raise InputError(
            f"{source}: training.stop: sampler sufficient compares fields that are trained equally; leave it out"
        )


def check_pruning(spec: "StudySpec", source: str) -> None:
    """Raise ``InputError`` where no validation is left to prune at; of a training in steps, once it is counted."""
    pruning, training = spec.search.pruning, spec.training
    if pruning is not None and pruning.min_epochs >= training.validations:
        length = (
            f"the {training.validations} validations of {training.steps} steps; lower training.validate_every"
            if training.in_steps
            else f"training.epochs {training.epochs}; raise training.epochs"
        )
        raise InputError(
            f"{source}: search.pruning: nothing is left to prune: min_epochs {pruning.min_epochs} must be less than "
            f"{length} or leave pruning out"
        )
