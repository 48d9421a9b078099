"""Traces of one network on images large enough to show its whole field."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from torch import nn

from autorf.errors import InputError
from autorf.fields.engine import Trace, trace
from autorf.fields.graph import OTHER_IMAGE, Captured, Output, RefusedImageError
from autorf.fields.hull import Field
from autorf.fields.measure import Extent, is_map, measure

Size = tuple[int, int]

Captures = Callable[..., Captured]
"""What captures a network's graph: :func:`autorf.fields.graph.capture`, or something that remembers graphs."""

_FIRST_LARGER_SIDE = 4096
_GROWTH = 4
_LARGEST_SIDE = 40_000
"""Beyond this side no larger image is tried: no known network's field comes near it."""
_USUAL_SIDES = (224, 256, 384)
"""Of networks that are built for one size of image."""


@dataclass(frozen=True)
class View:
    """A trace and the image size it was made on."""

    trace: Trace
    size: Size
    every: bool = True

    def of(self, key: str) -> View:
        """The same view of one of several outputs."""
        return replace(self, trace=replace(self.trace, output=self.trace.outputs[key], outputs={}))

    @property
    def local_outputs(self) -> list[str]:
        """The keys of those of several outputs that are maps with a local path."""
        return [key for key, field in self.trace.outputs.items() if is_map(field)]

    def settled(self, axis: int) -> bool:
        """Whether every phase of each output's field along ``axis`` is seen."""
        views = [self.of(key) for key in self.local_outputs] or [self]
        return all(each.extent(axis).settled for each in views)

    @property
    def output(self) -> Field:
        """The output's field, or of the last map before its global paths where the output has no local path."""
        if self.measured_layer is None or self.trace.last_map is None:
            return self.trace.output
        return replace(self.trace.last_map[1], global_context=True)

    @property
    def measured_layer(self) -> str | None:
        """The layer that is measured in place of an output without rows and columns."""
        plain = all(self.trace.output.axes) or len(self.trace.output.shape) == 4 or self.trace.last_map is None
        return None if plain or self.trace.last_map is None else self.trace.last_map[0]

    def extent(self, axis: int) -> Extent:
        """The output's measured field along ``axis``."""
        extent = measure(self.output, axis, self.size[axis], self.trace.coarsest[axis])
        assert extent is not None, "an output without a local path is refused before it is measured"
        return extent


def view(captures: Captures, model: nn.Module, size: Size, output: Output, in_channels: int) -> View:
    """Trace ``model`` at ``size``.

    Raises:
        InputError: if the model refuses the image; a near size that works is named where there is one.
    """
    try:
        return _all_or_main(captures, model, size, output, in_channels)
    except RefusedImageError as error:
        near = _accepted_size(captures, model, size, output, in_channels)
        if near is None:
            raise
        repair = f"use image_size {near[0]}x{near[1]}, which works"
        raise InputError(str(error).replace(OTHER_IMAGE, repair)) from error


def _all_or_main(captures: Captures, model: nn.Module, size: Size, output: Output, in_channels: int) -> View:
    """A view of every output; of the one that is scored where another one cannot be traced."""
    try:
        return View(trace(captures(model, size, output, in_channels, every=True)), size)
    except RefusedImageError:
        raise
    except InputError:
        if output is None:
            with suppress(InputError):
                return View(trace(captures(model, size, output, in_channels)), size, every=False)
        raise


def settled_views(
    captures: Captures, model: nn.Module, first: View, output: Output, in_channels: int
) -> tuple[View, View]:
    """For each axis a view that shows every phase of the field, or the largest view the network allows."""
    # Networks that flatten rows and columns carry hulls as large as the map: one axis at a time, and less of it.
    rounds: list[tuple[int, ...]] = [(0,), (1,)] if first.trace.flattens else [(0, 1), (0,), (1,)]
    views = [first, first]
    for axes in rounds:
        side = max(_GROWTH * max(first.size), _FIRST_LARGER_SIDE if len(axes) == 2 else 0)
        while side <= _LARGEST_SIDE and (growing := [a for a in axes if not views[a].settled(a)]):
            size = _grown(first.size, growing, side)
            try:
                larger = View(trace(captures(model, size, output, in_channels, every=first.every)), size, first.every)
            except InputError:
                break
            for axis in growing:
                views[axis] = larger
            side *= _GROWTH
    return views[0], views[1]


def larger_view(captures: Captures, model: nn.Module, first: View, output: Output, in_channels: int) -> View:
    """A view like ``first`` of an image of twice its sides.

    Raises:
        InputError: if the network does not take it.
    """
    size = 2 * first.size[0], 2 * first.size[1]
    return View(trace(captures(model, size, output, in_channels, every=first.every)), size, first.every)


def _grown(size: Size, axes: list[int], side: int) -> Size:
    """Multiples of ``size``, so that what divides the image still does."""
    height, width = (-(-side // small) * small if axis in axes else small for axis, small in enumerate(size))
    return height, width


def _accepted_size(captures: Captures, model: nn.Module, size: Size, output: Output, in_channels: int) -> Size | None:
    rounded = [(-(-size[0] // step) * step, -(-size[1] // step) * step) for step in (32, 64, 128, 256)]
    for other in dict.fromkeys([*rounded, *((side, side) for side in _USUAL_SIDES)]):
        if other == size:
            continue
        try:
            captures(model, other, output, in_channels)
        except InputError:
            continue
        return other
    return None
