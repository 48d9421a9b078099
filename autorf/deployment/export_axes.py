"""Which axes of an exported model's image are open, and at which sizes its file gives the model's scores."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from autorf.errors import InputError

BATCH, HEIGHT, WIDTH = 0, 2, 3
AXES = {BATCH: "batch", HEIGHT: "height", WIDTH: "width"}

ATTEMPTS = ((BATCH, HEIGHT, WIDTH), (HEIGHT, WIDTH), (BATCH,), ())
"""Axes left open, the most useful first."""

STEPS = tuple(2**power for power in range(9))
"""What sides may have to be multiples of, beyond the training size."""

TOLERANCE = 1e-4
"""Of the largest score: the largest difference that is rounding."""

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Agreement:
    """How a file's scores compare with the model's on random images.

    Attributes:
        sizes: of the images, ``(N, height, width)``.
        difference: the largest absolute one.
        largest: score of the model, by size, to compare with.
        step: what an open height and width differ from the training size by multiples of; None where they are fixed.
        least: height and width that open sides have at least.
    """

    sizes: tuple[tuple[int, int, int], ...]
    difference: float
    largest: float
    step: int | None = None
    least: tuple[int, int] | None = None

    @property
    def holds(self) -> bool:
        """Whether the difference is rounding."""
        return self.difference <= TOLERANCE * max(1.0, self.largest)


def captured(scores: torch.nn.Module, image: Tensor, axes: tuple[int, ...]) -> ExportedProgram:
    """The program of ``scores`` with these axes of its input open.

    Args:
        scores: takes an image and returns its class scores.
        image: ``(N, C, H, W)``, two images at least, whose size the other axes get.
        axes: left open.
    """
    shapes: Any = (dict.fromkeys(axes, Dim.DYNAMIC),) if axes else None
    with torch.no_grad():
        return torch.export.export(scores, (image[: 2 if BATCH in axes else 1],), dynamic_shapes=shapes)


def least_sides(program: ExportedProgram) -> tuple[int, int]:
    """The smallest height and width that the program says it takes; 1 where it says nothing."""
    (name,) = program.graph_signature.user_inputs
    image = next(node for node in program.graph.nodes if node.name == name).meta["val"]
    return _least(program, image.shape[HEIGHT]), _least(program, image.shape[WIDTH])


def _least(program: ExportedProgram, side: int | torch.SymInt) -> int:
    if isinstance(side, int):
        return side
    constraint = program.range_constraints.get(side.node.expr)
    return 1 if constraint is None else max(1, int(constraint.lower))


def compared(run: Run, scores: Run, image: Tensor, axes: tuple[int, ...], least: tuple[int, int]) -> Agreement:
    """Compare a file with its model at the training size and, where the sides are open, at two more.

    Args:
        run: the file.
        scores: the model.
        image: ``(3, C, H, W)`` of the training size.
        axes: left open.
        least: height and width that the file takes.

    Returns:
        The agreement with the smallest step of the sides that there is; that of the training size alone does not
        hold where the file is another model.

    Raises:
        InputError: where sides are open, but at no other size the file gives the model's scores.
    """
    n = len(image) if BATCH in axes else 1
    trained = _agreement(run, scores, [image[:n]])
    if not trained.holds or HEIGHT not in axes:
        return trained
    size = (image.shape[HEIGHT], image.shape[WIDTH])
    for step in STEPS:
        # Below the training size a program may be another one: where a side has shrunk to a single row.
        for others, low in ((_smaller(size, step, least), least), (_larger(size, step, 2), size)):
            sides = enumerate((_larger(size, step, 1), others))
            unseen = [_random((1, image.shape[1], *side), seed) for seed, side in sides]
            try:
                both = _agreement(run, scores, [image[:n], *unseen])
            except Exception:
                # Libraries raise what they like for a size that they do not take.
                continue
            if both.holds:
                return replace(both, step=step, least=low)
    raise InputError("no other size than that of training gives the model's scores")


def _larger(size: tuple[int, int], step: int, times: int) -> tuple[int, int]:
    """Sides an eighth and a quarter larger, or as many times that, a whole number of steps away."""
    height, width = size
    return height + times * step * (1 + height // (8 * step)), width + times * step * (2 + width // (4 * step))


def _smaller(size: tuple[int, int], step: int, least: tuple[int, int]) -> tuple[int, int]:
    """Sides about half as long, a whole number of steps away, but those that the file takes."""
    half = [side - step * (side // (2 * step)) for side in size]
    height, width = (side + step * max(0, -(-(low - side) // step)) for side, low in zip(half, least, strict=True))
    return height, width


def _agreement(run: Run, scores: Run, images: list[Tensor]) -> Agreement:
    difference = largest = 0.0
    with torch.no_grad():
        for image in images:
            expected = scores(image)
            apart = (run(image) - expected).abs().max().item()
            # Not a number is no agreement, and max would lose it.
            difference = apart if not apart <= difference else difference
            largest = max(largest, expected.abs().max().item())
    sizes = tuple((len(image), image.shape[HEIGHT], image.shape[WIDTH]) for image in images)
    return Agreement(sizes, difference, largest)


def _random(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
