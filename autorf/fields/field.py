"""``receptive_field``: the exact receptive field of any traced network, with a row for each layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from torch import nn

from autorf.errors import InputError
from autorf.fields.graph import capture, main_key
from autorf.fields.measure import map_dim, measure, tidy
from autorf.fields.obstacles import Obstacle, of_modules, without_repeats
from autorf.fields.scaling import may_depend_on_size, size_obstacles
from autorf.fields.views import Captures, View, larger_view, settled_views, view
from autorf.ops._arguments import check_module, image_sides, kind_of, whole_number

Pair = tuple[float, float]

MOST_CHANNELS = 2**16
"""Of an input."""


@dataclass(frozen=True)
class LayerField:
    """One operator of the network that changes size, stride or field.

    ``name`` is the innermost module it runs in, ``kind`` the operator. ``size`` and ``stride`` are in input pixels,
    None on a global path. ``shape`` is the output's ``(N, C, H, W)`` at the requested image size. ``before`` is the
    field of its input along the path that widens it least, None where only global paths lead to it: where that spans
    the image, the layer sees nothing new.
    """

    name: str
    kind: str
    size: Pair | None
    stride: Pair | None
    shape: tuple[int, ...]
    before: Pair | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        size, stride = (list(pair) if pair else None for pair in (self.size, self.stride))
        before = None if self.before is None else list(self.before)
        named = {"name": self.name, "kind": self.kind, "rf": size, "stride": stride, "shape": list(self.shape)}
        return {**named, "least_before": before}


@dataclass(frozen=True)
class ReceptiveField:
    """The receptive field of a network's output; every pair is ``(height, width)`` in input pixels.

    ``size`` is the side of the region one output value depends on, the largest over all positions away from the
    borders (phases of a strided network differ). ``stride`` is the step between neighbouring outputs' fields and
    ``offset`` the centre of output 0's field, averaged over the phases. ``reach`` is how far the field extends beyond
    the pixels an output covers: ``((above, below), (left, right))``. ``period`` is the least common multiple
    of all layers' strides, after which phases repeat. Global paths (global or adaptive pooling,
    squeeze-and-excitation, attention over the whole map) are left out, and ``global_context`` says that there are
    any. Where ``exact`` is False on an axis the network allows no image larger than its field, ``size`` is a lower
    bound. ``note`` says what limits the image, or which map was measured where the output is none. ``outputs`` lists
    every map that the model returns, by key or position, where these are several. ``wraps`` says that outputs at the
    border also read the opposite border, as circular padding has them do; ``size`` is that of all others.
    ``obstacles`` names the layers whose result depends on the whole map or on the place in it, normalisation included:
    with them no tile of a larger image is exact, whatever its halo.
    """

    model: str
    image_size: tuple[int, int]
    size: Pair
    stride: Pair
    offset: Pair
    reach: tuple[Pair, Pair]
    period: Pair
    global_context: bool
    layers: tuple[LayerField, ...]
    parameters: int
    exact: tuple[bool, bool] = (True, True)
    note: str | None = None
    outputs: tuple[LayerField, ...] = ()
    wraps: bool = False
    obstacles: tuple[Obstacle, ...] = ()

    @property
    def rnorm_per_axis(self) -> Pair:
        """``rf / image side`` for height and width (Wei et al. 2019)."""
        return self.size[0] / self.image_size[0], self.size[1] / self.image_size[1]

    @property
    def rnorm(self) -> float:
        """The larger of both axes' ``rf / image side``."""
        return max(self.rnorm_per_axis)

    def to_dict(self) -> dict[str, Any]:
        """The contract of ``autorf inspect --format json``."""
        return {
            "model": self.model,
            "image_size": list(self.image_size),
            "rf": list(self.size),
            "stride": list(self.stride),
            "offset": list(self.offset),
            "reach": [list(sides) for sides in self.reach],
            "period": list(self.period),
            "rnorm": self.rnorm,
            "rnorm_per_axis": list(self.rnorm_per_axis),
            "global_context": self.global_context,
            "exact": list(self.exact),
            "note": self.note,
            "obstacles": [obstacle.to_dict() for obstacle in self.obstacles],
            "parameters": self.parameters,
            "outputs": [output.to_dict() for output in self.outputs],
            "layers": [layer.to_dict() for layer in self.layers],
        }


def receptive_field(
    model: nn.Module,
    image_size: tuple[int, int] | int,
    output: str | int | None = None,
    in_channels: int = 3,
) -> ReceptiveField:
    """The exact receptive field of ``model`` and of each of its layers.

    The network is captured as a graph of operators in evaluation mode, without computing its activations, and
    intervals of input pixels are moved through every operator. Where the field exceeds the image the network is
    captured again on a larger one.

    Args:
        model: any module that ``torch.export`` can trace; it is left unchanged.
        image_size: ``(height, width)`` in pixels, or one side for both.
        output: which output, where there are several: a key, an index, or the name of a module (its output). By
            default ``"out"`` or ``"logits"`` where there is such a key, else the one with the widest field. Of a
            classifier the last map before the global pooling is measured, and ``note`` says so.
        in_channels: channels of the input ``(1, in_channels, height, width)``.

    Returns:
        Sizes, stride, offset, rnorm, one row a layer, and whether global paths were left out. Normalisation layers
        and activations count as pointwise. Adaptive pooling to fewer bins is a global path, and so is softmax,
        mean or a matrix product over all positions; attention inside a window is not.

    Raises:
        InputError: for an image the model refuses, a model that cannot be traced, an operator without a rule
            (named with its layer), or an output that is no map or has no local path.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 2, 3, padding=4, dilation=4))
        >>> field = autorf.receptive_field(model, image_size=64)
        >>> field.size, field.stride, round(field.rnorm, 3)
        ((19, 19), (2, 2), 0.297)
    """
    check_module("receptive_field", model)
    size = image_sides("receptive_field", image_size)
    in_channels = whole_number("receptive_field", "in_channels", in_channels, most=MOST_CHANNELS)
    if isinstance(output, bool) or not isinstance(output, str | int | None):
        raise InputError(f"receptive_field: output must be a key, an index or a module's name, got {kind_of(output)}")
    return receptive_field_by(capture, model, size, output, in_channels)


def receptive_field_by(
    captures: Captures, model: nn.Module, size: tuple[int, int], output: str | int | None, in_channels: int
) -> ReceptiveField:
    """:func:`receptive_field` of checked arguments, its graphs taken from ``captures``."""
    first = view(captures, model, size, output, in_channels)
    if not first.local_outputs:
        _check_local(first, output)
    views = settled_views(captures, model, first, output, in_channels)
    compared = views if views != (first, first) else _at_another_size(captures, model, first, output, in_channels)
    outputs = _outputs(first, views)
    if outputs:
        output = main_key(each.name for each in outputs) or widest(outputs)
        first, views = first.of(output), (views[0].of(output), views[1].of(output))
    _check_map(views, output)
    height, width = (seen.extent(axis) for axis, seen in enumerate(views))
    return ReceptiveField(
        model=type(model).__name__,
        image_size=size,
        size=(height.size, width.size),
        stride=(height.stride, width.stride),
        offset=(height.offset, width.offset),
        reach=(height.reach, width.reach),
        period=(tidy(views[0].trace.period[0]), tidy(views[1].trace.period[1])),
        global_context=any(seen.output.global_context for seen in (first, *views)),
        layers=_rows(first, views),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        exact=(height.settled, width.settled),
        note=_note(views[0], size, outputs, output, settled=height.settled and width.settled),
        outputs=outputs,
        wraps=height.wraps or width.wraps,
        obstacles=without_repeats(
            [*of_modules(model), *_on_the_way((first, *views)), *size_obstacles(first, compared)]
        ),
    )


def _on_the_way(views: Sequence[View]) -> Iterator[Obstacle]:
    for seen in views:
        yield from seen.output.obstacles


def _at_another_size(
    captures: Captures, model: nn.Module, first: View, output: str | int | None, in_channels: int
) -> tuple[View, ...]:
    """A view of an image twice as large, where the network may resize to a fixed size, and takes such an image."""
    if not may_depend_on_size(first):
        return ()
    with suppress(InputError):
        return (larger_view(captures, model, first, output, in_channels),)
    return ()


def _outputs(first: View, views: Sequence[View]) -> tuple[LayerField, ...]:
    """Every output that is a map with a local path, where a model returns several."""
    return tuple(_output(key, first, [seen.of(key) for seen in views]) for key in first.local_outputs)


def _output(key: str, first: View, views: Sequence[View]) -> LayerField:
    height, width = (seen.extent(axis) for axis, seen in enumerate(views))
    shape = first.trace.outputs[key].shape
    return LayerField(key, "output", (height.size, width.size), (height.stride, width.stride), shape)


def widest(outputs: Sequence[LayerField]) -> str:
    """The name of the output with the largest field."""

    def area(output: LayerField) -> float:
        assert output.size is not None
        return output.size[0] * output.size[1]

    return max(outputs, key=area).name


def _note(
    seen: View, size: tuple[int, int], outputs: Sequence[LayerField], output: str | int | None, *, settled: bool
) -> str | None:
    notes = []
    if outputs:
        which = "the scored one" if main_key([str(output)]) else "the one with the widest field"
        notes.append(f"the model returns {len(outputs)} maps; measured is {which}, {output!r}")
    if seen.measured_layer is not None:
        notes.append(f"the output is no map; measured is the last map before its global paths, {seen.measured_layer}")
    if not settled:
        notes.append(f"the network accepts no image larger than {size[0]}x{size[1]}; the field is at least this large")
    return "; ".join(notes) or None


def _rows(first: View, views: Sequence[View]) -> tuple[LayerField, ...]:
    """The layer table: shapes at the requested size, fields from the images that were large enough."""
    comparable = all(_signature(seen) == _signature(first) for seen in views)
    used = views if comparable else (first, first)
    coarsest = [seen.trace.coarsest[axis] for axis, seen in enumerate(used)]
    rows = []
    for i, step in enumerate(first.trace.steps):
        height, width = (
            measure(seen.trace.steps[i].field, axis, seen.size[axis], coarsest[axis]) for axis, seen in enumerate(used)
        )
        size = (height.size, width.size) if height and width else None
        stride = (height.stride, width.stride) if height and width else None
        least = tuple(seen.trace.steps[i].before[axis] for axis, seen in enumerate(used))
        before = (tidy(least[0]), tidy(least[1])) if all(map(math.isfinite, least)) else None
        rows.append(LayerField(step.layer, step.operator, size, stride, step.field.shape, before))
    return tuple(rows)


def _signature(seen: View) -> list[tuple[str, str]]:
    return [(step.layer, step.operator) for step in seen.trace.steps]


def _check_local(first: View, output: str | int | None) -> None:
    field = first.trace.output if output is not None else first.output
    if not all(field.axes):
        reason = "only by global paths" if field.global_context else "in no way"
        raise InputError(
            f"output {output!r} of shape {tuple(field.shape)} depends on the image {reason}; "
            "choose a layer before them with output="
        )


def _check_map(views: Sequence[View], output: str | int | None) -> None:
    dims = [map_dim(seen.output, axis) for axis, seen in enumerate(views)]
    if None in dims or dims[0] == dims[1]:
        shape = tuple(views[0].trace.output.shape)
        raise InputError(f"output {output!r} of shape {shape} is no map with rows and columns; choose one with output=")
