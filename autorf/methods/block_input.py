"""What a block of a network reads, for a layer inside it."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from autorf.errors import InputError
from autorf.methods.relay import MapRelay

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class BlockInput:
    """Hands the map that a block reads to one layer inside it, in every forward pass.

    Args:
        block: the block.
        name: of the block.
        taker: the name of the layer.

    Raises:
        InputError: for a block without a convolution, whose channels are not known then.
    """

    def __init__(self, block: nn.Module, name: str, taker: str) -> None:
        entry = _entry(block)
        self.channels = _channels(entry, name)
        self._relay = MapRelay(name, (taker,))
        # In a tuple: the layer holds this object, and must not hold the block that it is a part of as its own.
        self._waits_for: tuple[nn.Module, ...] = (entry,)

    def watch(self) -> None:
        """Begin to hand on what the block reads; a second call does nothing."""
        for entry in self._waits_for:
            entry.register_forward_pre_hook(self, with_kwargs=True)
        self._waits_for = ()

    def __call__(self, block: nn.Module, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        """Forward pre-hook of the block."""
        map = next(iter((*arguments, *named.values())), None)
        self._relay.post(map if isinstance(map, Tensor) else None)

    def take(self, taker: str, input: Tensor) -> Tensor:
        """What the block read in this forward pass, ``(N, channels, H, W)``, for the layer that runs on ``input``.

        Raises:
            InputError: where the block has not run, or reads something else.
        """
        map = self._relay.take(taker, input)
        if map is None or map.dim() != 4 or map.shape[1] != self.channels:
            shape = "no tensor" if map is None else f"a tensor of shape {tuple(map.shape)}"
            raise InputError(
                f"layer {taker!r} needs the map (N, {self.channels}, H, W) that {self._relay.giver!r} reads, which is "
                f"{shape}; set source: layer"
            )
        return map

    def forget(self) -> None:
        """Let go of the map where the layer did not need it."""
        self._relay.forget()


def _entry(block: nn.Module) -> nn.Module:
    """The part of ``block`` that runs first: containers may be iterated over instead of called."""
    while isinstance(block, _CONTAINERS) and (children := list(block.children())):
        block = children[0]
    return block


def _channels(entry: nn.Module, name: str) -> int:
    for module in entry.modules():
        channels = getattr(module, "in_channels", getattr(module, "num_features", None))
        if isinstance(channels, int):
            return channels
    raise InputError(f"scale_adaptive: block {name!r} has no convolution that tells its channels; set source: layer")
