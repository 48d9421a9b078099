"""The memory of a training step, measured on small images and scaled to large ones.

Feature maps grow with the pixels of a batch; parameters, their gradients and the optimizer's state do not. The most
that is in use comes at another moment of a large step (its forward pass ends) than of a small one (its gradients are
all there): so each part of the step, between one parameter's gradient and the next, is scaled by itself, and the
largest part at the size that is asked for is the answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.profiler import record_function

from autorf.advice.peak_memory import MARK, allocated
from autorf.surgery import advance
from autorf.training.module import SegmentationModule

_STATES = {"adamw": 2, "adam": 2, "sgd": 1}
"""Numbers that an optimizer keeps of each parameter: two moments, or the momentum."""


@dataclass(frozen=True)
class Measured:
    """A pass over a batch.

    Attributes:
        pixels: of the batch, all images together.
        parts: bytes that tensors took at most in each part of the pass, beyond what was there before it: in training
            the forward pass, then up to each parameter's gradient; in evaluation the whole.
    """

    pixels: int
    parts: tuple[int, ...]


@dataclass(frozen=True)
class Scaling:
    """The memory of a pass at any size, from two smaller ones.

    Examples:
        >>> scaling = Scaling(Measured(10, (7, 9)), Measured(20, (12, 10)))
        >>> scaling.bytes_at(10), scaling.bytes_at(100)
        (9, 52)
    """

    small: Measured
    large: Measured

    def bytes_at(self, pixels: int) -> int:
        """Beyond what was there before, for a batch of so many pixels in all."""
        if len(self.small.parts) != len(self.large.parts):
            # Another order of the pass at another size; its largest part, scaled as a whole, is the upper bound.
            return round(max(self.large.parts) * max(1.0, pixels / self.large.pixels))
        pairs = zip(self.small.parts, self.large.parts, strict=True)
        return round(max(self._line(small, large, pixels) for small, large in pairs))

    def _line(self, small: float, large: float, pixels: int) -> float:
        slope = max(0.0, large - small) / (self.large.pixels - self.small.pixels)
        return large + slope * (pixels - self.large.pixels)


def measured_step(module: SegmentationModule, image: Tensor, mask: Tensor, progress: float) -> Measured:
    """A training step on the CPU at ``progress`` percent of a training, as every step but the first is.

    The gradients of the step before are there until its forward pass has ended. The optimizer's own state is not
    counted: see :func:`optimizer_bytes`.

    Args:
        module: on the CPU; its gradients are gone afterwards.
        image: ``(N, C, H, W)``.
        mask: ``(N, H, W)``.
        progress: 0 to 100.
    """
    module.train()
    advance(module, int(progress), 100)
    module.zero_grad()

    def step() -> None:
        loss = module.training_step((image, mask), 0)
        _mark()
        loss.backward()

    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    handles = [parameter.register_post_accumulate_grad_hook(_mark) for parameter in trained]
    try:
        measured = _measured(step, image)
    finally:
        for handle in handles:
            handle.remove()
    module.zero_grad()
    before = sum(parameter.numel() * parameter.element_size() for parameter in trained)
    return Measured(measured.pixels, (measured.parts[0] + before, *measured.parts[1:]))


def measured_evaluation(module: SegmentationModule, image: Tensor) -> Measured:
    """Class scores of ``image`` ``(N, C, H, W)`` on the CPU, without gradients."""
    module.eval()
    with torch.no_grad():
        return _measured(lambda: module(image), image)


def _measured(run: Callable[[], object], image: Tensor) -> Measured:
    return Measured(image.shape[0] * image.shape[2] * image.shape[3], _parts(*allocated(run)))


def _mark(*_: object) -> None:
    with record_function(MARK):
        pass


def _parts(line: Sequence[tuple[int, int]], marks: Sequence[int]) -> tuple[int, ...]:
    """The most bytes before the first mark, between each and the next, and behind the last."""
    parts, taken = list[int](), 0
    events = iter([*line, (None, 0)])
    moment, size = next(events)
    for end in [*marks, None]:
        most = taken
        while moment is not None and (end is None or moment < end):
            taken = size
            most = max(most, taken)
            moment, size = next(events)
        parts.append(most)
    return tuple(parts)


def optimizer_bytes(module: SegmentationModule) -> int:
    """Bytes that the optimizer keeps of the parameters that are trained, from its first step on."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    states = _STATES[module.spec.optimizer] if module.spec.optimizer != "sgd" or module.spec.momentum else 0
    return states * sum(parameter.numel() * parameter.element_size() for parameter in trained)
