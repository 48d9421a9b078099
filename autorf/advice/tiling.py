"""Tiles for inference on images that do not fit: how much context they need and which sides keep the stride's phase."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autorf.errors import InputError
from autorf.fields.field import ReceptiveField
from autorf.fields.obstacles import Obstacle
from autorf.ops._arguments import kind_of

_HALOS = 4
"""Tile sides in halos: half of each side is then output, the rest context."""


@dataclass(frozen=True)
class Tiling:
    """Tiled inference that equals inference on the whole image; every pair is ``(height, width)`` in input pixels.

    Attributes:
        halo: the context to cut off on each side of a tile's output, but at the image's own borders.
        multiple: what positions and sides of tiles, and the image's sides, are multiples of, so that every stride's
            phase is the whole image's.
        tile: a side that wastes no more than half on context.
        exact: whether tiles with this halo give what the whole image gives, but for rounding.
        reason: why they do not, in a line; None where they do.
        layers: the layers at fault; empty also where it is the network as a whole.
    """

    halo: tuple[int, int]
    multiple: tuple[int, int]
    tile: tuple[int, int]
    exact: bool
    reason: str | None = None
    layers: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        pairs = {"halo": list(self.halo), "multiple": list(self.multiple), "tile": list(self.tile)}
        return {**pairs, "exact": self.exact, "reason": self.reason, "layers": list(self.layers)}


def tiling(field: ReceptiveField) -> Tiling:
    """Tile sizes from a measured field: halos rounded up to what strides repeat after, tiles of four halos.

    Statistics of a normalisation over the map (group, instance, layer norm over rows and columns, batch norm that
    estimates anew), pooling and attention over the whole map, resizes with aligned corners, by a broken ratio or to a
    fixed size, constants that differ from place to place and circular padding let no halo suffice.

    Args:
        field: of the network in evaluation mode, what :func:`autorf.receptive_field` gives.

    Raises:
        InputError: for anything else.

    Examples:
        >>> from torch import nn
        >>> from autorf import receptive_field
        >>> from autorf.advice import tiling
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 2, 3, padding=1))
        >>> tiles = tiling(receptive_field(model, image_size=64))
        >>> tiles.halo, tiles.multiple, tiles.tile, tiles.exact
        ((4, 4), (2, 2), (16, 16), True)
        >>> tiling(receptive_field(nn.Sequential(*model, nn.GroupNorm(1, 2)), image_size=64)).reason
        '2 normalises over the whole map'
    """
    if not isinstance(field, ReceptiveField):
        raise InputError(f"tiling takes what autorf.receptive_field gives, got {kind_of(field)}")
    multiple = [max(1, math.ceil(period)) for period in field.period]
    halo = [_rounded_up(max(reach), step) for reach, step in zip(field.reach, multiple, strict=True)]
    tile = [max(_HALOS * around, step) for around, step in zip(halo, multiple, strict=True)]
    reasons = list(_reasons(field))
    return Tiling(
        halo=(halo[0], halo[1]),
        multiple=(multiple[0], multiple[1]),
        tile=(tile[0], tile[1]),
        exact=not reasons,
        reason="; ".join(reasons) or None,
        layers=tuple(dict.fromkeys(obstacle.layer for obstacle in field.obstacles)),
    )


def _reasons(field: ReceptiveField) -> Iterator[str]:
    kinds: dict[str, list[Obstacle]] = {}
    for obstacle in field.obstacles:
        kinds.setdefault(obstacle.kind, []).append(obstacle)
    for alike in kinds.values():
        others = len(alike) - 1
        more = f" (and {others} more layer{'s' * (others > 1)} like it)" if others else ""
        yield f"{alike[0].layer or 'the model itself'} {alike[0].reason}{more}{_repair(alike[0], field)}"
    if field.global_context and "global" not in kinds:
        yield "a path mixes the whole map"
    if field.wraps and "circular" not in kinds:
        yield "outputs at the border read the opposite border"
    if not all(field.exact):
        yield "the network takes no larger image, so its field is only known to be this large or larger"


def _repair(obstacle: Obstacle, field: ReceptiveField) -> str:
    """A size at which a broken ratio may be whole: decoders resize a map to the size of another."""
    steps = [max(1, math.ceil(period)) for period in field.period]
    if obstacle.kind != "ratio" or not any(side % step for side, step in zip(field.image_size, steps, strict=True)):
        return ""
    return f", at {field.image_size[0]}x{field.image_size[1]}: try sides that are multiples of {max(steps)} px"


def _rounded_up(value: float, step: int) -> int:
    return math.ceil(value / step) * step
