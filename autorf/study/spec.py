"""The study file: data, model, training, search spaces and how to search them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from autorf.data import DataSpec
from autorf.errors import InputError, shown_place
from autorf.networks.spec import ModelSpec
from autorf.own_code.code import OwnCode
from autorf.specification import Specification, parse
from autorf.study.checks import check_parts, check_pruning
from autorf.study.distill_spec import DistillSpec
from autorf.study.evaluation_spec import EvaluationSpec
from autorf.study.executor_spec import ExecutorSpec
from autorf.study.fold_checks import check_foldable
from autorf.study.plain_yaml import parse_yaml
from autorf.study.published_spec import PublishedSpec
from autorf.study.search_spec import SearchSpec
from autorf.study.storage_spec import StorageSpec
from autorf.study.study_name import SafeName
from autorf.study.task_checks import with_task_defaults
from autorf.study.tracking_spec import TrackingSpec
from autorf.training.spec import TrainingSpec, steps_per_epoch


class StudySpec(Specification):
    """A study file.

    Attributes:
        name: of the study and its folder.
        task: ``segmentation``, a class for every pixel, or ``classification``, one for every picture; it says which
            data sets, networks and metrics the study may have.
        data: the data set.
        model: the network.
        search_space: names of built-in search spaces, paths of YAML files, or spaces written out in place.
        training: how each trial is trained.
        search: how the space is searched.
        evaluation: how finished models are evaluated beside their single-scale scores.
        executor: where trials run.
        storage: where the study remembers.
        tracking: where results are mirrored.
        distill: how ``autorf distill`` has ``model`` learn from a larger network; None where it does not. A search
            takes no notice of it.
        published: figures of a paper that the study should meet, printed beside ours.
    """

    name: SafeName
    task: Literal["segmentation", "classification"] = "segmentation"
    data: DataSpec
    model: ModelSpec
    search_space: Annotated[tuple[str | dict[str, Any], ...], Field(min_length=1)]
    training: TrainingSpec = TrainingSpec()
    search: SearchSpec = SearchSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    executor: ExecutorSpec = ExecutorSpec()
    storage: StorageSpec = StorageSpec()
    tracking: TrackingSpec = TrackingSpec()
    distill: DistillSpec | None = None
    published: tuple[PublishedSpec, ...] = ()
    _n_train: int | None = PrivateAttr(None)
    _code: OwnCode | None = PrivateAttr(None)
    _cache: Path | None = PrivateAttr(None)

    @model_validator(mode="before")
    @classmethod
    def _with_task_defaults(cls, values: Any) -> Any:
        return with_task_defaults(values)

    @property
    def n_train(self) -> int | None:
        """How many training images an epoch has; None before the study was :func:`counted`."""
        return self._n_train

    @property
    def steps_per_epoch(self) -> int | None:
        """How many optimizer steps an epoch has, with the study's batch size; None before it was :func:`counted`."""
        if self._n_train is None:
            return None
        return steps_per_epoch(self._n_train, self.training.batch_size, self.executor.resources.count)

    @property
    def code(self) -> OwnCode | None:
        """The user's own code that the study names, as it was read; None before it was."""
        return self._code

    def with_code(self, code: OwnCode | None) -> Self:
        """The study with the user's own code that it names, for whoever runs its trials."""
        study = self.model_copy()
        study._code = code
        return study

    @property
    def cache(self) -> Path | None:
        """The folder that keeps decoded pictures for all trials of a machine; None for none."""
        return self._cache

    def with_cache(self, cache: Path | None) -> Self:
        """The study whose trials keep decoded pictures in a folder, of which no file says anything."""
        study = self.model_copy()
        study._cache = None if cache is None else cache.absolute()
        return study

    def with_n_train(self, n_train: int | None) -> Self:
        """The study that knows how many training images an epoch has, of which no file says anything."""
        study = self.model_copy()
        study._n_train = n_train
        return study


def parse_study(values: Mapping[str, Any], source: str, overrides: tuple[str, ...] = ()) -> StudySpec:
    """A study from plain values and ``a.b=c`` overrides.

    Raises:
        InputError: one line that names the source, the field, the value and what is legal.
    """
    merged = dict(values)
    for override in overrides:
        merged = _override(merged, override)
    check_foldable(merged, source)
    spec = parse(StudySpec, merged, source)
    check_parts(spec, source)
    return spec


def counted(spec: StudySpec, n_train: int, source: str) -> StudySpec:
    """The study with a training whose validations can be counted: in epochs, or in steps of its own batch size.

    It knows how many steps an epoch has then, for trials that are trained longer than the study says.

    Args:
        spec: the study.
        n_train: how many training images an epoch has.
        source: for messages.

    Raises:
        InputError: where pruning has no validation left to prune at.
    """
    spec = spec.with_n_train(n_train)
    if not spec.training.in_steps or spec.steps_per_epoch is None:
        return spec
    whole = spec.model_copy(update={"training": spec.training.counted(spec.steps_per_epoch)})
    check_pruning(whole, source)
    return whole


_MOST_KEYS = 20
"""Of a dotted key; no study file is as deep."""


def _override(values: Mapping[str, Any], override: str) -> dict[str, Any]:
    path, separator, text = override.partition("=")
    keys = path.strip().split(".")
    if not separator or not all(keys) or len(keys) > _MOST_KEYS:
        raise InputError(f"--set {shown_place(override)}: expected KEY=VALUE with a dotted key, as training.epochs=4")
    return _with(values, keys, parse_yaml(text, f"--set {path.strip()}"), override)


def _with(values: Any, keys: list[str], value: Any, override: str) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise InputError(f"--set {shown_place(override)}: {keys[0]!r} lies inside a value that has no keys")
    inner = value if len(keys) == 1 else _with(values.get(keys[0]) or {}, keys[1:], value, override)
    return {**values, keys[0]: inner}
