"""Which receptive fields to search, from the size of the objects or a known rnorm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from autorf.advice.adjustable import adjustable_layers
from autorf.advice.dilation_line import FACTORS, DilationLine, dilations, inflation_range, upsampling
from autorf.advice.knobs import (
    DILATION,
    IMAGE_SIZE,
    INFLATION,
    Knob,
    Setting,
    by_effect,
    knob,
    model_knobs,
    size_knob,
)
from autorf.advice.tiling import Tiling, tiling
from autorf.errors import InputError
from autorf.fields.field import ReceptiveField, receptive_field
from autorf.fields.sweep import DilationSweep
from autorf.networks import ModelSpec
from autorf.ops._arguments import image_sides, positive_number

SEES_ALL = 2.0
"""Fields over image side from which the output at one border sees the other border too."""

_LEAST_EFFECT = 0.1
"""Octaves below which a knob is no help."""


@dataclass(frozen=True)
class Option:
    """One dilation of the adjustable layers and the receptive field it gives, sides in input pixels."""

    dilation: int
    rf: tuple[float, float]
    rnorm: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"dilation": self.dilation, "rf": list(self.rf), "rnorm": self.rnorm}


@dataclass(frozen=True)
class Advice:
    """What to search for a network on images of one size.

    Attributes:
        target_rf: the wanted receptive field, a side in input pixels.
        target_rnorm: the same over the shorter image side.
        current: the network's receptive field as it is.
        layers: the convolutions whose dilation is the knob.
        dilation: the real number that gives the target; below 1 the up-sampling must help, None if nothing can.
        options: the dilations to search, with what each gives.
        inflation: ``(low, high)`` inflation factors to search from the network's present dilation, None where the
            target is out of reach.
        upsampling: factor of a fixed up-sampling to put before the first of ``layers``; 1 where none is needed.
        tiling: tiles for inference with the network as it is.
        warnings: what to know before searching.
        knobs: everything that changes the field, the one that brings it nearest to the wanted one first: dilation and
            inflation, the pictures' size, and of a model that is built by name its own keys, such as its depth.
    """

    target_rf: float
    target_rnorm: float
    current: ReceptiveField
    layers: tuple[str, ...]
    dilation: float | None
    options: tuple[Option, ...]
    inflation: tuple[float, float] | None
    upsampling: int
    tiling: Tiling
    warnings: tuple[str, ...]
    knobs: tuple[Knob, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "model": self.current.model,
            "image_size": list(self.current.image_size),
            "rf": list(self.current.size),
            "rnorm": self.current.rnorm,
            "target_rf": self.target_rf,
            "target_rnorm": self.target_rnorm,
            "layers": list(self.layers),
            "dilation": self.dilation,
            "options": [option.to_dict() for option in self.options],
            "inflation": list(self.inflation) if self.inflation else None,
            "upsampling": self.upsampling,
            "tiling": self.tiling.to_dict(),
            "warnings": list(self.warnings),
            "knobs": [knob.to_dict() for knob in self.knobs],
        }


def advise(
    model: nn.Module,
    image_size: tuple[int, int] | int,
    object_size: float | None = None,
    rnorm: float | None = None,
    *,
    layers: Sequence[str] | None = None,
    output: str | int | None = None,
    in_channels: int = 3,
    spec: ModelSpec | None = None,
) -> Advice:
    """The dilations and inflation factors worth searching, without any training.

    The target is a receptive field as large as the objects, or a known best ``rnorm`` times the shorter image side.
    The field grows linearly with the dilation of ``layers``; two measurements give the line, and the options around
    the target are measured exactly.

    Args:
        model: as for :func:`receptive_field`.
        image_size: ``(height, width)`` in pixels, or one side.
        object_size: side of the objects or parts to recognise, in input pixels; give this or ``rnorm``.
        rnorm: best receptive field over image side from earlier studies, positive.
        layers: names of the convolutions to adjust; by default what the model offers, else the stride-1 windows at
            the coarsest stride.
        output: as for :func:`receptive_field`.
        in_channels: channels of the input.
        spec: how the model was built, where it was by name: the values of its keys that change the field (depth, stage,
            output stride, kernel) are measured too, each of a network built anew.

    Raises:
        InputError: unless exactly one of ``object_size`` and ``rnorm`` is given and positive; and as
            :func:`receptive_field`.

    Paper: Wei et al., *Accurate facial image parsing at real-time speed*, 2019: the best rnorm belongs to the task;
    where dilation 1 already sees too much, a fixed up-sampling goes before the last block.

    Examples:
        >>> from torch import nn
        >>> from autorf.advice import advise
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 2, 3, padding=1))
        >>> advice = advise(model, image_size=64, object_size=19)
        >>> advice.layers, advice.dilation, [option.dilation for option in advice.options]
        (('1',), 4.0, [2, 3, 4, 5, 6, 8])
    """
    image_size = image_sides("advise", image_size)
    current = receptive_field(model, image_size, output, in_channels)
    target = _target(current.image_size, object_size, rnorm)
    return advice_for(model, current, target, layers=layers, output=output, in_channels=in_channels, spec=spec)


def advice_for(
    model: nn.Module,
    current: ReceptiveField,
    target: float,
    *,
    layers: Sequence[str] | None = None,
    output: str | int | None = None,
    in_channels: int = 3,
    spec: ModelSpec | None = None,
    line: DilationLine | None = None,
) -> Advice:
    """:func:`advise` for a wanted side in pixels, where the field as it is has been measured: ``current``.

    So may have been the ``line`` of :func:`dilation_line`.
    """

    def measure(other: nn.Module) -> ReceptiveField:
        return receptive_field(other, current.image_size, output, in_channels)

    more = () if spec is None else model_knobs(spec, measure, current, target, in_channels)
    knobs = [size_knob(current, target), *more]
    try:
        line = line or dilation_line(model, current, layers, output, in_channels)
    except InputError:
        if layers is not None or not any(each.effect for each in knobs[1:]):
            raise
        return _without_layers(current, target, by_effect(knobs))
    return _advice(current, target, line, knobs)


def dilation_line(
    model: nn.Module,
    current: ReceptiveField,
    layers: Sequence[str] | None = None,
    output: str | int | None = None,
    in_channels: int = 3,
) -> DilationLine:
    """How the field, now ``current``, grows with the dilation of the layers that :func:`advise` adjusts.

    Raises:
        InputError: where the model has no such layers, or the field does not grow with them.
    """
    adjusted = adjustable_layers(model, current, layers)
    return DilationLine.of(DilationSweep(model, adjusted, current.image_size, output, in_channels), adjusted, current)


def _advice(current: ReceptiveField, target: float, line: DilationLine, knobs: Sequence[Knob]) -> Advice:
    now = max(current.size)
    dilation = (target - line.without) / line.slope if target > line.without else None
    options = tuple(_option(rate, line.sweep.at(rate)) for rate in dilations(dilation or 1, line.map_side))
    inflation = inflation_range(now, target, line.without)
    turned = [
        *knobs,
        knob(DILATION, None, [Setting(each.dilation, each.rf, each.rnorm) for each in options], now, target),
        knob(INFLATION, 1.0, [line.inflated(current, factor) for factor in inflation or ()], now, target),
    ]
    advice = Advice(
        target_rf=target,
        target_rnorm=target / min(current.image_size),
        current=current,
        layers=line.layers,
        dilation=dilation,
        options=options,
        inflation=inflation,
        upsampling=upsampling(line.at_one, target, line.without),
        tiling=tiling(current),
        warnings=(),
        knobs=by_effect(turned),
    )
    return replace(advice, warnings=tuple(_warnings(advice, line)))


def _without_layers(current: ReceptiveField, target: float, knobs: tuple[Knob, ...]) -> Advice:
    """Advice for a network in which no dilation is a knob."""
    advice = Advice(
        target_rf=target,
        target_rnorm=target / min(current.image_size),
        current=current,
        layers=(),
        dilation=None,
        options=(),
        inflation=None,
        upsampling=1,
        tiling=tiling(current),
        warnings=(),
        knobs=knobs,
    )
    warning = "no convolution's dilation changes the field" + _instead(advice)
    return replace(advice, warnings=(warning, *_common_warnings(advice)))


def _target(image_size: tuple[int, int], object_size: float | None, rnorm: float | None) -> float:
    if (object_size is None) == (rnorm is None):
        raise InputError("give either object_size (pixels) or rnorm (receptive field over image side), one of the two")
    if object_size is not None:
        return positive_number("advise", "object_size", object_size)
    return positive_number("advise", "rnorm", rnorm) * min(image_size)


def _option(dilation: int, field: ReceptiveField) -> Option:
    return Option(dilation, field.size, field.rnorm)


def _warnings(advice: Advice, line: DilationLine) -> list[str]:
    first, target = advice.layers[0], f"{advice.target_rf:g} pixels"
    warnings = []
    if advice.target_rf <= line.without:
        warnings.append(
            f"the layers before {first} alone see {line.without:g} pixels, the wanted are {target}: dilation cannot "
            f"help{_instead(advice) or ', use an earlier stage, a smaller depth or larger pictures'}"
        )
    elif line.at_one > advice.target_rf:
        warnings.append(
            f"dilation 1 already sees {line.at_one:g} pixels, more than the wanted {target}: "
            f"put a fixed x{advice.upsampling} up-sampling before {first}"
        )
    if advice.dilation is not None and advice.dilation >= line.map_side:
        warnings.append(
            f"dilation {advice.dilation:.3g} exceeds the {line.map_side} pixel map at {first}: beyond "
            f"{line.map_side - 1} only the kernel's centre sees the image; use more layers or a coarser stride"
        )
    beyond = next((option for option in advice.options if option.rnorm > 1), None)
    if beyond is not None:
        warnings.append(f"from dilation {beyond.dilation} the field exceeds the image (rnorm {beyond.rnorm:.2f})")
    if advice.inflation is None and advice.target_rf > line.without:
        warnings.append(f"no inflation factor in {list(FACTORS)} reaches the target from the present dilation")
    return [*warnings, *_common_warnings(advice, "" if advice.target_rf <= line.without else _instead(advice))]


def _common_warnings(advice: Advice, instead: str = "") -> Iterator[str]:
    rnorm = min(advice.current.rnorm_per_axis)
    if rnorm >= SEES_ALL:
        yield (
            f"the field is {rnorm:.2g} times the image: every output sees all of it already, and a field that is "
            f"larger still sees nothing more{instead}"
        )
    if not advice.tiling.exact:
        yield f"tiled inference is not exact: {advice.tiling.reason}"


def _instead(advice: Advice) -> str:
    """The knob of the model or its pictures that brings the field nearest to the wanted one, to end a sentence with."""
    methods = (DILATION, INFLATION)
    helpful = [each for each in advice.knobs if each.axis not in methods and each.effect > _LEAST_EFFECT]
    if not helpful or helpful[0].best is None:
        return ""
    best = helpful[0].best
    value = "x".join(map(str, best.value)) if helpful[0].axis == IMAGE_SIZE else best.value
    return f"; {helpful[0].axis} {value} comes nearest, with {max(best.rf):g}"
