"""Operators whose geometry is not the same at every image size, seen by comparing traces at two sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autorf.fields.engine import Step
from autorf.fields.obstacles import Obstacle
from autorf.fields.views import View

_LARGER = 2
"""How many times larger an image shows it."""


def may_depend_on_size(view: View) -> bool:
    """Whether a trace has operators that are given a size or a window, which may have been made from the image's."""
    return any(step.sized or _is_wide(step) for step in view.trace.steps)


def _is_wide(step: Step) -> bool:
    """Whether a pooling window covers half of the map it is slid over, or more."""
    return step.window is not None and any(
        2 * kernel >= side for kernel, side in zip(step.window, step.sides, strict=True)
    )


def size_obstacles(first: View, others: Sequence[View]) -> Iterator[Obstacle]:
    """The resizes to a fixed size, and the windows that grow with the image.

    Args:
        first: the trace at the requested size.
        others: traces of the same network on larger images; those that are no ``_LARGER`` times as large, or of other
            operators, say nothing.
    """
    steps = first.trace.steps
    for other in others:
        if len(other.trace.steps) != len(steps):
            continue
        for axis in (0, 1):
            if other.size[axis] < _LARGER * first.size[axis]:
                continue
            for step, larger in zip(steps, other.trace.steps, strict=True):
                yield from _of_step(step, larger, axis)


def _of_step(step: Step, larger: Step, axis: int) -> Iterator[Obstacle]:
    if len(step.field.shape) != 4 or not step.field.axes[axis] or step.operator != larger.operator:
        return
    length = step.field.shape[2 + axis]
    if step.sized and length > 1 and larger.field.shape[2 + axis] == length:
        yield Obstacle(step.layer, "fixed_size", f"resizes to {length} positions whatever the image's size")
    if step.window is not None and step.window != larger.window:
        yield Obstacle(step.layer, "growing_window", "pools over windows that grow with the image")
