"""What keeps inference in tiles from being exact: operators whose result depends on the whole map, or on the place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import nn

from autorf.fields.hull import Field, Hull
from autorf.fields.registry import Call

_WHOLE = 1e-6
"""How close to a whole number the ratio of a resize counts as one."""


@dataclass(frozen=True)
class Obstacle:
    """One operator for which no halo suffices.

    Attributes:
        layer: the innermost module it runs in, as in ``model.named_modules()``; empty for the model itself.
        kind: ``normalisation``, ``global``, ``position``, ``corners``, ``ratio``, ``between``, ``circular``,
            ``fixed_size``, ``growing_window``, ``per_pixel`` or ``searching``.
        reason: what it does, in words that follow the layer's name.
    """

    layer: str
    kind: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"layer": self.layer, "kind": self.kind, "reason": self.reason}


def of_modules(model: nn.Module) -> Iterator[Obstacle]:
    """Layers whose field in the graph stands for one that differs from pixel to pixel, or is not settled yet."""
    for name, module in model.named_modules():
        if hasattr(module, "dilation_map"):
            yield Obstacle(name, "per_pixel", "reads as far as each pixel asks for, and its field is their mean")
        elif hasattr(module, "receptive_field_form") and getattr(module, "searching", False):
            yield Obstacle(name, "searching", "is still searching, and its field is a mean of those it weighs")


class Cause(NamedTuple):
    """Why a call is an obstacle."""

    kind: str
    reason: str


def without_repeats(obstacles: Iterable[Obstacle]) -> tuple[Obstacle, ...]:
    """Each layer once for each kind, in their order."""
    first: dict[tuple[str, str], Obstacle] = {}
    for obstacle in obstacles:
        first.setdefault((obstacle.layer, obstacle.kind), obstacle)
    return tuple(first.values())


def marked(call: Call, layer: str, result: Field | list[Field]) -> Field | list[Field]:
    """The result of a call with the obstacles of its inputs, and its own."""
    if isinstance(result, list):
        return [_marked(call, layer, member) for member in result]
    return _marked(call, layer, result)


def _marked(call: Call, layer: str, result: Field) -> Field:
    if not result.depends_on_input:
        return result
    inherited = [obstacle for field in call.fields for obstacle in field.obstacles]
    own = [Obstacle(layer, *cause) for cause in _causes(call, result)]
    return replace(result, obstacles=without_repeats([*inherited, *own])) if inherited or own else result


def _causes(call: Call, result: Field) -> Iterable[Cause]:
    dims = statistics_dims(call)
    if dims is not None:
        if any(hull.spread_over(dims) for field in call.fields for hulls in field.axes for hull in hulls):
            yield Cause("normalisation", "normalises over the whole map")
        return
    if _loses_a_path(call, result):
        yield Cause("global", _how_it_mixes(call.operator))
    yield from _of_a_resize(call)
    if call.operator in _BROADCASTING and _adds_a_place(call):
        yield Cause("position", "joins a constant that differs from place to place")
    if call.operator in _BETWEEN and (read := _read_between(call)):
        yield Cause("between", read)
    if call.operator == "aten.pad" and call.arguments.get("mode") == "circular" and any(call["pad"]):
        yield Cause("circular", "pads with the opposite border")


_BETWEEN = ("autorf.resample2d", "autorf.real_dilated_conv2d")


def _read_between(call: Call) -> str | None:
    """What reads between pixels, so that its field is a mean of its neighbours' fields; None where nothing does."""
    if call.operator == "autorf.resample2d":
        factors = [call["factor_h"], call["factor_w"]]
        return None if factors == [1, 1] else f"resamples by {max(factors):.4g} and reads between pixels"
    fractions = [dilation for dilation in call["dilation"] if dilation != round(dilation)]
    return f"reads between pixels, at a dilation of {max(fractions):.4g}" if fractions else None


def statistics_dims(call: Call) -> tuple[int, ...] | None:
    """The dimensions whose values a normalisation takes mean and deviation of.

    Empty where these are constants, as of batch norm in evaluation mode; None for any other operator.
    """
    name = call.operator.removeprefix("aten.").strip("_")
    if name not in _NORMALISATIONS:
        return None
    n = len(call.shape)
    if "batch_norm" in name:
        estimated = call.arguments.get("training", call.arguments.get("train", False))
        return (0, *range(2, n)) if estimated else ()
    if name == "instance_norm":
        return tuple(range(2, n)) if call["use_input_stats"] else ()
    if "group_norm" in name:
        return tuple(range(1, n))
    return tuple(range(n - len(call["normalized_shape"]), n))


_NORMALISATIONS = (
    "batch_norm", "native_batch_norm", "native_batch_norm_legit", "native_batch_norm_legit_no_training", "layer_norm",
    "native_layer_norm", "group_norm", "native_group_norm", "instance_norm", "rms_norm", "fused_rms_norm",
)  # fmt: skip


def _loses_a_path(call: Call, result: Field) -> bool:
    """Whether a local path of an input ends here, in something that every position of the image reaches."""
    if result.global_context and not any(field.global_context for field in call.fields):
        return True
    return result.global_context and any(
        any(field.axes[axis] for field in call.fields) and not result.axes[axis] for axis in (0, 1)
    )


def _how_it_mixes(operator: str) -> str:
    if "pool" in operator:
        return "pools over the whole map"
    attends = ("softmax", "matmul", "bmm", "attention", "einsum", "baddbmm")
    if any(word in operator for word in attends):
        return "attends over the whole map"
    return "mixes the whole map"


def _of_a_resize(call: Call) -> Iterable[Cause]:
    """Resizes whose sampling points lie elsewhere in another tile.

    An input position is a whole number of output positions, or the other way round, or else the points' phases change
    from tile to tile; with aligned corners they always do, for there the step is (side - 1) / (length - 1).
    """
    for dim, ratio in _resized(call):
        if abs(ratio - 1) < _WHOLE:
            continue
        if call.arguments.get("align_corners"):
            yield Cause("corners", "resizes with aligned corners, whose step depends on the map's size")
            return
        if min(abs(ratio - round(ratio)), abs(1 / ratio - round(1 / ratio))) > _WHOLE:
            reason = f"resizes by {ratio:.4g}, which is no whole number nor one over one"
            yield Cause("ratio", f"{reason} ({call.fields[0].shape[dim]} to {call.shape[dim]} positions)")
            return


def _resized(call: Call) -> Iterable[tuple[int, float]]:
    """Dimensions that a resize walks the image along, and its factor."""
    if "upsample" not in call.operator:
        return
    factors = _given_scales(call, len(call.shape) - 2)
    field = call.fields[0]
    first = len(call.shape) - len(factors)
    for dim, factor in enumerate(factors, first):
        if _walks(field, dim):
            yield dim, factor or call.shape[dim] / field.shape[dim]


def _given_scales(call: Call, n: int) -> list[float | None]:
    if call.arguments.get("align_corners"):
        return [None] * n
    if "scale_factors" in call.arguments:
        return list(call["scale_factors"] or [None] * n)
    return [call.arguments.get(name) for name in (["scales"] if n == 1 else ["scales_h", "scales_w"])]


_BROADCASTING = (
    *(f"aten.{name}" for name in ("add", "sub", "rsub", "mul", "div", "cat", "concat", "where", "addcmul", "lerp")),
    *(f"aten.{name}" for name in ("maximum", "minimum", "max", "min", "pow", "masked_fill", "copy", "baddbmm")),
)
"""Operators that align their operands' dimensions from the last; of others a weight has the shape of no map."""


def _adds_a_place(call: Call) -> bool:
    """Whether a constant takes part that differs along the image, and not only inside of windows."""
    constants = [f for f in call.fields if not f.depends_on_input and not f.uniform and f.shape]
    if not constants:
        return False
    local = [field for field in call.fields if any(field.axes)]
    return any(_differs_along(constant, field, call) for constant in constants for field in local)


def _differs_along(constant: Field, field: Field, call: Call) -> bool:
    ndim = len(call.shape)
    joined = call.arguments.get("dim") if "cat" in call.operator else None
    for dim in range(ndim):
        own, walked = dim - ndim + len(constant.shape), dim - ndim + len(field.shape)
        apart = joined is not None and dim == joined % ndim
        if own >= 0 and walked >= 0 and not apart and constant.shape[own] > 1 and _spans(field, walked):
            return True
    return False


def _walks(field: Field, dim: int) -> bool:
    return any(_walked(hull, dim) for hulls in field.axes for hull in hulls)


def _walked(hull: Hull, dim: int) -> bool:
    return hull.positional[dim] and hull.shape[dim] > 1


def _spans(field: Field, dim: int) -> bool:
    """Whether a walk along ``dim`` leads through most of the image."""
    return any(
        _walked(hull, dim) and _spread_along(hull, dim) >= hull.spread() / 2 for hulls in field.axes for hull in hulls
    )


def _spread_along(hull: Hull, dim: int) -> float:
    return hull.reduced(d for d in range(len(hull.shape)) if d != dim).spread()


UNIFORM = ("zeros", "ones", "full", "scalar_tensor", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones",
           "new_full", "zero", "fill", "empty", "empty_like", "new_empty", "empty_strided")  # fmt: skip
"""Operators whose result has one value everywhere, or none that is read."""


def is_uniform(operator: str, fields: Sequence[Field]) -> bool:
    """Whether a result that no image reaches is alike at every place: made so, or of nothing but such values."""
    name = operator.removeprefix("aten.")
    return name in UNIFORM or (bool(fields) and all(field.uniform for field in fields))
