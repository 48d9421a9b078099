"""Scores of a picture at its own scale, however large: as a whole, in exact tiles, or in overlapping ones."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.advice.in_tiles import output_in_tiles
from autorf.advice.tiling import Tiling, tiling
from autorf.errors import InputError
from autorf.fields import receptive_field
from autorf.training.outputs import classes_at, raw_scores, resized
from autorf.training.pixel_maps import PixelMap, pixel_map

Size = tuple[int, int]

USUAL_TILE = 1024
"""Side in pixels of tiles that nobody chose; pictures up to it are seen as a whole."""

_WIDEST_TILE = 3072
"""Pixels: halos that would need larger tiles are not taken unasked."""


class RawScores(nn.Module):
    """A model whose output is its class scores, of whatever size it gives them.

    Args:
        model: of any library.
        with_map: give the pixels' own scales or dilations as a last channel, where the model has them.

    Attributes:
        map_name: what the last channel holds, once the model has run; None where there is no such channel.
    """

    def __init__(self, model: nn.Module, *, with_map: bool = False) -> None:
        super().__init__()
        self.model, self._with_map = model, with_map
        self.map_name: str | None = None

    def forward(self, image: Tensor) -> Tensor:
        """``(N, channels, H, W)`` to ``(N, n_classes, h, w)``."""
        scores = raw_scores(self.model(image))
        if not self._with_map:
            return scores
        own = pixel_map(self.model, len(image), (scores.shape[-2], scores.shape[-1]))
        if own is None:
            return scores
        self.map_name = own.name
        return torch.cat([scores, own.values[:, None].to(scores.dtype)], 1)


@dataclass(frozen=True)
class TilePlan:
    """How pictures of any size are seen; every pair is ``(height, width)`` in pixels.

    Attributes:
        tile: of a picture that is no larger nothing is cut.
        halo: cut off of every exact tile's output, but at the picture's borders.
        multiple: what sides and positions are multiples of.
        reason: why tiles are not exact, so that they overlap and are blended; None where they are.
    """

    tile: Size
    halo: Size
    multiple: Size
    reason: str | None = None

    @property
    def words(self) -> str:
        """What is done with a picture that is larger than a tile."""
        height, width = self.tile
        if self.reason is None:
            return f"tiles of {height} x {width} px, exact"
        return f"overlapping tiles of {height} x {width} px, blended: {self.reason}"


def tile_plan(model: nn.Module, image_size: Size, channels: int, side: int | None = None) -> TilePlan:
    """Tiles for a model: exact ones where its receptive field allows, else overlapping ones.

    Args:
        model: in evaluation mode, on the CPU.
        image_size: of training; overlapping tiles have this size, at which the model is known to work.
        channels: of its images.
        side: of the tiles, rounded down to what they must be multiples of; None for a usual one.
    """
    try:
        tiles = tiling(receptive_field(RawScores(model), image_size, in_channels=channels))
    except InputError as error:
        return TilePlan(image_size, (0, 0), (1, 1), f"its receptive field is not known ({error})")
    if not tiles.exact:
        return _overlapping(image_size, tiles, str(tiles.reason))
    tile = _side(0, tiles, side), _side(1, tiles, side)
    needed = max(2 * halo + step for halo, step in zip(tiles.halo, tiles.multiple, strict=True))
    if any(length < 2 * halo + step for length, halo, step in zip(tile, tiles.halo, tiles.multiple, strict=True)):
        return _overlapping(image_size, tiles, f"exact ones have sides of {needed} px and more (--tile {needed})")
    return TilePlan(tile, tiles.halo, tiles.multiple)


def _side(axis: int, tiles: Tiling, side: int | None) -> int:
    step, halo = tiles.multiple[axis], tiles.halo[axis]
    if side is not None:
        return side // step * step
    # A third of the side is output then.
    return math.ceil(max(USUAL_TILE, min(3 * halo, _WIDEST_TILE)) / step) * step


def _overlapping(image_size: Size, tiles: Tiling, reason: str) -> TilePlan:
    whole = all(side % step == 0 for side, step in zip(image_size, tiles.multiple, strict=True))
    return TilePlan(image_size, (0, 0), tiles.multiple if whole else (1, 1), reason)


class AtScale(NamedTuple):
    """What a model says of a picture at its own scale.

    Attributes:
        scores: ``(1, n_classes, h, w)`` of the filled picture, as the model gives them.
        filled: height and width in pixels of the filled picture.
        in_tiles: whether it was cut into tiles.
        map: the pixels' own scales or dilations, ``(1, h, w)`` of the filled picture; None where there are none.
    """

    scores: Tensor
    filled: Size
    in_tiles: bool
    map: PixelMap | None = None

    def classes(self, size: Size) -> Tensor:
        """The class of every pixel of the picture ``(H, W)`` int32, which is of ``size``."""
        return classes_at(self.scores, self.filled)[: size[0], : size[1]]

    def map_at(self, size: Size) -> Tensor | None:
        """The pixels' own scales or dilations, ``(1, H, W)`` float32, of the picture, which is of ``size``."""
        if self.map is None:
            return None
        return resized(self.map.values[:, None], self.filled)[:, 0, : size[0], : size[1]]


@torch.no_grad()
def scores_at_scale(model: nn.Module, image: Tensor, plan: TilePlan, *, with_map: bool = False) -> AtScale:
    """Class scores of a picture at its own scale.

    Args:
        model: in evaluation mode.
        image: ``(1, C, H, W)``, normalised; filled up with the mean, at the bottom and on the right, to sides that the
            model takes.
        plan: of the model.
        with_map: look for a map of the pixels' own fields too.
    """
    least = plan.multiple if plan.reason is None else plan.tile
    sides = [
        math.ceil(max(side, low) / step) * step
        for side, low, step in zip(image.shape[-2:], least, plan.multiple, strict=True)
    ]
    filled = functional.pad(image, (0, sides[1] - image.shape[-1], 0, sides[0] - image.shape[-2]))
    size = sides[0], sides[1]
    seen = RawScores(model, with_map=with_map)
    in_tiles = any(side > tile for side, tile in zip(size, plan.tile, strict=True))
    if not in_tiles:
        scores = seen(filled)
    elif plan.reason is not None:
        scores = _blended(seen, filled, plan)
    else:
        scores = output_in_tiles(seen, filled, plan.tile, plan.halo, plan.multiple)
    if seen.map_name is None:
        return AtScale(scores, size, in_tiles)
    return AtScale(scores[:, :-1], size, in_tiles, PixelMap(seen.map_name, scores[:, -1].float()))


def _blended(model: nn.Module, image: Tensor, plan: TilePlan) -> Tensor:
    """The mean of overlapping tiles' scores, in each of which the middle counts most."""
    tile = plan.tile
    total: Tensor | None = None
    weight = weights = torch.empty(0)
    steps = (1, 1)
    for top, left in _corners((image.shape[-2], image.shape[-1]), plan):
        part = image[..., top : top + tile[0], left : left + tile[1]]
        scores = model(part).float()
        if total is None:
            steps = _steps(scores, plan)
            weight = _weight([side // step for side, step in zip(tile, steps, strict=True)]).to(scores.device)
            size = [side // step for side, step in zip(image.shape[-2:], steps, strict=True)]
            total = scores.new_zeros(1, scores.shape[1], *size)
            weights = scores.new_zeros(size)
        rows = slice(top // steps[0], (top + tile[0]) // steps[0])
        columns = slice(left // steps[1], (left + tile[1]) // steps[1])
        total[..., rows, columns] += resized(scores, weight.shape) * weight
        weights[rows, columns] += weight
    assert total is not None
    return total.div_(weights)


def _steps(scores: Tensor, plan: TilePlan) -> Size:
    """Pixels of a position of the scores where tiles lie on whole ones; else every pixel is one."""
    steps = [max(1, side // length) for side, length in zip(plan.tile, scores.shape[-2:], strict=True)]
    fits = all(
        side == length * step and multiple % step == 0
        for side, length, step, multiple in zip(plan.tile, scores.shape[-2:], steps, plan.multiple, strict=True)
    )
    return (steps[0], steps[1]) if fits else (1, 1)


def _corners(sides: Size, plan: TilePlan) -> Iterator[Size]:
    rows, columns = (
        _starts(side, tile, step) for side, tile, step in zip(sides, plan.tile, plan.multiple, strict=True)
    )
    for row in rows:
        for column in columns:
            yield row, column


def _starts(side: int, tile: int, step: int) -> list[int]:
    """Multiples of ``step``, evenly spread from 0 to the last tile, neighbours overlapping by half and more.

    >>> _starts(100, 40, 10)
    [0, 20, 40, 60]
    """
    count = math.ceil(2 * (side - tile) / tile)
    last = side - tile
    return sorted({round(last * place / max(count, 1) / step) * step for place in range(count + 1)})


def _weight(size: list[int]) -> Tensor:
    """``(h, w)``: the largest in the middle, above 0 at the border."""
    rows, columns = (1 - (torch.arange(n) + 0.5 - n / 2).abs() / (n / 2 + 0.5) for n in size)
    return rows[:, None] * columns


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the system had no memory left."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
