"""Receptive fields of one network at one dilation after the other, at little more than the cost of the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from autorf.fields.dilated import dilated
from autorf.fields.engine import layer_name
from autorf.fields.field import ReceptiveField, receptive_field_by
from autorf.fields.graph import Captured, Output, capture
from autorf.fields.views import Size


class DilationSweep:
    """The fields of a network whose layers have one dilation after the other.

    The network is captured once for each image size, which is what takes the time: another dilation changes an
    argument in its graph, not the graph.

    Args:
        model: as for :func:`autorf.receptive_field`; left unchanged.
        layers: the convolutions that have the dilation, by their names in ``model``.
        image_size: height and width in pixels.
        output: as for :func:`autorf.receptive_field`.
        in_channels: of the input.
    """

    def __init__(
        self, model: nn.Module, layers: Mapping[str, nn.Module], image_size: Size, output: Output, in_channels: int
    ) -> None:
        self._model, self._layers = model, dict(layers)
        self._image = (image_size, output, in_channels)
        self._captured: dict[tuple[Any, ...], Captured] = {}
        self._dilation = 1.0

    def at(self, dilation: float) -> ReceptiveField:
        """The field with a dilation, which may be a fraction.

        Raises:
            InputError: as :func:`autorf.receptive_field`.
        """
        self._dilation = dilation
        with dilated(list(self._layers.values()), dilation):
            return receptive_field_by(self._capture, self._model, *self._image)

    def _capture(
        self, model: nn.Module, image_size: Size, output: Output, in_channels: int, *, every: bool = False
    ) -> Captured:
        key = image_size, output, in_channels, every
        if key not in self._captured:
            self._captured[key] = capture(model, image_size, output, in_channels, every=every)
        captured = self._captured[key]
        for node in captured.graph.nodes:
            if "real_dilated_conv2d" in str(node.target) and layer_name(node) in self._layers:
                node.args = (*node.args[:3], [self._dilation, self._dilation])
        return captured
