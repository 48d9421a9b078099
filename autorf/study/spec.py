"""The study file: data, model, training, search spaces and how to search them."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from autorf import plugins
from autorf.data import DataSpec
from autorf.data.patch_spec import PictureFiles
from autorf.errors import InputError, near_names, shown, shown_place
from autorf.networks.spec import ModelSpec
from autorf.own_code.code import OwnCode
from autorf.specification import Number, PositiveFloat, PositiveInt, Specification, Url, WholeNumber, parse
from autorf.study.distill_spec import DistillSpec
from autorf.study.evaluation_spec import EvaluationSpec
from autorf.study.fold_checks import check_foldable, check_folds
from autorf.study.objectives import group_of, parse_constraint
from autorf.study.plain_yaml import MOST_CHARACTERS, parse_yaml
from autorf.study.published_spec import PublishedSpec
from autorf.study.search_spec import SearchSpec
from autorf.study.task_checks import check_classes, check_task, with_task_defaults
from autorf.training.spec import TrainingSpec, steps_per_epoch


def _safe_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise ValueError(
            "a study's name becomes a folder: letters, digits, '_', '-' and '.', at most 64, "
            "beginning with a letter or digit"
        )
    return name


def checked_name(name: object, where: str) -> str:
    """A study's name that is given to a function.

    Raises:
        InputError: unless it can be a folder's name.
    """
    try:
        return _safe_name(name if isinstance(name, str) else "")
    except ValueError as error:
        raise InputError(f"{where} {shown(name)}: {error}") from None


def _mlflow_uri(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    if not uri.startswith("databricks") and (not separator or not rest or scheme == "file"):
        raise ValueError(
            "an MLflow address such as https://mlflow.example.org, or a database such as sqlite:///mlflow.db; "
            "MLflow 3 keeps runs in plain folders no more"
        )
    return uri


SafeName = Annotated[str, AfterValidator(_safe_name)]


def _address(address: str) -> str:
    if address != "auto" and not re.fullmatch(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}", address):
        raise ValueError("must be host:port, as 'ray start --head' prints it, or auto")
    return address


class ResourcesSpec(Specification):
    """What one trial gets under Ray.

    A trial in several processes is trained data-parallel, through Ray Train: ``training.batch_size`` images a step are
    shared equally among them, batch norm normalises each process's part with that part's own statistics (the first
    process's running ones are kept), and validation counts every image once.

    Attributes:
        cpu: CPUs, fractions too; None for ``training.threads`` a process.
        gpu: GPUs; a fraction shares one among trials, more than one gives each a process.
        processes: of a trial without GPUs.
    """

    cpu: PositiveFloat | None = None
    gpu: Annotated[Number, Field(ge=0)] = 0.0
    processes: PositiveInt = 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.gpu > 1 and self.gpu != int(self.gpu):
            raise ValueError(f"gpu must be a share of one GPU or a whole number of them, got {self.gpu:g}")
        if self.gpu and self.processes > 1:
            raise ValueError("processes is for trials without GPUs; gpu above 1 gives each GPU one")
        return self

    @property
    def count(self) -> int:
        """How many processes train a trial."""
        return int(self.gpu) if self.gpu > 1 else self.processes


EXECUTORS: plugins.Registry[Callable[["StudySpec", Path, int | None], Any]] = plugins.Registry(
    plugins.EXECUTORS,
    "executor",
    ("local", "ray"),
    lambda _, make: None if callable(make) else "cannot be called",
)
"""Kinds of executors that packages add: ``(spec, folder, jobs) -> Executor``, see :func:`autorf.executors.make`."""


def _executor_kind(name: str) -> str:
    if not EXECUTORS.knows(name):
        raise ValueError(EXECUTORS.unknown(name))
    return name


class ExecutorSpec(Specification):
    """Where trials run.

    Attributes:
        kind: ``local``: worker processes on this machine. ``ray``: Ray Tune, on a cluster or on this machine. Or a
            kind that an installed package adds.
        workers: how many trials run at once; None for one where there is a GPU, else one a ``training.threads`` CPU
            cores, under Ray for as many as the cluster holds.
        resources: of one trial under Ray.
        address: of a Ray cluster, ``host:port`` or ``auto`` for the one running on this machine; None starts one that
            only this machine can reach, for the time of the search.
    """

    kind: Annotated[str, AfterValidator(_executor_kind)] = "local"
    workers: Annotated[PositiveInt, Field(le=1024)] | None = None
    resources: ResourcesSpec = ResourcesSpec()
    address: Annotated[str, AfterValidator(_address)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("resources", "address"):
            # A stored study file names every field; the defaults are no wish.
            if self.kind == "local" and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is for kind: ray")
        return self


def _postgresql(url: str) -> str:
    parts = urlsplit(url)
    try:
        whole = parts.port != 0 and "@" not in parts.path and not any(sign.isspace() for sign in url)
    except ValueError:
        whole = False
    if not whole:
        raise ValueError("PORT must be a number, and signs such as / @ and spaces in a password written as %2F %40 %20")
    if parts.scheme != "postgresql+psycopg" or len(parts.path) < 2:
        raise ValueError(
            "must be postgresql+psycopg://USER@HOST:PORT/DATABASE; leave it out for SQLite in the study's folder"
        )
    return url


class StorageSpec(Specification):
    """Where the study remembers what is wanted, running and done.

    Attributes:
        url: ``postgresql+psycopg://USER@HOST:PORT/DATABASE`` for drivers on many machines, or None for SQLite in the
            study's folder, for any number of drivers on one machine. A password is better left to ``PGPASSWORD`` or
            ``~/.pgpass``; one in the URL is never printed or stored.
        lease_seconds: a driver that was silent for so long has its trials taken over by another.
        patience_minutes: how long a search waits for a storage that cannot be reached before it stops, resumable.
    """

    url: Annotated[Annotated[Url, AfterValidator(_postgresql)] | None, Field(repr=False)] = None
    lease_seconds: PositiveFloat = 120.0
    patience_minutes: Annotated[Number, Field(ge=0)] = 10.0


class TrackingSpec(Specification):
    """Where MLflow's mirror of the study lives.

    Attributes:
        uri: an MLflow tracking URI, or None for ``mlflow.db`` under the root.
        system_metrics: record processor, memory, disk, network and GPU use on the study's run.
        keep: of how many of the best manual and of the best learned trials the weights are mirrored.
    """

    uri: Annotated[str, AfterValidator(_mlflow_uri)] | None = None
    system_metrics: bool = False
    keep: Annotated[WholeNumber, Field(ge=0)] = 1


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


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, read safely.

    Raises:
        InputError: when the file cannot be read, is no YAML, or holds no mapping.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"{shown_place(str(path))}: cannot be read: {reason}") from None
    content = parse_yaml(text, str(path))
    if not isinstance(content, dict):
        raise InputError(f"{shown_place(str(path))}: expected keys and values, got {type(content).__name__}")
    return content


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
    _check_search(spec, source)
    return spec


def _check_search(spec: StudySpec, source: str) -> None:
    """Raise ``InputError`` where the search asks for what the training cannot give."""
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
        _check_pruning(spec, source)
    check_seeds(spec, source)


def check_seeds(spec: StudySpec, source: str) -> None:
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


def _check_patches(spec: StudySpec, source: str) -> None:
    """Raise ``InputError`` where whole pictures, which are validated in tiles, would be seen at several scales."""
    if spec.evaluation.asked and isinstance(spec.data, PictureFiles) and spec.data.patches is not None:
        raise InputError(
            f"{source}: evaluation: whole pictures that are validated in tiles (data.patches) are seen at their own "
            "scale only; leave evaluation out"
        )


def _check_compile(spec: StudySpec, source: str) -> None:
    """Raise ``InputError`` where a network that several processes train would be compiled."""
    if spec.training.compile and spec.executor.resources.count > 1:
        raise InputError(
            f"{source}: training.compile: a trial in {spec.executor.resources.count} processes (executor.resources) is "
            "not compiled; leave one of them out"
        )


def check_heat_map(spec: StudySpec) -> None:
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
    _check_pruning(whole, source)
    return whole


def _check_groups(spec: StudySpec, source: str) -> None:
    """Raise ``InputError`` where the search aims at a label group that the data set does not have."""
    limits = [parse_constraint(text).name for text in spec.search.constraints]
    for name in (*spec.search.objectives, *limits):
        _check_group(spec, name, f"{source}: search")


def _check_group(spec: StudySpec, metric: str, place: str) -> None:
    group = group_of(metric)
    if group is None:
        return
    from autorf.data.loading import labels_of

    groups = labels_of(spec.data).groups or {}
    if group not in groups:
        has = f"has {', '.join(f'f1_{name}' for name in groups)}" if groups else "has no label groups (data.groups)"
        raise InputError(f"{place}: f1_{group}: the data set {spec.data.name} {has}{near_names(group, groups)}")


def _check_published(spec: StudySpec, source: str) -> None:
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


def _check_stop(spec: StudySpec, source: str) -> None:
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


def _check_pruning(spec: StudySpec, source: str) -> None:
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
