"""The values of a model that change its receptive field, each measured, and which of them brings it to a wanted one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from torch import nn

from autorf.errors import InputError
from autorf.fields.field import ReceptiveField
from autorf.networks import ModelSpec, build
from autorf.networks.arguments import UNKNOWN, default_argument

Measure = Callable[[nn.Module], ReceptiveField]

DILATION, INFLATION, IMAGE_SIZE = "dilation", "inflation", "data.image_size"
"""Knobs of every model: two methods, and the pictures themselves."""

_ENLARGED = (0.5, 2, 4)
"""Factors of the pictures' sides; beyond these nobody goes."""


@dataclass(frozen=True)
class Setting:
    """One value of a knob and the field it gives.

    Attributes:
        value: as a study file would have it.
        rf: the field in input pixels of the pictures as they are now, ``(height, width)``.
        rnorm: the larger of both axes' field over image side.
    """

    value: Any
    rf: tuple[float, float]
    rnorm: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"value": self.value, "rf": list(self.rf), "rnorm": self.rnorm}


@dataclass(frozen=True)
class Knob:
    """Something to turn, as an axis of a search space.

    Attributes:
        axis: ``dilation`` or ``inflation``, which are methods, or a key of a study file such as
            ``model.args.encoder_depth``.
        present: its value now; None where it has none.
        settings: other values, each with what it gives.
        best: the value whose field is nearest to the wanted one; None where each is further off than the present.
        effect: how much nearer that is, in octaves: 1 halves the ratio of field and wanted field; 0 where none is.
    """

    axis: str
    present: Any
    settings: tuple[Setting, ...]
    best: Setting | None
    effect: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "axis": self.axis,
            "present": self.present,
            "settings": [setting.to_dict() for setting in self.settings],
            "best": None if self.best is None else self.best.to_dict(),
            "effect": round(self.effect, 3),
        }


def knob(axis: str, present: Any, settings: Iterable[Setting], now: float, target: float) -> Knob:
    """A knob judged: which setting is nearest to ``target``, where the field is ``now`` (both sides in pixels)."""
    judged = tuple(settings)

    def distance(side: float) -> float:
        return abs(math.log2(max(side, 1) / target))

    nearest = min(judged, key=lambda setting: distance(max(setting.rf)), default=None)
    effect = 0.0 if nearest is None else distance(now) - distance(max(nearest.rf))
    return Knob(axis, present, judged, nearest if effect > 0 else None, max(0.0, effect))


def by_effect(knobs: Iterable[Knob]) -> tuple[Knob, ...]:
    """The knobs that can be turned, the one that brings the field nearest to the wanted one first."""
    return tuple(sorted((each for each in knobs if each.settings), key=lambda each: -each.effect))


def model_knobs(
    spec: ModelSpec, measure: Measure, current: ReceptiveField, target: float, channels: int = 3
) -> Iterator[Knob]:
    """The keys of ``spec`` that change the field, every other value built and measured.

    Args:
        spec: how the model is built.
        measure: the field of a model on the pictures.
        current: that of the model as it is.
        target: the wanted side in pixels.
        channels: of the pictures.
    """
    for key, present, values in model_axes(spec):
        settings = (_setting(spec, key, value, measure, channels) for value in values if value != present)
        yield knob(key, present, (each for each in settings if each is not None), max(current.size), target)


def size_knob(current: ReceptiveField, target: float) -> Knob:
    """Larger or smaller pictures: the field stays, and what is in them grows or shrinks."""
    settings = []
    for factor in _ENLARGED:
        sides = [max(1, round(side * factor)) for side in current.image_size]
        height, width = (rf / factor for rf in current.size)
        settings.append(Setting(sides, (height, width), current.rnorm / factor))
    return knob(IMAGE_SIZE, list(current.image_size), settings, max(current.size), target)


def model_axes(spec: ModelSpec) -> Iterator[tuple[str, Any, Sequence[Any]]]:
    """Key, present value and legal values of everything in ``spec`` that moves the field; some may not be buildable."""
    family, _, rest = spec.name.partition(":")
    if family == "largefov":
        yield "model.stage", _stage(spec), range(_stages(spec))
        yield "model.output_stride", spec.output_stride, (8, 16)
        yield "model.kernel", spec.kernel, (3, 4, 5, 7)
        yield "model.upsample", spec.upsample, (1, 2, 4)
    elif family == "smp":
        yield from _smp_axes(spec, rest.partition(":")[0])
    elif family == "timm":
        yield "model.output_stride", spec.output_stride, (8, 16)


def _smp_axes(spec: ModelSpec, architecture: str) -> Iterator[tuple[str, Any, Sequence[Any]]]:
    depth = spec.args.get("encoder_depth", default_argument(spec, "encoder_depth"))
    if depth is not UNKNOWN:
        yield "model.args.encoder_depth", depth, (3, 4, 5)
    if architecture in ("DeepLabV3", "DeepLabV3Plus", "PAN"):
        stride = spec.output_stride or default_argument(spec, "encoder_output_stride")
        yield "model.output_stride", stride, (8, 16)
    rates = spec.args.get("decoder_atrous_rates", default_argument(spec, "decoder_atrous_rates"))
    if rates is not UNKNOWN:
        yield "model.args.decoder_atrous_rates", list(rates), ([3, 6, 9], [6, 12, 18], [12, 24, 36])


def _stages(spec: ModelSpec) -> int:
    import timm
    import torch

    with torch.device("meta"), suppress(Exception):
        name = spec.name.partition(":")[2]
        return len(timm.create_model(name, features_only=True, **spec.args).feature_info)
    return 0


def _stage(spec: ModelSpec) -> int:
    return spec.stage if spec.stage is not None else _stages(spec) - 1


def _setting(spec: ModelSpec, key: str, value: Any, measure: Measure, channels: int) -> Setting | None:
    """What a value gives; None where the network cannot be built or measured with it."""
    with suppress(InputError):
        field = measure(build(with_value(spec, key, value), channels=channels).eval())
        return Setting(value, field.size, field.rnorm)
    return None


def with_value(spec: ModelSpec, key: str, value: Any) -> ModelSpec:
    """``spec`` with one key, such as ``model.args.encoder_depth``, at another value, and random weights.

    Raises:
        InputError: for a value that the key cannot take.
    """
    name = key.removeprefix("model.")
    changes: Mapping[str, Any] = {name: value}
    if name.startswith("args."):
        changes = {"args": {**spec.args, name.removeprefix("args."): value}}
    fresh = {"pretrained": False, "weights": None, "encoder_weights": None, "places": None}
    return spec.model_copy(update={**fresh, **changes})
