"""Traces of one network on images large enough to show its whole field."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from autorf.errors import InputError
from autorf.receptive_field.engine import Trace, trace
from autorf.receptive_field.graph import Output, capture
from autorf.receptive_field.hull import Field
from autorf.receptive_field.measure import Extent, measure

Size = tuple[int, int]

_FIRST_LARGER_SIDE = 4096
_GROWTH = 4
_LARGEST_SIDE = 40_000
"""Beyond this side no larger image is tried: no known network's field comes near it."""


@dataclass(frozen=True)
class View:
    """A trace and the image size it was made on."""

    trace: Trace
    size: Size

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


def view(model: nn.Module, size: Size, output: Output, in_channels: int) -> View:
    """Trace ``model`` at ``size``.

    Raises:
        InputError: if the model refuses the image; a near size that works is named where there is one.
    """
    try:
        return View(trace(capture(model, size, output, in_channels)), size)
    except InputError as error:
        if "fails on an input" in str(error) and (near := _accepted_size(model, size, output, in_channels)):
            reason = str(error).rsplit("; try another", 1)[0]
            raise InputError(f"{reason}; image_size {near[0]}x{near[1]} works") from error
        raise


def settled_views(model: nn.Module, first: View, output: Output, in_channels: int) -> tuple[View, View]:
    """For each axis a view that shows every phase of the field, or the largest view the network allows."""
    views = [first, first]
    # Networks that flatten rows and columns carry hulls as large as the map: grow less, one axis at a time.
    flattens = first.trace.flattens
    side = max(_GROWTH * max(first.size), 0 if flattens else _FIRST_LARGER_SIDE)
    while side <= _LARGEST_SIDE:
        open_axes = [axis for axis in (0, 1) if not views[axis].extent(axis).settled]
        try:
            for axis, size in _larger_sizes(first, open_axes, side).items():
                known = next((v for v in views if v.size == size), None)
                views[axis] = known or View(trace(capture(model, size, output, in_channels)), size)
        except InputError:
            break
        side *= _GROWTH
    return views[0], views[1]


def _larger_sizes(first: View, open_axes: list[int], side: int) -> dict[int, Size]:
    """Multiples of the first size, so that what divides the image still does."""
    height, width = (-(-side // small) * small if axis in open_axes else small for axis, small in enumerate(first.size))
    if not first.trace.flattens:
        return dict.fromkeys(open_axes, (height, width))
    apart = {0: (height, first.size[1]), 1: (first.size[0], width)}
    return {axis: apart[axis] for axis in open_axes}


def _accepted_size(model: nn.Module, size: Size, output: Output, in_channels: int) -> Size | None:
    for multiple in (32, 64, 128, 256):
        rounded = (-(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple)
        if rounded == size:
            continue
        try:
            capture(model, rounded, output, in_channels)
        except InputError:
            continue
        return rounded
    return None
