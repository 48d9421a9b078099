"""A family of networks: ``plain:WIDTH``."""

from typing import Any

from torch import nn


class Plain(nn.Sequential):
    """Three convolutions; methods that are told no targets take the middle one."""

    receptive_field_layers = ("2",)
    receptive_field_regions = (("2", "3"),)


def build(width: str, spec: Any, n_classes: int) -> nn.Module:
    channels = int(width or 8)
    return Plain(
        nn.Conv2d(3, channels, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels, n_classes, 1),
    )
