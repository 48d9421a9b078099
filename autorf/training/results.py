"""What a trial measured, after every epoch and at its end; written once, to and from JSON here and nowhere else.

Learned values stand apart from metrics: nothing that a method calls its own can take a metric's place.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as by_default
from typing import Any, Self

METRICS = ("miou", "f1", "pixel_accuracy")
"""Measured on the validation split; more is better."""

COSTS = ("parameters", "flops", "latency_ms", "peak_memory_mb")
"""Measured once a trial; less is better."""


class DamagedError(ValueError):
    """What was stored is not what a trial reports."""


@dataclass(frozen=True)
class Field:
    """A receptive field: ``rf`` ``(h, w)`` in input pixels, and ``rnorm``, its share of the image's side."""

    rf: tuple[float, float]
    rnorm: float


@dataclass(frozen=True, kw_only=True)
class _Report:
    """What an epoch's report and a trial's result share.

    Attributes:
        metrics: by name, of :data:`METRICS`; on the validation split.
        learned: what the methods learned, by the names they give it (``f``, ``dilation``).
        field: as it is now; None where nobody measured it.
        steps: optimizer steps reached; None in rows of versions that did not count them.
        seconds: of training so far, wall time.
        cpu_seconds: the same in processor time; None where a GPU trained.
        costs: by name, of :data:`COSTS`.
    """

    metrics: Mapping[str, float]
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
        return {**self.metrics, **self.costs, **{name: value for name, value in measured.items() if value is not None}}


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
        written = {name: value for name, value in own.items() if value is not None}
        taken = {name: value for name, value in self.learned.items() if name in _EPOCH_NAMES}
        free = {name: value for name, value in self.learned.items() if name not in _EPOCH_NAMES}
        return {**free, **written, **({"learned": taken} if taken else {})}

    @classmethod
    def from_json(cls, stored: object) -> Self:
        """The report that :meth:`to_json` of this or an earlier version wrote.

        Raises:
            DamagedError: for anything else.
        """
        values = _mapping(stored)
        learned = {name: values[name] for name in values if name not in _EPOCH_NAMES}
        return cls(
            epoch=_whole(values, "epoch"),
            loss=_number(values, "loss"),
            trace=_mapping(values.get("trace") or {}),
            learned=_numbers(learned | _mapping(values.get("learned") or {})),
            **_shared_from(values, seconds="seconds"),
        )

    def as_result(self) -> "TrialResult":
        """The result of a trial that ended after this epoch, as far as the epoch knows it."""
        return TrialResult(
            metrics=self.metrics,
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
        iou_per_class, f1_per_class: by class name; None for a class that does not occur.
        device: what trained it, such as ``cpu`` or ``cuda``.
        notes: what went wrong on the way.
        split: that everything was measured on.
    """

    epochs: int
    iou_per_class: Mapping[str, float | None] = by_default(default_factory=dict)
    f1_per_class: Mapping[str, float | None] = by_default(default_factory=dict)
    device: str | None = None
    notes: tuple[str, ...] = ()
    split: str = "val"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        shared = _shared(self)
        own = {
            "split": self.split,
            "iou_per_class": dict(self.iou_per_class),
            "f1_per_class": dict(self.f1_per_class),
            "values": dict(self.learned),
            "epochs": self.epochs,
            "notes": list(self.notes) or None,
            "train_seconds": shared.pop("seconds"),
            "device": self.device,
        }
        return {name: value for name, value in {**shared, **own}.items() if value is not None}

    @classmethod
    def from_json(cls, stored: object) -> Self:
        """The result that :meth:`to_json` of this or an earlier version wrote.

        Raises:
            DamagedError: for anything else.
        """
        values = _mapping(stored)
        device, notes = values.get("device"), values.get("notes") or []
        if not isinstance(notes, list):
            raise DamagedError(f"notes is {notes!r}, no list")
        return cls(
            epochs=_whole(values, "epochs"),
            iou_per_class=_per_class(values, "iou_per_class"),
            f1_per_class=_per_class(values, "f1_per_class"),
            device=None if device is None else str(device),
            notes=tuple(map(str, notes)),
            split=str(values.get("split") or "val"),
            learned=_numbers(_mapping(values.get("values") or {})),
            **_shared_from(values, seconds="train_seconds"),
        )


_EPOCH_NAMES = frozenset(
    ("epoch", "loss", "trace", "learned", "rf", "rnorm", "steps", "seconds", "cpu_seconds", *METRICS, *COSTS)
)
"""What an epoch's mapping holds besides learned values."""


def _shared(report: _Report) -> dict[str, Any]:
    return {
        **report.metrics,
        **report.costs,
        "rf": None if report.field is None else list(report.field.rf),
        "rnorm": report.rnorm,
        "steps": report.steps,
        "seconds": report.seconds,
        "cpu_seconds": report.cpu_seconds,
    }


def _shared_from(values: Mapping[str, Any], seconds: str) -> dict[str, Any]:
    metrics = {name: value for name in METRICS if type(value := values.get(name)) in (float, int)}
    if "miou" not in metrics:
        raise DamagedError("miou is missing")
    return {
        "metrics": metrics,
        "costs": {name: value for name in COSTS if type(value := values.get(name)) in (float, int)},
        "field": _field(values),
        "steps": None if values.get("steps") is None else _whole(values, "steps"),
        "seconds": _number(values, seconds),
        "cpu_seconds": _number(values, "cpu_seconds"),
    }


def _field(values: Mapping[str, Any]) -> Field | None:
    rf, rnorm = values.get("rf"), _number(values, "rnorm")
    if rf is None or rnorm is None:
        return None
    if not isinstance(rf, list | tuple) or len(rf) != 2 or not all(map(_is_number, rf)):
        raise DamagedError(f"rf is {rf!r}, no two numbers")
    return Field((rf[0], rf[1]), rnorm)


def _mapping(stored: object) -> dict[str, Any]:
    if not isinstance(stored, dict):
        raise DamagedError(f"{str(stored)[:40]!r} holds no names and values")
    return stored


def _is_number(value: object) -> bool:
    # Of JSON's own types, and no bool; thousands of epochs are read at once.
    return type(value) in (float, int)


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value: float | None = values.get(name)
    if value is not None and not _is_number(value):
        raise DamagedError(f"{name} is {value!r}, no number")
    return value


def _whole(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    if type(value) is not int or value < 0:
        raise DamagedError(f"{name} is {'missing' if value is None else f'{value!r}, no whole number'}")
    return value


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Those of ``values`` that are numbers; a newer version may have written more."""
    return {name: value for name, value in values.items() if type(value) in (float, int)}


def _per_class(values: Mapping[str, Any], name: str) -> dict[str, float | None]:
    classes = _mapping(values.get(name) or {})
    return {label: _number(classes, label) for label in classes}
