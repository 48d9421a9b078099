"""A network's output on an image that is fed to it in tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from autorf.errors import InputError
from autorf.fields.graph import Output, pick_output
from autorf.surgery.dry_run import evaluation

Size = tuple[int, int]


class Tile(NamedTuple):
    """A tile along one axis: its first pixel, and the first one that it gives the output of."""

    start: int
    kept: int


def tiles_along(side: int, tile: int, halo: int, multiple: int) -> list[Tile]:
    """Where tiles begin along one axis; the last one ends with the image, and each overwrites the one before.

    Raises:
        InputError: for sides or a halo that are no multiples of ``multiple``, or a halo that leaves a tile no output.

    Examples:
        >>> tiles_along(96, tile=32, halo=8, multiple=8)
        [Tile(start=0, kept=0), Tile(start=16, kept=24), Tile(start=32, kept=40), Tile(start=48, kept=56), \
Tile(start=64, kept=72)]
    """
    for name, value in (("the image's side", side), ("the tile", tile), ("the halo", halo)):
        if value % multiple:
            raise InputError(f"tiles: {name} must be a multiple of {multiple} pixels, got {value}")
    if tile >= side:
        return [Tile(0, 0)]
    inner = tile - 2 * halo
    if inner < multiple:
        raise InputError(f"tiles: a halo of {halo} pixels leaves no output of a tile of {tile}; give larger tiles")
    starts = [*range(0, side - tile, inner), side - tile]
    return [Tile(start, start + halo if start else 0) for start in starts]


def output_in_tiles(
    model: nn.Module, image: Tensor, tile: Size, halo: Size, multiple: Size, *, output: Output = None
) -> Tensor:
    """What ``model`` gives for ``image`` where it sees one tile at a time; nothing of its borders is padded.

    Args:
        model: run in evaluation mode, without gradients.
        image: ``(N, C, H, W)``, sides multiples of ``multiple``.
        tile: height and width of a tile in pixels; larger than the image means whole.
        halo: what is cut off of every tile's output, in pixels, but at the image's borders.
        multiple: what every position must be a multiple of; see :class:`autorf.advice.Tiling`.
        output: as for :func:`autorf.receptive_field`.

    Returns:
        ``(N, classes, h, w)``, of the size that the model gives for the whole image.

    Raises:
        InputError: for sides that do not fit, or an output that is not in proportion to its input.
    """
    sides = image.shape[-2], image.shape[-1]
    rows, columns = (tiles_along(*each) for each in zip(sides, tile, halo, multiple, strict=True))
    joined: Tensor | None = None
    with evaluation(model), torch.no_grad():
        for row in rows:
            for column in columns:
                part = image[..., row.start : row.start + tile[0], column.start : column.start + tile[1]]
                scores = pick_output(model, model(part), output)
                if joined is None:
                    joined = scores.new_empty((*scores.shape[:2], *_of_whole(sides, part, scores)))
                _place(joined, scores, sides, (row, column))
    assert joined is not None
    return joined


def _of_whole(sides: Size, part: Tensor, scores: Tensor) -> Iterator[int]:
    for axis, side in enumerate(sides):
        length, pixels = scores.shape[2 + axis], part.shape[2 + axis]
        if side * length % pixels or length * _step(pixels, length) != pixels:
            raise InputError(
                f"tiles: the model gives {length} positions for {pixels} pixels, which no whole tiles make up; "
                "its convolutions are not padded to keep the size"
            )
        yield side * length // pixels


def _step(pixels: int, length: int) -> int:
    return max(1, round(pixels / max(1, length)))


def _place(joined: Tensor, scores: Tensor, sides: Size, tiles: tuple[Tile, Tile]) -> None:
    steps = [side // length for side, length in zip(sides, joined.shape[-2:], strict=True)]
    (top, kept_top), (left, kept_left) = (
        (tile.start // step, tile.kept // step) for tile, step in zip(tiles, steps, strict=True)
    )
    bottom, right = top + scores.shape[-2], left + scores.shape[-1]
    joined[..., kept_top:bottom, kept_left:right] = scores[..., kept_top - top :, kept_left - left :]
