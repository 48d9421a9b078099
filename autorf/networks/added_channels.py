"""Channels that images have beside red, green and blue, with weights of their own that begin at 0."""

import torch
from torch import Tensor, nn

from autorf.errors import InputError, a_type
from autorf.methods.modules import LearningRule, OwnRates

RATE = 100.0
"""The learning rate of these weights, times the model's."""


class AddedChannels(nn.Conv2d, OwnRates):
    """A first convolution whose last input channels have a kernel of their own, which begins at 0.

    At the beginning its output is what the convolution gives of the first channels alone. The kernel learns by 100
    times the model's rate. ``state_dict`` keys are those of the convolution, and ``added_weight``.
    Paper: Wei et al., *Accurate facial image parsing at real-time speed*, 2019, section III-B, of a map of landmarks.

    Args:
        convolution: a plain one.
        added: how many channels come behind those that it sees.
    """

    def __init__(self, convolution: nn.Conv2d, added: int) -> None:
        super().__init__(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,  # type: ignore[arg-type]
            convolution.stride,  # type: ignore[arg-type]
            convolution.padding,  # type: ignore[arg-type]
            convolution.dilation,  # type: ignore[arg-type]
            bias=convolution.bias is not None,
            padding_mode=convolution.padding_mode,
        )
        self.weight, self.bias = convolution.weight, convolution.bias
        self.added_weight = nn.Parameter(
            torch.zeros(convolution.out_channels, added, *convolution.kernel_size, dtype=convolution.weight.dtype)
        )
        self.in_channels = convolution.in_channels + added

    def forward(self, input: Tensor) -> Tensor:
        """``(N, C + added, H, W)`` to what the convolution gives of it."""
        return self._conv_forward(input, torch.cat([self.weight, self.added_weight], 1), self.bias)

    def learning_rules(self) -> list[LearningRule]:
        """Of the added kernel."""
        return [LearningRule((self.added_weight,), multiplier=RATE)]


def with_added_channels(model: nn.Module, added: int, name: str) -> nn.Module:
    """``model``, its first convolution for so many channels more; changed in place.

    Raises:
        InputError: naming the model where that is no plain convolution.
    """
    place = next((place for place, module in model.named_modules() if isinstance(module, nn.Conv2d)), None)
    first = None if place is None else model.get_submodule(place)
    if place is None or type(first) is not nn.Conv2d or first.groups != 1:
        kind = "there is none" if first is None else f"{place} is {a_type(first)}"
        raise InputError(f"model.added_channels: {name} does not begin with a plain convolution ({kind}); leave it out")
    parent, _, last = place.rpartition(".")
    setattr(model.get_submodule(parent), last, AddedChannels(first, added))
    return model
