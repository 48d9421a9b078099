"""The field along the path that widens it least: where even that one spans the image, a layer sees nothing new.

Paper: Richter, Schoening, Wiedenroth, Krumnack, *Should you go deeper? Optimizing convolutional neural network
architectures without training by receptive field analysis*, 2021.
"""

from __future__ import annotations

import math
from dataclasses import replace

from autorf.fields.hull import Field
from autorf.fields.registry import Call, pair

Pair = tuple[float, float]


def least_before(call: Call) -> Pair:
    """Of all paths to a call's inputs, the least field along each axis; infinite where none of them is local."""
    fields = [field for field in call.fields if field.depends_on_input]
    rows, columns = (min((field.least[axis] for field in fields), default=math.inf) for axis in (0, 1))
    return rows, columns


def with_least(call: Call, result: Field | list[Field], image: tuple[int, int]) -> Field | list[Field]:
    """The result of a call with its least field, on an input of ``image`` pixels."""
    before, growth = least_before(call), _growth(call, image)

    def widened(member: Field) -> Field:
        # Where only global paths lead there is no least one.
        rows, columns = (
            seen + added if hulls else math.inf for seen, added, hulls in zip(before, growth, member.axes, strict=True)
        )
        return replace(member, least=(rows, columns))

    return [widened(member) for member in result] if isinstance(result, list) else widened(result)


def _growth(call: Call, image: tuple[int, int]) -> Pair:
    """Input pixels that a sliding window of two axes adds."""
    kernel = _kernel(call)
    if kernel is None or len(kernel) != 2:
        return 0.0, 0.0
    dilation = pair(call.arguments.get("dilation") or 1)
    sides = call.fields[0].shape[-2:]
    rows, columns = (
        (taps - 1) * rate * pixels / side
        for taps, rate, pixels, side in zip(kernel, dilation, image, sides, strict=True)
    )
    return rows, columns


def _kernel(call: Call) -> tuple[int, ...] | None:
    if "kernel_size" in call.arguments:
        return pair(call["kernel_size"])
    if "kernel" in call.arguments:
        return tuple(call["kernel"])
    return call["weight"].shape[2:] if "conv" in call.operator and "transpose" not in call.operator else None
