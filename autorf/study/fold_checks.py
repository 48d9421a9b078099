"""What a study in folds cannot have: what would choose by one fold's images, or end trials apart."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args

from autorf.data import DATA
from autorf.data.built_in import BuiltIn
from autorf.data.fold_spec import Foldable, fold_of, folds_of
from autorf.errors import InputError

if TYPE_CHECKING:
    from autorf.study.spec import StudySpec

_FOLDABLE = [kind.model_fields["name"].default for kind in get_args(BuiltIn) if issubclass(kind, Foldable)]


def check_foldable(values: Mapping[str, Any], source: str) -> None:
    """Raise ``InputError`` for folds of a data set that has a validation split by itself, before its keys are read."""
    data = values.get("data")
    if not isinstance(data, Mapping) or data.get("folds") is None:
        return
    if data.get("name") not in DATA.built_in or data["name"] in _FOLDABLE:
        return
    raise InputError(
        f"{source}: data.folds: {data['name']} has a validation split; folds are for data without one "
        f"({', '.join(_FOLDABLE)}); leave data.folds out"
    )


def check_folds(spec: "StudySpec", source: str) -> None:
    """Raise ``InputError`` where a study in folds asks for what folds cannot give.

    Args:
        spec: the study.
        source: for messages.
    """
    if fold_of(spec.data) is not None:
        raise InputError(
            f"{source}: data.fold: every trial is one fold by itself, and a study has them all; leave data.fold out"
        )
    folds = folds_of(spec.data)
    if folds is None:
        return
    for key, reason in _contradictions(spec):
        raise InputError(f"{source}: {key}: {reason}; leave {key} or data.folds out")
    budget = None if spec.search.budget is None else spec.search.budget.trials
    least = len(spec.training.seeds) * folds
    if budget is not None and budget < least:
        raise InputError(
            f"{source}: search.budget.trials: {budget} trials are less than one configuration under "
            f"{len(spec.training.seeds)} seeds in {folds} folds; give at least {least}"
        )


def _contradictions(spec: "StudySpec") -> Iterator[tuple[str, str]]:
    """The keys that folds contradict, each with the reason."""
    search = spec.search
    if search.pruning is not None:
        yield "search.pruning", "it ranks trials before their end, and trials of different folds have other images"
    if search.stop is not None:
        yield "search.stop", "it follows the scores of single trials, and trials of different folds have other images"
    if search.sampler != "grid":
        yield "search.sampler", f"{search.sampler} follows the scores of single trials; folds are for grid"
    if spec.training.stop is not None:
        yield "training.stop", "it would choose each model's length by the very images that score it"
    if spec.evaluation.asked:
        yield "evaluation", "scores over several image sizes are not pooled over folds"
    if spec.distill is not None:
        yield "distill", "a student needs one split that validates, and folds have none"
