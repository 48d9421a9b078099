"""How a layer hands a map to later layers of the same model within one forward pass."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from autorf.errors import InputError


class MapRelay:
    """From one layer to the layers that need its map, each of which takes it once a forward pass.

    A map that was taken by all is forgotten, so that nothing of one pass reaches the next, and none is copied or
    pickled with the model.

    Args:
        giver: the name of the layer that posts.
        takers: the names of the layers that take.
    """

    def __init__(self, giver: str, takers: Sequence[str]) -> None:
        self.giver, self.takers = giver, tuple(takers)
        self._map: Tensor | None = None
        self._waiting: tuple[str, ...] = ()

    def post(self, map: Tensor | None) -> None:
        """Offer ``map (N, C, H, W)``, or None, to every taker; an earlier one is forgotten."""
        self._map, self._waiting = map, self.takers

    def forget(self) -> None:
        """Let go of what nobody took."""
        self._map, self._waiting = None, ()

    def take(self, taker: str, input: Tensor) -> Tensor | None:
        """What was posted in this forward pass, for the layer ``taker`` that runs on ``input``.

        Raises:
            InputError: where the giver has not run since this layer last did, or ran on other images.
        """
        if taker not in self._waiting:
            raise InputError(
                f"layer {taker!r} got no map from {self.giver!r}, which must run before it, once each, in every "
                "forward pass (activation checkpointing must enclose both); adapt the layers one by one instead"
            )
        map = self._map
        self._waiting = tuple(name for name in self._waiting if name != taker)
        if not self._waiting:
            self._map = None
        if map is not None and (len(map), map.device) != (len(input), input.device):
            raise InputError(
                f"layer {taker!r} runs on {len(input)} images on {input.device}, but {self.giver!r}, whose map it "
                f"needs, on {len(map)} on {map.device}; adapt the layers one by one instead"
            )
        return map

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_map": None, "_waiting": ()}
