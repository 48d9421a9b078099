"""Tiles for inference on images that do not fit: how much context they need and which sides keep the stride's phase."""

import math
from dataclasses import dataclass
from typing import Any

from autorf.errors import InputError
from autorf.fields.field import ReceptiveField
from autorf.ops._arguments import kind_of

_HALOS = 4
"""Tile sides in halos: half of each side is then output, the rest context."""


@dataclass(frozen=True)
class Tiling:
    """Tiled inference that equals inference on the whole image; every pair is ``(height, width)`` in input pixels.

    ``halo`` is the context to cut off on each side of a tile's output, ``multiple`` what tile positions and sides are
    multiples of, ``tile`` a side that wastes no more than half on context. ``exact`` is False where global paths read
    the whole image, or circular padding the opposite border, so that no halo suffices.
    """

    halo: tuple[int, int]
    multiple: tuple[int, int]
    tile: tuple[int, int]
    exact: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        pairs = {"halo": list(self.halo), "multiple": list(self.multiple), "tile": list(self.tile)}
        return {**pairs, "exact": self.exact}


def tiling(field: ReceptiveField) -> Tiling:
    """Tile sizes from a measured field: halos rounded up to the coarsest stride, tiles of four halos.

    Examples:
        >>> from torch import nn
        >>> from autorf import receptive_field
        >>> from autorf.advice import tiling
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 2, 3, padding=1))
        >>> tiles = tiling(receptive_field(model, image_size=64))
        >>> tiles.halo, tiles.multiple, tiles.tile, tiles.exact
        ((4, 4), (2, 2), (16, 16), True)
    """
    if not isinstance(field, ReceptiveField):
        raise InputError(f"tiling takes what autorf.receptive_field gives, got {kind_of(field)}")
    multiple = [max(1, math.ceil(period)) for period in field.period]
    halo = [_rounded_up(max(reach), step) for reach, step in zip(field.reach, multiple, strict=True)]
    tile = [max(_HALOS * around, step) for around, step in zip(halo, multiple, strict=True)]
    return Tiling(
        halo=(halo[0], halo[1]),
        multiple=(multiple[0], multiple[1]),
        tile=(tile[0], tile[1]),
        exact=not field.global_context and not field.wraps and all(field.exact),
    )


def _rounded_up(value: float, step: int) -> int:
    return math.ceil(value / step) * step
