"""Which receptive fields to search, from the size of the objects or a known rnorm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from autorf.advice.adjustable import adjustable_layers
from autorf.advice.tiling import Tiling, tiling
from autorf.errors import InputError
from autorf.fields.dilated import dilated
from autorf.fields.field import ReceptiveField, receptive_field
from autorf.ops._arguments import image_sides, positive_number

FACTORS = (0.25, 4.0)
"""Legal inflation factors (Wei et al. 2018)."""
_MOST_OPTIONS = 7


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
    adjusted = adjustable_layers(model, current, layers)

    def measured(dilation: float) -> ReceptiveField:
        with dilated(list(adjusted.values()), dilation):
            return receptive_field(model, current.image_size, output, in_channels)

    at_one, at_two = max(measured(1).size), max(measured(2).size)
    slope, without = at_two - at_one, 2 * at_one - at_two
    if slope <= 0:
        raise InputError(f"layers: the field does not grow with the dilation of {', '.join(adjusted)}; name others")
    dilation = (target - without) / slope if target > without else None
    map_side = _map_side(current, next(iter(adjusted)))
    options = tuple(_option(rate, measured(rate)) for rate in _dilations(dilation or 1, map_side))
    advice = Advice(
        target_rf=target,
        target_rnorm=target / min(current.image_size),
        current=current,
        layers=tuple(adjusted),
        dilation=dilation,
        options=options,
        inflation=_inflation(max(current.size), target, without),
        upsampling=_upsampling(at_one, target, without),
        tiling=tiling(current),
        warnings=(),
    )
    return replace(advice, warnings=tuple(_warnings(advice, at_one, without, map_side)))


def _target(image_size: tuple[int, int], object_size: float | None, rnorm: float | None) -> float:
    if (object_size is None) == (rnorm is None):
        raise InputError("give either object_size (pixels) or rnorm (receptive field over image side), one of the two")
    if object_size is not None:
        return positive_number("advise", "object_size", object_size)
    return positive_number("advise", "rnorm", rnorm) * min(image_size)


def _dilations(target: float, map_side: int) -> list[int]:
    """Whole dilations from half to twice the target, at most seven, none as large as the map."""
    largest = max(1, map_side - 1)
    low = max(1, math.floor(min(target, largest) / 2))
    high = min(largest, max(2, math.ceil(2 * target)))
    steps = min(_MOST_OPTIONS, high - low + 1) - 1
    return sorted({round(low * (high / low) ** (i / max(1, steps))) for i in range(steps + 1)})


def _option(dilation: int, field: ReceptiveField) -> Option:
    return Option(dilation, field.size, field.rnorm)


def _map_side(field: ReceptiveField, layer: str) -> int:
    shape = next(row.shape for row in field.layers if row.name == layer)
    return min(shape[-2:])


def _inflation(present: float, target: float, without: float) -> tuple[float, float] | None:
    """Factors that shrink the layers' own share of the field to between half and twice the wanted one."""
    if target <= without or present <= without:
        return None
    best = (present - without) / (target - without)
    low, high = max(FACTORS[0], best / 2), min(FACTORS[1], best * 2)
    return (round(low, 3), round(high, 3)) if low < high else None


def _upsampling(at_one: float, target: float, without: float) -> int:
    if at_one <= target or target <= without:
        return 1
    return int(2 ** math.ceil(math.log2((at_one - without) / (target - without)) - 1e-9))


def _warnings(advice: Advice, at_one: float, without: float, map_side: int) -> list[str]:
    first, target = advice.layers[0], f"{advice.target_rf:g} pixels"
    warnings = []
    if advice.target_rf <= without:
        warnings.append(
            f"the layers before {first} alone see {without:g} pixels, the wanted are {target}: dilation cannot help, "
            "use larger images, an earlier stage or a smaller stride"
        )
    elif at_one > advice.target_rf:
        warnings.append(
            f"dilation 1 already sees {at_one:g} pixels, more than the wanted {target}: "
            f"put a fixed x{advice.upsampling} up-sampling before {first}"
        )
    if advice.dilation is not None and advice.dilation >= map_side:
        warnings.append(
            f"dilation {advice.dilation:.3g} exceeds the {map_side} pixel map at {first}: beyond {map_side - 1} only "
            "the kernel's centre sees the image; use more layers or a coarser stride"
        )
    beyond = next((option for option in advice.options if option.rnorm > 1), None)
    if beyond is not None:
        warnings.append(f"from dilation {beyond.dilation} the field exceeds the image (rnorm {beyond.rnorm:.2f})")
    if advice.inflation is None and advice.target_rf > without:
        warnings.append(f"no inflation factor in {list(FACTORS)} reaches the target from the present dilation")
    if not advice.tiling.exact:
        warnings.append(f"tiled inference is not exact: {advice.tiling.reason}")
    return warnings
