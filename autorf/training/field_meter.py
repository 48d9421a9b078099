"""The receptive field of a model in training, measured anew where what it learned has changed."""

import json

from torch import nn

from autorf.fields import receptive_field
from autorf.surgery import learned_values
from autorf.surgery.dry_run import input_channels
from autorf.training.results import Field


class FieldMeter:
    """The receptive field of one model under study, measured anew only when a learned value changed."""

    def __init__(self, model: nn.Module, image_size: tuple[int, int]) -> None:
        self.model, self.image_size = model, image_size
        self._known: dict[str, Field] = {}

    def __call__(self) -> Field:
        """As it is now, to a hundredth of a pixel."""
        values = json.dumps(learned_values(self.model), sort_keys=True)
        if values not in self._known:
            measured = receptive_field(self.model, self.image_size, in_channels=input_channels(self.model))
            height, width = (round(float(length), 2) for length in measured.size)
            self._known[values] = Field((height, width), measured.rnorm)
        return self._known[values]
