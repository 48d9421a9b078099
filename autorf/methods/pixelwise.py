"""What convolutions whose receptive field differs from pixel to pixel have in common."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.methods.bookkeeping import Record
from autorf.methods.modules import AdaptiveConv2d
from autorf.methods.recorded import RECORD_BUFFERS, Recorded
from autorf.methods.relay import MapRelay
from autorf.ops.capture import dilated_form, strided
from autorf.ops.exporting import is_exporting

BUFFERS = (*RECORD_BUFFERS, "map_state")
"""The buffers that the state has beside the layer's parameters."""


class PixelwiseConv2d(Recorded, AdaptiveConv2d):
    """A convolution of stride 1 or 2 with a map that says how far it reaches at each pixel.

    With stride 2 it is computed at stride 1, of which every second row and column is kept, the first ones included:
    four times the arithmetic and the memory of a plain convolution of stride 2. The map is of what is kept.

    It is *idle*, the plain convolution of its dilation bit for bit, until training begins: with the first ``advance``
    or the first forward pass in training mode with gradients, so that a loop that never calls ``advance`` learns too.
    The map of the last forward pass is kept without its gradient. Its statistics are in the state: those of the last
    pass in training, and in evaluation those of all passes since ``eval()`` was called, a whole validation.

    Args:
        layer: the convolution it replaces.
        name: the layer's name in its model.
        dilation: while idle.
        statistics: of the map while idle.
        inlet: where a map of an earlier layer comes from.
        outlet: where later layers get theirs.
        options: the dilations it chooses among, where it does.
    """

    map_state: Tensor
    pooled_values: Tensor

    def __init__(
        self,
        layer: nn.Conv2d,
        name: str,
        dilation: int,
        statistics: Sequence[float],
        inlet: MapRelay | None,
        outlet: MapRelay | None,
        options: Sequence[float] = (),
    ) -> None:
        super().__init__(layer)
        self.stride = (layer.stride[0], layer.stride[1])
        self.name, self.rate, self.inlet, self.outlet = name, dilation, inlet, outlet
        self.last_map: Tensor | None = None
        self.register_buffer("map_state", torch.tensor(list(statistics), device=layer.weight.device))
        self.register_buffer("pooled_values", torch.zeros((), device=layer.weight.device), persistent=False)
        self._keep(Record(), options, layer.weight.device)
        self.own = BUFFERS

    @property
    def idle(self) -> bool:
        """Whether training has not begun: the layer is the plain convolution."""
        return not self.record.begun

    def train(self, mode: bool = True) -> Self:
        """Begin to pool statistics anew."""
        # A module sets its mode while it is made, too.
        if "pooled_values" in self._buffers:
            self.pooled_values.zero_()
        return super().train(mode)

    def advance(self, progress: float) -> None:
        """Leave the idle state."""
        if self.idle:
            self.record = replace(self.record, begun=True)

    def forward(self, input: Tensor) -> Tensor:
        """The convolution with each pixel's own reach, ``(N, C_in, H, W)`` to ``(N, C_out, H, W)`` or half of that.

        Raises:
            InputError: when the layer needs another layer's map and that layer has not run in this forward pass.
        """
        received = None if self.inlet is None else self.inlet.take(self.name, input)
        if self.idle and self.training and torch.is_grad_enabled():
            self.advance(0.0)
        plain = self.idle or input.numel() == 0
        output, sent = (self._plain(input), None) if plain else self._adaptive(input, received)
        if self.outlet is not None:
            self.outlet.post(sent)
        return output

    @abstractmethod
    def _adaptive(self, input: Tensor, received: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The output, and the map for later layers; ``received`` is the earlier layer's, None if it was plain."""

    @property
    @abstractmethod
    def dilation_map(self) -> Tensor | None:
        """The dilation at each pixel of the last forward pass, ``(N, 1, H, W)``; None before the first."""

    @abstractmethod
    def reported_dilation(self) -> float:
        """The dilation that stands for the map in the receptive field, in pixels of ``input``."""

    def pixel_map(self) -> Tensor | None:
        """The scale or the dilation at each pixel of the last forward pass; None while idle."""
        return None if self.idle else self.last_map

    def receptive_field_form(self) -> Callable[..., Tensor]:
        """A convolution with the dilation that stands for the last forward pass."""
        return dilated_form(self.out_channels, self.kernel_size, self.reported_dilation(), self.stride)

    def kept(self, map: Tensor) -> Tensor:
        """What of ``map (N, C, H, W)``, at the input's positions, is at the output's."""
        return strided(map, self.stride)

    def _plain(self, input: Tensor) -> Tensor:
        padding = (self.rate * (self.kernel_size[0] // 2), self.rate * (self.kernel_size[1] // 2))
        return functional.conv2d(input, self.kernel(), self.bias, self.stride, padding, self.rate, self.groups)

    def _note(self, map: Tensor, statistics: Callable[[], Sequence[Tensor]]) -> None:
        """Keep this pass's map ``(N, 1, H, W)``, without gradient, and its statistics: mean, variance, others."""
        # An exported program has no place for them, and its tensors are no numbers.
        if is_exporting():
            return
        self.last_map = map
        current = torch.stack(list(statistics()))
        if not self.training:
            self.pooled_values += map.numel()
            share = map.numel() / self.pooled_values
            # No branch on a tensor's value, which would wait for the device; a share of 1 is the first pass.
            current = torch.where(share < 1, self._pooled(self.map_state, current, share), current)
        self.map_state.copy_(current)

    @abstractmethod
    def _pooled(self, before: Tensor, current: Tensor, share: Tensor) -> Tensor:
        """Statistics of earlier passes and of this one together, of which this one has ``share`` of all values."""

    def upgrade_state(self, state: dict[str, Any], prefix: str) -> None:
        """Take a state of layout 1 too, whose statistics begin with the share of the training that was done."""
        super().upgrade_state(state, prefix)
        name = f"{prefix}map_state"
        if name in state and state[name].numel() == self.map_state.numel() + 1:
            state[name] = state[name][1:]

    def _record_of_first_version(self, state: Mapping[str, Tensor]) -> Record:
        progress = float(state["map_state"][0]) if "map_state" in state else -1.0
        return Record(begun=progress >= 0, progress=max(progress, 0.0))


def pooled_moments(before: Tensor, current: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance, the first two values of either, of two parts together; the second has ``share`` of all."""
    # Between the parts' means lies variance too, or a validation in many batches would show too little.
    apart = current[0] - before[0]
    variance = before[1] + share * (current[1] - before[1]) + share * (1 - share) * apart**2
    return before[0] + share * apart, variance


def resized(map: Tensor, input: Tensor) -> Tensor:
    """``map (N, C, h, w)`` bilinearly at the size of ``input (N, ., H, W)``."""
    if map.shape[2:] == input.shape[2:]:
        return map
    return functional.interpolate(map, size=input.shape[2:], mode="bilinear", align_corners=False)
