"""What several layers draw together within one forward pass: which images explore, where, and in which layer."""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from autorf.errors import InputError
from autorf.methods.passes import runs_again

KEPT = 16
"""How many of a layer's newest draws are kept for parts of a forward pass that run again."""


@dataclass(frozen=True)
class Draw:
    """What is drawn for the images of one forward pass.

    Attributes:
        explores: whether each image tries other options than the current choice.
        place: where in the window each of them lies, in [0, 1), spread evenly; of no meaning for the others.
        layer: the index of the layer in which each of them explores, where it explores in one alone.
    """

    explores: Tensor
    place: Tensor
    layer: Tensor

    @classmethod
    def made(cls, seed: int, n_images: int, share: float, n_layers: int) -> Self:
        """The draw that belongs to ``seed``: of ``n_images`` on average the ``share`` explores, and where."""
        # Whatever torch's default device is: the generator's is the processor.
        generator = torch.Generator("cpu").manual_seed(seed)
        # Rounded at random, so that the share holds on average for small batches too.
        rounding = float(torch.rand((), generator=generator, dtype=torch.float64, device="cpu"))
        n = min(n_images, int(n_images * share + rounding))
        images = torch.randperm(n_images, generator=generator, device="cpu")[:n]
        explores = torch.zeros(n_images, dtype=torch.bool, device="cpu")
        explores[images] = True
        place = torch.zeros(n_images, dtype=torch.float64, device="cpu")
        place[images] = evenly_spread(n, generator)
        first = int(torch.randint(n_layers, (), generator=generator, device="cpu"))
        layer = torch.zeros(n_images, dtype=torch.long, device="cpu")
        layer[images] = (torch.randperm(n, generator=generator, device="cpu") + first) % n_layers
        return cls(explores, place, layer)


def evenly_spread(n: int, generator: torch.Generator | None = None) -> Tensor:
    """One draw in each of ``n`` equal parts of [0, 1), in random order: fewer repeats, so a less noisy profile."""
    device = None if generator is None else generator.device
    order = torch.randperm(n, generator=generator, device=device)
    return (order + torch.rand(n, generator=generator, dtype=torch.float64, device=device)) / max(n, 1)


class JointDraws:
    """The draws of the layers of one method; none is copied or pickled with the model.

    The first layer of a forward pass draws for all, and each of the others takes that draw once. A part of a forward
    pass that activation checkpointing runs again is known by its random numbers, which are then those of the first
    time.

    Args:
        n_layers: that draw together.
    """

    def __init__(self, n_layers: int) -> None:
        self.n_layers = n_layers
        self._newest: Draw | None = None
        self._taken: set[int] = set()
        self._kept: dict[tuple[int, int], Draw] = {}

    def take(self, layer: int, n_images: int, share: float) -> Draw:
        """The draw of this forward pass for a layer.

        Args:
            layer: its index.
            n_images: in the batch.
            share: of the images that explore.

        Raises:
            InputError: in a part that runs again, and it is not known of which forward pass.
        """
        # Every layer asks for one random number, the first and the second time alike: what else is random in a part
        # that runs again stays as it was, and the number tells the pass.
        key = layer, int(torch.randint(2**62, ()))
        if key in self._kept:
            return self._kept[key]
        if runs_again():
            raise InputError(
                "learned_dilation: activation checkpointing runs a layer again whose images were drawn with those of "
                "other layers, and it is not known of which forward pass: checkpoint with preserve_rng_state=True"
            )
        if self._newest is None or layer in self._taken or len(self._newest.explores) != n_images:
            self._newest, self._taken = Draw.made(key[1], n_images, share, self.n_layers), set()
        self._taken.add(layer)
        self._kept[key] = self._newest
        if len(self._kept) > KEPT * self.n_layers:
            # A dict keeps the order in which its keys came.
            del self._kept[next(iter(self._kept))]
        return self._newest

    def __deepcopy__(self, memo: dict[int, Any]) -> "JointDraws":
        return JointDraws(self.n_layers)

    def __reduce__(self) -> tuple[type["JointDraws"], tuple[int]]:
        return JointDraws, (self.n_layers,)
