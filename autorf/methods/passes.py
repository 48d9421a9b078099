"""What a region remembers of its forward passes, parts of which run again under activation checkpointing."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from autorf.errors import InputError

Sides = tuple[int, int]
End = Literal["start", "end"]

KEPT = 16
"""How many of the newest passes are kept for a backward pass that may run them again."""


@dataclass
class Crossing:
    """A map at one end of the region.

    Attributes:
        shape: of the map, before anything is resized.
        random: the state of the random numbers then, which activation checkpointing restores.
        again: whether it has run again since.
    """

    shape: tuple[int, ...]
    random: Tensor
    again: bool = False


@dataclass
class Pass:
    """One forward pass through a region.

    Attributes:
        size: of the map in front of the region.
        image_size: of the model's input, where the region returns to it.
        training: whether the region was in training mode.
        shared: what both resizes use, such as a factor that was drawn; None before the first.
        crossings: the ends that were passed.
    """

    size: Sides
    image_size: Sides | None
    training: bool
    shared: Any = None
    crossings: dict[End, Crossing] = field(default_factory=dict)


def runs_again() -> bool:
    """Whether this is a backward pass, in which activation checkpointing runs a part of the forward pass again."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1


def sides_of(map: Tensor) -> Sides:
    """The height and width of ``map (N, C, H, W)``."""
    height, width = map.shape[2:]
    # A tracer of torch.jit shows sides as tensors.
    return (int(height), int(width)) if torch.jit.is_tracing() else (height, width)


class Passes:
    """The newest forward passes through a region. None is copied or pickled with the model.

    A part that runs again belongs to the pass that had a map of the same shape there at the same state of the random
    numbers; where several had, to the newest that has not run again yet, since backward passes go backwards.
    """

    def __init__(self) -> None:
        self.current: Pass | None = None
        self._kept: deque[Pass] = deque(maxlen=KEPT)

    def begin(self, map: Tensor, image_size: Sides | None, training: bool) -> Pass:
        """A new pass with ``map (N, C, H, W)`` in front of the region."""
        self.current = Pass(sides_of(map), image_size, training)
        if self._may_run_again(training):
            self._kept.append(self.current)
            self._note(self.current, "start", map)
        return self.current

    def finish(self, map: Tensor) -> Pass:
        """The pass that is under way, with ``map (N, C, H, W)`` behind the region.

        Raises:
            InputError: where none is.
        """
        current, self.current = self.current, None
        if current is None:
            raise InputError("the end of an inflated region ran without its start; run the model as a whole")
        if self._may_run_again(current.training):
            self._note(current, "end", map)
        return current

    def find(self, end: End, map: Tensor, training: bool) -> Pass:
        """The pass whose part with ``map (N, C, H, W)`` at ``end`` runs again.

        Raises:
            InputError: where it is not known.
        """
        shape, random = tuple(map.shape), torch.get_rng_state()
        passes = [kept for kept in reversed(self._kept) if kept.training == training and end in kept.crossings]
        passes = [kept for kept in passes if kept.crossings[end].shape == shape]
        alike = [kept for kept in passes if torch.equal(kept.crossings[end].random, random)]
        waiting = [kept for kept in alike or passes if not kept.crossings[end].again]
        if not alike and len(waiting) != 1:
            raise InputError(
                "activation checkpointing runs an inflated region again, and it is not known of which forward pass "
                f"({len(waiting)} of the last {KEPT} would fit): checkpoint with preserve_rng_state=True, and go "
                "backwards after each forward pass"
            )
        chosen = (waiting or alike)[0]
        chosen.crossings[end].again = True
        return chosen

    def _may_run_again(self, training: bool) -> bool:
        # With use_reentrant=True a training's forward passes run without gradients.
        return not torch.compiler.is_compiling() and (training or torch.is_grad_enabled())

    def _note(self, current: Pass, end: End, map: Tensor) -> None:
        current.crossings[end] = Crossing(tuple(map.shape), torch.get_rng_state())

    def __deepcopy__(self, memo: dict[int, Any]) -> "Passes":
        return Passes()

    def __reduce__(self) -> tuple[type["Passes"], tuple[()]]:
        return Passes, ()
