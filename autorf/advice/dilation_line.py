"""How a network's field grows with the dilation of some of its layers, and which values are worth a search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from autorf.advice.knobs import Setting
from autorf.errors import InputError
from autorf.fields.field import ReceptiveField
from autorf.fields.sweep import DilationSweep

FACTORS = (0.25, 4.0)
"""Legal inflation factors (Wei et al. 2018)."""

_MOST_OPTIONS = 7


@dataclass(frozen=True)
class DilationLine:
    """The field over the dilation of the adjusted layers, a line: ``without + slope * dilation`` pixels."""

    layers: tuple[str, ...]
    at_one: float
    slope: float
    map_side: int
    sweep: DilationSweep

    @property
    def without(self) -> float:
        """What the rest of the network sees."""
        return self.at_one - self.slope

    @classmethod
    def of(cls, sweep: DilationSweep, layers: Mapping[str, nn.Module], current: ReceptiveField) -> DilationLine:
        """Two measurements give it.

        Raises:
            InputError: where the field does not grow.
        """
        at_one, at_two = max(sweep.at(1).size), max(sweep.at(2).size)
        if at_two <= at_one:
            raise InputError(f"layers: the field does not grow with the dilation of {', '.join(layers)}; name others")
        return cls(tuple(layers), at_one, at_two - at_one, _map_side(current, next(iter(layers))), sweep)

    def inflated(self, current: ReceptiveField, factor: float) -> Setting:
        """The field with the layers' own share divided by an inflation factor."""
        height, width = (self.without + max(0.0, size - self.without) / factor for size in current.size)
        sides = current.image_size
        return Setting(factor, (height, width), max(height / sides[0], width / sides[1]))


def dilations(target: float, map_side: int) -> list[int]:
    """Whole dilations from half to twice the target, at most seven, none as large as the map."""
    largest = max(1, map_side - 1)
    low = max(1, math.floor(min(target, largest) / 2))
    high = min(largest, max(2, math.ceil(2 * target)))
    steps = min(_MOST_OPTIONS, high - low + 1) - 1
    return sorted({round(low * (high / low) ** (i / max(1, steps))) for i in range(steps + 1)})


def _map_side(field: ReceptiveField, layer: str) -> int:
    shape = next(row.shape for row in field.layers if row.name == layer)
    return min(shape[-2:])


def inflation_range(present: float, target: float, without: float) -> tuple[float, float] | None:
    """Factors that shrink the layers' own share of the field to between half and twice the wanted one."""
    if target <= without or present <= without:
        return None
    best = (present - without) / (target - without)
    low, high = max(FACTORS[0], best / 2), min(FACTORS[1], best * 2)
    return (round(low, 3), round(high, 3)) if low < high else None


def upsampling(at_one: float, target: float, without: float) -> int:
    """The factor of a fixed up-sampling before the layers, where dilation 1 sees too much already; 1 for none."""
    if at_one <= target or target <= without:
        return 1
    return int(2 ** math.ceil(math.log2((at_one - without) / (target - without)) - 1e-9))
