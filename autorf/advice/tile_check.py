"""Tiles for a memory, and what smaller halos than the exact one cost on a picture: measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autorf.advice.in_tiles import output_in_tiles
from autorf.advice.peak_memory import MemoryModel, memory_model
from autorf.advice.tiling import Tiling, tiling
from autorf.errors import InputError
from autorf.fields.field import ReceptiveField, widest
from autorf.fields.graph import Output, main_key, pick_output
from autorf.files import size_in_words
from autorf.surgery.dry_run import evaluation, input_channels

Size = tuple[int, int]

_MOST_HALOS = 5

_FAINT = 1e-4
"""Of the largest score: scores that spread less hardly depend on the picture, and rounding would pass for an error."""


_HARDLY = "how tiles differ: with these weights the scores hardly depend on the picture; check with trained ones"


@dataclass(frozen=True)
class HaloError:
    """How far a picture's output in tiles is from that of the whole picture, with one halo.

    Attributes:
        halo: in pixels, ``(height, width)``.
        mean, largest: of the scores' absolute difference, over the standard deviation of the whole picture's scores
            from place to place.
        changed: the share of positions at which another class wins.
    """

    halo: Size
    mean: float
    largest: float
    changed: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"halo": list(self.halo), "mean": self.mean, "largest": self.largest, "changed": self.changed}


@dataclass(frozen=True)
class TileCheck:
    """What tiles a network can be given.

    Attributes:
        tiling: the exact halo, what positions are multiples of, and whether and why not tiles are exact.
        memory: in bytes, that tiles are for; None where none was given.
        largest: the side of the largest square tile that fits into ``memory``; None without.
        needs: bytes that it is expected to take.
        measurements: what that is extrapolated from.
        tile: of which ``errors`` were measured, ``(height, width)``; None where the picture is too small for two.
        errors: of growing halos.
        note: why something could not be measured.
    """

    tiling: Tiling
    memory: int | None = None
    largest: int | None = None
    needs: int | None = None
    measurements: MemoryModel | None = None
    tile: Size | None = None
    errors: tuple[HaloError, ...] = ()
    note: str | None = None

    @property
    def holds_exact(self) -> bool | None:
        """Whether the largest tile has an inside that the exact halo leaves; None without a memory, or exactness."""
        if self.largest is None or not self.tiling.exact:
            return None
        return self.largest >= 2 * max(self.tiling.halo) + max(self.tiling.multiple)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **self.tiling.to_dict(),
            "memory_bytes": self.memory,
            "largest": self.largest,
            "needs_bytes": self.needs,
            "measurements": None if self.measurements is None else self.measurements.to_dict(),
            "holds_exact": self.holds_exact,
            "measured_tile": None if self.tile is None else list(self.tile),
            "errors": [error.to_dict() for error in self.errors],
            "note": self.note,
        }


def tile_check(
    model: nn.Module, field: ReceptiveField, *, memory: int | None = None, picture: Tensor | None = None
) -> TileCheck:
    """Tiles of ``model``.

    Args:
        model: as :func:`autorf.receptive_field` measured it.
        field: what it measured.
        memory: in bytes; None for no limit.
        picture: ``(1, C, H, W)``, normalised as for training; None for no measured errors.

    Raises:
        InputError: for a memory that holds not even one tile.
    """
    tiles = tiling(field)
    notes: list[str] = []
    measurements = largest = tile = None
    errors: tuple[HaloError, ...] = ()
    step = math.lcm(*tiles.multiple)
    if memory is not None:
        try:
            measurements = memory_model(model, _channels(model, picture), step, attends=attends(field))
        except InputError as error:
            notes.append(str(error))
        else:
            largest = _largest(measurements, memory, step)
    if picture is not None:
        try:
            tile, errors, faint = _errors(model, picture, tiles, largest, scored_output(field))
        except InputError as error:
            notes.append(str(error))
        else:
            notes += [_HARDLY] if faint else []
    needs = None if measurements is None or largest is None else measurements.at(largest)
    return TileCheck(tiles, memory, largest, needs, measurements, tile, errors, "; ".join(notes) or None)


def _channels(model: nn.Module, picture: Tensor | None) -> int:
    return input_channels(model) if picture is None else picture.shape[1]


def attends(field: ReceptiveField) -> bool:
    """Whether a network attends over whole maps, whose memory grows with the square of their area."""
    return any("attends" in obstacle.reason for obstacle in field.obstacles)


def _largest(measurements: MemoryModel, memory: int, step: int) -> int:
    largest = measurements.largest(memory, step)
    if not largest:
        needed = f"the smallest, of {step}x{step} pixels, takes about {size_in_words(measurements.at(step))}"
        raise InputError(
            f"memory: {size_in_words(memory)} holds not even one tile: {needed}; give more, or less to run"
        )
    return largest


def scored_output(field: ReceptiveField) -> Output:
    """The output of a network that ``field`` is of, as it has to be picked out of several."""
    if not field.outputs:
        return None
    name = main_key(output.name for output in field.outputs) or widest(field.outputs)
    return int(name) if name.isdecimal() else name


def _errors(
    model: nn.Module, picture: Tensor, tiles: Tiling, largest: int | None, output: Output
) -> tuple[Size, tuple[HaloError, ...], bool]:
    """Of tiles half as large as the picture, or as the memory allows; and whether scores hardly depend on it."""
    sides = [side // step * step for side, step in zip(picture.shape[-2:], tiles.multiple, strict=True)]
    tile = _tile(sides[0], tiles.multiple[0], largest), _tile(sides[1], tiles.multiple[1], largest)
    if any(side < 2 * step for side, step in zip(sides, tiles.multiple, strict=True)):
        raise InputError(f"the picture is smaller than two tiles in steps of {max(tiles.multiple)} px")
    image = picture[..., : sides[0], : sides[1]]
    with evaluation(model), torch.no_grad():
        whole = pick_output(model, model(image), output)
    errors = []
    for halo in _halos(tile, tiles):
        parts = output_in_tiles(model, image, tile, halo, tiles.multiple, output=output)
        errors.append(_error(whole, parts, halo))
    return tile, tuple(errors), score_spread(whole) < _FAINT * float(whole.abs().max())


def _tile(side: int, step: int, largest: int | None) -> int:
    half = max(step, side // 2 // step * step)
    return half if largest is None else min(half, max(step, largest // step * step))


def _halos(tile: Size, tiles: Tiling) -> Iterator[Size]:
    """None, then doubling from one step on; with the exact one as the last where it fits."""
    exact = tiles.halo
    for doubling in range(_MOST_HALOS):
        wide = [0 if not doubling else step * 2 ** (doubling - 1) for step in tiles.multiple]
        halo = min(wide[0], exact[0]), min(wide[1], exact[1])
        if any(2 * h + step > side for h, step, side in zip(halo, tiles.multiple, tile, strict=True)):
            return
        yield halo
        if halo == exact:
            return


def _error(whole: Tensor, parts: Tensor, halo: Size) -> HaloError:
    spread = max(score_spread(whole), _FAINT * float(whole.abs().max())) or 1.0
    difference = (whole - parts).abs().double()
    changed = _classes(whole) != _classes(parts)
    return HaloError(
        halo,
        float(difference.mean()) / spread,
        float(difference.max()) / spread,
        float(changed.double().mean()),
    )


def score_spread(scores: Tensor) -> float:
    """The standard deviation of scores ``(N, C, H, W)`` over positions, each class around its own mean."""
    centred = scores.double() - scores.double().mean((0, 2, 3), keepdim=True)
    return float(centred.square().mean().sqrt())


def _classes(scores: Tensor) -> Tensor:
    return scores.argmax(1) if scores.shape[1] > 1 else scores[:, 0] > 0
