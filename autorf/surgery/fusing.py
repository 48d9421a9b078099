"""Blocks that build one layer out of several for deployment, and remember a dilation that is no longer theirs.

RepVGG, MobileOne and the like fuse their branches by a method of the block (``reparameterize``, ``switch_to_deploy``,
``fuse``), which builds the fused layer from what the block was made with. Where a method changed a branch, such a call
is tried on a copy first, and left out where it would change what the block computes.
"""

import copy
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from autorf.errors import in_one_line
from autorf.methods.modules import AdaptiveModule
from autorf.surgery.dry_run import evaluation, input_channels, random_like_parameters
from autorf.surgery.wrappers import submodule

CALLS = ("reparameterize", "reparameterise", "switch_to_deploy", "fuse", "merge_kernel", "reparam", "fuse_conv_bn")
"""What libraries name the method."""

SIDE = 32
TOLERANCE = 1e-3
"""By how much, as a share of the largest value, fusing may change the output: rounding of folded batch norm."""


class TriedFirst:
    """Takes the place of such a method on one block, is copied and pickled with it, and answers its calls.

    Args:
        block: whose method it is.
        call: the method's name.
        target: the layer in it that was changed, for the message.
    """

    def __init__(self, block: nn.Module, call: str, target: str) -> None:
        self.block, self.call, self.target = block, call, target

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Fuse, if the block then still computes the same; else say so and return the block as it is.

        Warns:
            UserWarning: that names the layer, and what to call first.
        """
        reason = self._obstacle(args, kwargs)
        if reason is None:
            vars(self.block).pop(self.call, None)
            return getattr(self.block, self.call)(*args, **kwargs)
        warnings.warn(
            f"{self.call} is left out for the block of {self.target!r}, {reason}; to fuse it too, re-parameterise the "
            "model first and adapt it then",
            stacklevel=2,
        )
        return self.block

    def _obstacle(self, args: Any, kwargs: Any) -> str | None:
        if any(isinstance(module, AdaptiveModule) for module in self.block.modules()):
            return "which still learns (autorf.freeze makes plain layers of it)"
        fused = copy.deepcopy(self.block)
        vars(fused).pop(self.call, None)
        try:
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                image = random_like_parameters(self.block, (1, input_channels(self.block), SIDE, SIDE))
                before = _output(self.block, image)
                returned = getattr(fused, self.call)(*args, **kwargs)
                after = _output(returned if isinstance(returned, nn.Module) else fused, image)
        except Exception as error:
            return f"where it cannot be tried: {in_one_line(error, 100)}"
        if before.shape == after.shape and (after - before).abs().max() <= TOLERANCE * before.abs().max():
            return None
        return "whose fused layer would not have the dilation that was set"


def _output(block: nn.Module, image: Tensor) -> Tensor:
    with evaluation(block):
        output: Tensor = block(image)
    return output


def try_fusing_first(model: nn.Module, names: Iterable[str]) -> None:
    """Have every block of ``model`` around the layers ``names`` try such a call on a copy first."""
    for name in names:
        parts = name.split(".")
        for length in range(len(parts)):
            block = submodule(model, ".".join(parts[:length]))
            for call in CALLS:
                if callable(getattr(type(block), call, None)) and call not in vars(block):
                    vars(block)[call] = TriedFirst(block, call, name)
