"""What a network is asked of a picture: a class for every pixel, or one for the whole. Light to import.

A class of a whole picture is kept as a mask of one pixel, so that confusions, losses and statistics over images are
those of segmentation with one pixel an image. What differs between the tasks stands here as data, and where tensors
are concerned in a class of each floor that is chosen by the task's name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TOP = 5
"""Of the metric ``top5_accuracy``: how many of the classes with the highest scores may hold the right one."""


@dataclass(frozen=True)
class Task:
    """What a study's networks are trained for.

    Attributes:
        name: as a study file says it.
        metrics: measured on the validation split, more is better; the first is the objective where a study names none.
        titles: of the metrics, as people call them.
        beside: metrics that tables show beside the one that is compared.
        losses: the built-in losses that have a meaning; None for all.
    """

    name: str
    metrics: tuple[str, ...]
    titles: Mapping[str, str]
    beside: tuple[str, ...]
    losses: tuple[str, ...] | None = None


SEGMENTATION = Task(
    name="segmentation",
    metrics=("miou", "f1", "pixel_accuracy"),
    titles={"miou": "mIoU", "f1": "F1", "pixel_accuracy": "pixel accuracy"},
    beside=("f1",),
)

CLASSIFICATION = Task(
    name="classification",
    metrics=("accuracy", "top5_accuracy", "class_accuracy"),
    titles={"accuracy": "acc@1", "top5_accuracy": "acc@5", "class_accuracy": "mean class acc"},
    beside=("top5_accuracy", "class_accuracy"),
    losses=("cross_entropy", "focal"),
)

TASKS: Mapping[str, Task] = {task.name: task for task in (SEGMENTATION, CLASSIFICATION)}
"""By name."""

METRICS: tuple[str, ...] = tuple(metric for task in TASKS.values() for metric in task.metrics)
"""Of all tasks."""

TITLES: Mapping[str, str] = {metric: title for task in TASKS.values() for metric, title in task.titles.items()}
"""What people call the metrics of all tasks."""


def task_of(file: Mapping[str, Any]) -> Task:
    """The task of a study by its file as it is stored; an older one says nothing and segments.

    >>> task_of({"task": "classification"}).metrics[0]
    'accuracy'
    """
    return TASKS.get(str(file.get("task")), SEGMENTATION)


def task_of_metric(metric: str) -> Task | None:
    """The task that a metric is of; None for a cost, or the F1 of a label group.

    >>> task_of_metric("top5_accuracy").name
    'classification'
    """
    return next((task for task in TASKS.values() if metric in task.metrics), None)
