"""What a check of a network found: the contract of ``autorf check --format json``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autorf.advice.border import Border
from autorf.advice.field_rule import Sufficient
from autorf.advice.objects import ClassSizes, Component
from autorf.advice.samples import Size
from autorf.advice.suggestion import Advice
from autorf.advice.tile_check import TileCheck
from autorf.fields.effective import EffectiveField
from autorf.fields.field import ReceptiveField


@dataclass(frozen=True)
class SizeRow:
    """Pictures of one size: how many, the network's field over their side, and the typical side of objects in them."""

    size: Size
    pictures: int
    rnorm: float
    typical_side: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "size": list(self.size),
            "pictures": self.pictures,
            "rnorm": self.rnorm,
            "typical_side": self.typical_side,
        }


@dataclass(frozen=True)
class ModelCheck:
    """What :func:`check` found. Sides are in pixels of the network's input.

    Attributes:
        model: its name, or its class's.
        weights: what its weights are, in words: the effective field depends on them.
        field: the theoretical receptive field.
        effective: the effective one; None where it could not be measured.
        source: where the pictures are from; None without.
        sizes: the pictures by their own size.
        objects: the sizes of each class's objects; empty without masks.
        border: the layers that cannot matter.
        sufficient: the field that is advised; None without objects.
        advice: the knobs to get there; None without objects, or where nothing can be turned.
        tiles: for a memory, and what halos cost.
        notes: what was assumed, and what could not be measured.
        shown: a picture as colours ``(H, W, 3)``, and ``shown_objects`` the objects in it.
    """

    model: str
    weights: str
    field: ReceptiveField
    effective: EffectiveField | None
    source: str | None
    sizes: tuple[SizeRow, ...]
    objects: tuple[ClassSizes, ...]
    border: Border
    sufficient: Sufficient | None
    advice: Advice | None
    tiles: TileCheck
    notes: tuple[str, ...] = ()
    shown: NDArray[np.uint8] | None = dataclasses.field(default=None, repr=False)
    shown_objects: tuple[Component, ...] = dataclasses.field(default=(), repr=False)

    @property
    def too_large(self) -> tuple[str, ...]:
        """The classes that do not fit into a field, in words."""
        return tuple(line for sizes in self.objects if (line := self.misfit(sizes)))

    def misfit(self, sizes: ClassSizes) -> str | None:
        """Why a class's objects do not fit; None where they do, or are background."""
        if sizes.background:
            return None
        side, typical = min(self.field.size), f"{sizes.name}: half of its pixels lie in objects up to"
        if sizes.typical > side and not self.field.global_context:
            return f"{typical} {sizes.typical:g} px, larger than the whole field ({side:g} px)"
        reach = None if self.effective is None else self.effective.sides[0.99]
        if reach is not None and sizes.typical > reach:
            return f"{typical} {sizes.typical:g} px, larger than the effective field (99 % within {reach} px)"
        return None

    def to_dict(self) -> dict[str, Any]:
        """The contract of ``autorf check --format json``; keys may be added, none is renamed."""
        measured = self.field
        return {
            "model": self.model,
            "image_size": list(measured.image_size),
            "weights": self.weights,
            "field": {
                "rf": list(measured.size),
                "rnorm": measured.rnorm,
                "stride": list(measured.stride),
                "global_context": measured.global_context,
                "exact": list(measured.exact),
                "effective": None if self.effective is None else self.effective.to_dict(),
            },
            "pictures": None if self.source is None else {
                "source": self.source,
                "sizes": [row.to_dict() for row in self.sizes],
            },
            "objects": [{**sizes.to_dict(), "misfit": self.misfit(sizes)} for sizes in self.objects],
            "layers": self.border.to_dict(),
            "sufficient": None if self.sufficient is None else self.sufficient.to_dict(),
            "advice": None if self.advice is None else self.advice.to_dict(),
            "tiles": self.tiles.to_dict(),
            "notes": list(self.notes),
        }  # fmt: skip
