"""What a study's task means by what its file leaves out, and what does not go with it."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from autorf.data import DataSpec
from autorf.data.class_spec import ClassData
from autorf.errors import InputError
from autorf.losses.spec import BUILT_IN
from autorf.study.objectives import group_of, parse_constraint
from autorf.tasks import CLASSIFICATION, SEGMENTATION, TASKS, Task, task_of_metric
from autorf.training.spec import TrainingSpec, check_class_weights

if TYPE_CHECKING:
    from autorf.study.spec import StudySpec

_CLASS_DATA = "image_folder, imagenet, stanford_cars, fgvc_aircraft, digit_classes and python"
_SEGMENTERS = ("smp", "largefov", "hf")
"""Families of models that score every pixel."""


def with_task_defaults(values: Any) -> Any:
    """A study file whose metrics that are left out are its task's first, and whose own data are of its task.

    >>> with_task_defaults({"task": "classification"})["search"]
    {'objectives': ['accuracy']}
    """
    name = values.get("task") if isinstance(values, Mapping) else None
    task = TASKS.get(name, SEGMENTATION) if isinstance(name, str) else SEGMENTATION
    if task is SEGMENTATION:
        return values
    search, training = values.get("search", {}), values.get("training", {})
    filled = dict(values)
    if isinstance(search, Mapping):
        filled["search"] = {"objectives": [task.metrics[0]], **search}
    data = values.get("data")
    if isinstance(data, Mapping) and data.get("name") == "python":
        filled["data"] = {**data, "name": "python_classes"}
    stop = training.get("stop") if isinstance(training, Mapping) else None
    if isinstance(stop, Mapping):
        filled["training"] = {**training, "stop": {"metric": task.metrics[0], **stop}}
    return filled


def check_task(spec: "StudySpec", source: str) -> None:
    """Raise ``InputError`` where a study asks for what its task does not have, before any data is read."""
    task = TASKS[spec.task]
    _check_data(spec, source)
    for key, metric in _metrics(spec):
        _check_metric(metric, task, f"{source}: {key}")
    if task != CLASSIFICATION:
        return
    for key, reason in _of_pixels(spec):
        raise InputError(f"{source}: {key}: {reason}; leave it out, or set task: segmentation")
    for term in spec.training.loss.listed:
        if term.name in BUILT_IN and term.name not in (task.losses or BUILT_IN):
            raise InputError(
                f"{source}: training.loss: {term.name} is of regions or of pixels among pixels, and a picture has one "
                f"class; with task: classification give {' or '.join(task.losses or ())}, or one of your own"
            )


def check_classes(training: TrainingSpec, data: DataSpec, source: str) -> None:
    """Raise ``InputError`` where weights or a threshold do not fit the classes of the data set."""
    if training.threshold is None and isinstance(training.class_weights, str):
        return
    from autorf.data.loading import class_names

    names = class_names(data)
    try:
        check_class_weights(training, names)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    if training.threshold is not None and len(names) != 2:
        raise InputError(
            f"{source}: training.threshold: one output channel tells two classes apart, {data.name} has {len(names)}; "
            "leave it out"
        )


def _check_data(spec: "StudySpec", source: str) -> None:
    """Raise ``InputError`` for a data set of the other task."""
    of_pictures = isinstance(spec.data, ClassData)
    if spec.task == CLASSIFICATION.name and not of_pictures:
        raise InputError(
            f"{source}: data.name: {spec.data.name} has masks, a class for every pixel; task: classification reads "
            f"{_CLASS_DATA}"
        )
    if spec.task == SEGMENTATION.name and of_pictures:
        raise InputError(
            f"{source}: data.name: {spec.data.name} has one class a picture, and the study segments; set task: "
            "classification, or name a data set with masks"
        )


def _metrics(spec: "StudySpec") -> Iterator[tuple[str, str]]:
    """Every metric that a study file names, with its key."""
    for name in spec.search.objectives:
        yield "search.objectives", name
    for text in spec.search.constraints:
        yield "search.constraints", parse_constraint(text).name
    if spec.training.stop is not None:
        yield "training.stop.metric", spec.training.stop.metric
    for number, figure in enumerate(spec.published):
        yield f"published.{number}.metric", figure.metric


def _check_metric(metric: str, task: Task, place: str) -> None:
    of = SEGMENTATION if group_of(metric) is not None else task_of_metric(metric)
    if of is None or of is task:
        return
    raise InputError(
        f"{place}: {metric} is a metric of task: {of.name}, and the study has task: {task.name}, whose metrics are "
        f"{', '.join(task.metrics)}"
    )


def _of_pixels(spec: "StudySpec") -> Iterator[tuple[str, str]]:
    """The keys of a classification that only a segmentation has, each with the reason."""
    family = spec.model.name.partition(":")[0]
    if family in _SEGMENTERS:
        yield (
            "model.name",
            f"{spec.model.name} scores every pixel; a classification has timm:NAME, torchvision:NAME, paper:drn_c_26 "
            "or a network of your own",
        )
    if spec.training.threshold is not None:
        yield "training.threshold", "one output channel is for pixels of two classes, and a picture has a score a class"
    if spec.evaluation.asked:
        yield "evaluation", "several sizes are fused pixel by pixel, and a picture has one class"
    if spec.distill is not None:
        yield "distill", "a student learns its teacher's scores of every pixel, and a picture has one class"
