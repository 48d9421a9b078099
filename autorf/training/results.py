"""What a trial measured, after every epoch and at its end; written once, to and from JSON here and nowhere else.

Learned values stand apart from metrics: nothing that a method calls its own can take a metric's place.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as by_default
from typing import Any, Self

from autorf import tasks
from autorf.tasks import SEGMENTATION
from autorf.training.multiscale_scores import MultiScaleScores
from autorf.training.plain_values import DamagedError, is_number, mapping, number, numbers, per_class, whole, written

__all__ = [
    "COSTS",
    "GROUP",
    "LABELLED",
    "METRICS",
    "OLD_RULE",
    "DamagedError",
    "EpochReport",
    "Field",
    "MultiScaleScores",
    "TrialResult",
    "group_scores",
]

METRICS = SEGMENTATION.metrics
"""Of a segmentation, measured on the validation split; more is better. Those of all tasks are in
:mod:`autorf.tasks`."""

GROUP = "f1_"
"""What the name of a label group's F1 begins with, as an objective and everywhere else: ``f1_overall``."""

LABELLED = "labelled"
"""Means are over the classes with a labelled pixel in the split, whatever is predicted."""

OLD_RULE = "old rule"
"""Means are over the classes with a labelled or a predicted pixel, as earlier versions had it, and the two differ."""

COSTS = ("parameters", "flops", "latency_ms", "peak_memory_mb")
"""Measured once a trial; less is better."""


Matrix = tuple[tuple[int, ...], ...]
"""Counts, row by row."""


@dataclass(frozen=True)
class Field:
    """A receptive field: ``rf`` ``(h, w)`` in input pixels, and ``rnorm``, its share of the image's side."""

    rf: tuple[float, float]
    rnorm: float


@dataclass(frozen=True, kw_only=True)
class _Report:
    """What an epoch's report and a trial's result share.

    Attributes:
        metrics: by name, those of the study's task; on the validation split.
        groups: F1 of every label group of the data set that has a labelled pixel, by the group's name.
        learned: what the methods learned, by the names they give it (``f``, ``dilation``).
        field: as it is now; None where nobody measured it.
        steps: optimizer steps reached; None in rows of versions that did not count them.
        seconds: of training so far, wall time.
        cpu_seconds: the same in processor time; None where a GPU trained.
        costs: by name, of :data:`COSTS`.
    """

    metrics: Mapping[str, float]
    groups: Mapping[str, float] = by_default(default_factory=dict)
    learned: Mapping[str, float] = by_default(default_factory=dict)
    field: Field | None = None
    steps: int | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    costs: Mapping[str, float] = by_default(default_factory=dict)

    @property
    def miou(self) -> float:
        """Mean IoU, 0 to 1."""
        return self.metrics.get("miou", math.nan)

    @property
    def headline(self) -> float:
        """The first metric of its task, mIoU or top-1 accuracy; nan where nobody measured it."""
        first = (task.metrics[0] for task in tasks.TASKS.values())
        return next((self.metrics[metric] for metric in first if metric in self.metrics), math.nan)

    @property
    def rf(self) -> tuple[float, float] | None:
        """``(h, w)`` in input pixels."""
        return None if self.field is None else self.field.rf

    @property
    def rnorm(self) -> float | None:
        """The receptive field as a share of the image's side."""
        return None if self.field is None else self.field.rnorm

    @property
    def side(self) -> float:
        """The longer side of the receptive field in input pixels; nan where nobody measured it."""
        return math.nan if self.field is None else max(self.field.rf)

    @property
    def by_name(self) -> Mapping[str, float]:
        """All that a search can aim at or limit; what was not measured is left out."""
        measured = {"rnorm": self.rnorm, "train_seconds": self.seconds}
        present = {name: value for name, value in measured.items() if value is not None}
        return {**self.metrics, **group_scores(self.groups), **self.costs, **present}


def group_scores(groups: Mapping[str, float]) -> dict[str, float]:
    """The F1 of label groups by the names that objectives have: ``f1_overall``."""
    return {f"{GROUP}{name}": value for name, value in groups.items()}


@dataclass(frozen=True, kw_only=True)
class EpochReport(_Report):
    """What a trial says after an epoch.

    Attributes:
        epoch: its number, from 0.
        loss: of training, the epoch's mean.
        trace: learned values from step to step, see :class:`autorf.training.trace.Trace`.

    Example:
        >>> report = EpochReport(epoch=0, metrics={"miou": 0.5}, learned={"f": 1.2})
        >>> EpochReport.from_json(report.to_json()) == report
        True
    """

    epoch: int
    loss: float | None = None
    trace: Mapping[str, Any] = by_default(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values; what was learned stands beside the rest, as it always did, but apart where a name is taken."""
        own = {"epoch": self.epoch, "loss": self.loss, "trace": dict(self.trace) or None, **_shared(self)}
        reported = written(own)
        learned = written(self.learned)
        taken = {name: value for name, value in learned.items() if name in _EPOCH_NAMES}
        free = {name: value for name, value in learned.items() if name not in _EPOCH_NAMES}
        return {**free, **_UNKNOWN, **reported, **({"learned": taken} if taken else {})}

    @classmethod
    def from_json(cls, stored: object) -> Self:
        """The report that :meth:`to_json` of this or an earlier version wrote.

        Raises:
            DamagedError: for anything else.
        """
        values = mapping(stored)
        learned = {name: values[name] for name in values if name not in _EPOCH_NAMES}
        return cls(
            epoch=whole(values, "epoch"),
            loss=number(values, "loss"),
            trace=mapping(values.get("trace") or {}),
            learned=numbers(learned | mapping(values.get("learned") or {})),
            **_shared_from(values, seconds="seconds"),
        )

    def as_result(self) -> "TrialResult":
        """The result of a trial that ended after this epoch, as far as the epoch knows it."""
        return TrialResult(
            metrics=self.metrics,
            groups=self.groups,
            learned=self.learned,
            field=self.field,
            steps=self.steps,
            seconds=self.seconds,
            cpu_seconds=self.cpu_seconds,
            costs=self.costs,
            epochs=self.epoch + 1,
        )


@dataclass(frozen=True, kw_only=True)
class TrialResult(_Report):
    """What a trial says at its end.

    Attributes:
        epochs: how many it trained.
        stopped_early: whether it ended before its last step because it no longer improved (``training.stop``).
        iou_per_class, f1_per_class: by class name; None for a class without a labelled pixel.
        accuracy_per_class: of a classification, instead: the share of a class's pictures that is right.
        mean_over: the rule by which ``miou`` and ``f1`` are means: :data:`LABELLED` or :data:`OLD_RULE`; None where
            that is not known.
        multiscale: the same model's scores over several sizes of the images, where they were asked for.
        device: what trained it, such as ``cpu`` or ``cuda``.
        precision: in which it computed, ``32`` or ``bf16``, where the study left that to the device (``auto``).
        notes: what went wrong on the way.
        split: that everything was measured on.
        confusion: ``[label][prediction]`` pixels of the last validation, of a trial in folds, whose replicate adds
            them up; empty otherwise.
        tally: of a classification in folds, instead: of every class its pictures, and how many of them are right and
            among the five, see :func:`autorf.accuracy.tally`.
    """

    epochs: int
    stopped_early: bool = False
    iou_per_class: Mapping[str, float | None] = by_default(default_factory=dict)
    f1_per_class: Mapping[str, float | None] = by_default(default_factory=dict)
    accuracy_per_class: Mapping[str, float | None] = by_default(default_factory=dict)
    mean_over: str | None = None
    multiscale: MultiScaleScores | None = None
    device: str | None = None
    precision: str | None = None
    notes: tuple[str, ...] = ()
    split: str = "val"
    confusion: Matrix = ()
    tally: Matrix = ()

    @property
    def class_scores(self) -> Mapping[str, float | None]:
        """What is compared of every class, by its name: IoU, or of a classification accuracy."""
        return self.iou_per_class or self.accuracy_per_class

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        shared = _shared(self)
        own = {
            "split": self.split,
            "iou_per_class": dict(self.iou_per_class),
            "f1_per_class": dict(self.f1_per_class),
            "accuracy_per_class": dict(self.accuracy_per_class) or None,
            "mean_over": self.mean_over,
            "multiscale": None if self.multiscale is None else self.multiscale.to_json(),
            "values": dict(self.learned),
            "epochs": self.epochs,
            "stopped_early": self.stopped_early or None,
            "notes": list(self.notes) or None,
            "train_seconds": shared.pop("seconds"),
            "device": self.device,
            "precision": self.precision,
            "confusion": [list(row) for row in self.confusion] or None,
            "tally": [list(row) for row in self.tally] or None,
        }
        return {**_UNKNOWN, **written({**shared, **own})}

    @classmethod
    def from_json(cls, stored: object) -> Self:
        """The result that :meth:`to_json` of this or an earlier version wrote.

        Raises:
            DamagedError: for anything else.
        """
        values = mapping(stored)
        device, precision, notes = values.get("device"), values.get("precision"), values.get("notes") or []
        if not isinstance(notes, list):
            raise DamagedError(f"notes is {notes!r}, no list")
        return cls(
            epochs=whole(values, "epochs"),
            stopped_early=values.get("stopped_early") is True,
            iou_per_class=per_class(values, "iou_per_class"),
            f1_per_class=per_class(values, "f1_per_class"),
            accuracy_per_class=per_class(values, "accuracy_per_class"),
            mean_over=None if values.get("mean_over") is None else str(values["mean_over"]),
            multiscale=None if values.get("multiscale") is None else MultiScaleScores.from_json(values["multiscale"]),
            device=None if device is None else str(device),
            precision=None if precision is None else str(precision),
            notes=tuple(map(str, notes)),
            split=str(values.get("split") or "val"),
            learned=numbers(mapping(values.get("values") or {})),
            confusion=_counts(values, "confusion", "iou_per_class"),
            tally=_counts(values, "tally", "accuracy_per_class", 3),
            **_shared_from(values, seconds="train_seconds"),
        )


_EPOCH_NAMES = frozenset(
    (
        "epoch",
        "loss",
        "trace",
        "learned",
        "groups",
        "rf",
        "rnorm",
        "steps",
        "seconds",
        "cpu_seconds",
        *tasks.METRICS,
        *COSTS,
    )
)
"""What an epoch's mapping holds besides learned values."""


_UNKNOWN: Mapping[str, Any] = {"miou": None}
"""Where the mIoU is no number, it is told as unknown: that is not one which damage has removed."""


def _shared(report: _Report) -> dict[str, Any]:
    return {
        **report.metrics,
        "groups": dict(report.groups) or None,
        **report.costs,
        "rf": None if report.field is None or not all(map(math.isfinite, report.field.rf)) else list(report.field.rf),
        "rnorm": report.rnorm,
        "steps": report.steps,
        "seconds": report.seconds,
        "cpu_seconds": report.cpu_seconds,
    }


def _shared_from(values: Mapping[str, Any], seconds: str) -> dict[str, Any]:
    if "miou" not in values or not (values["miou"] is None or is_number(values["miou"])):
        raise DamagedError("miou is missing")
    return {
        "metrics": numbers({name: values[name] for name in tasks.METRICS if name in values}),
        "groups": numbers(mapping(values["groups"])) if values.get("groups") else {},
        "costs": numbers({name: values[name] for name in COSTS if name in values}),
        "field": _field(values),
        "steps": None if values.get("steps") is None else whole(values, "steps"),
        "seconds": number(values, seconds),
        "cpu_seconds": number(values, "cpu_seconds"),
    }


def _field(values: Mapping[str, Any]) -> Field | None:
    rf, rnorm = values.get("rf"), number(values, "rnorm")
    if rf is None or rnorm is None:
        return None
    if not isinstance(rf, list | tuple) or len(rf) != 2 or not all(map(is_number, rf)):
        raise DamagedError(f"rf is {rf!r}, no two numbers")
    return Field((rf[0], rf[1]), rnorm) if all(map(math.isfinite, rf)) else None


def _counts(values: Mapping[str, Any], name: str, of_classes: str, width: int | None = None) -> Matrix:
    """A matrix of counts with a row for each class that ``of_classes`` names, and as many columns, or ``width``."""
    stored, n_classes = values.get(name) or [], len(mapping(values.get(of_classes) or {}))
    if not isinstance(stored, list) or not all(isinstance(row, list) for row in stored):
        raise DamagedError(f"{name} is no matrix")
    matrix = tuple(tuple(row) for row in stored)
    columns = n_classes if width is None else width
    if matrix and (len(matrix) != n_classes or any(len(row) != columns for row in matrix)):
        raise DamagedError(f"{name} is no matrix of {n_classes} classes")
    if not all(type(count) is int and count >= 0 for row in matrix for count in row):
        raise DamagedError(f"{name} holds what is no count")
    return matrix
