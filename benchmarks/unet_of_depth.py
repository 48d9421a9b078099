"""A plain U-Net whose receptive field is set by its depth, for a study's ``model.name: python:...``."""

import itertools

import torch
from torch import Tensor, nn


def block(channels_in: int, channels_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (channels_in, channels_out):
        layers += [nn.Conv2d(channels, channels_out, 3, padding=1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Two convolutions a level, halved ``depth`` times, with a skip connection at every level.

    Args:
        n_classes: channels of the scores.
        depth: how often the map is halved; 0 for two convolutions at full resolution.
        width: channels of the first level, doubled at each of the next up to four times as many.
    """

    def __init__(self, n_classes: int, depth: int, width: int) -> None:
        super().__init__()
        widths = [width * min(2**level, 4) for level in range(depth + 1)]
        self.down = nn.ModuleList(block(a, b) for a, b in zip([3, *widths], widths, strict=False))
        self.up = nn.ModuleList(block(a + b, a) for a, b in itertools.pairwise(widths))
        self.head = nn.Conv2d(width, n_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        features = [self.down[0](image)]
        for level in self.down[1:]:
            features.append(level(nn.functional.max_pool2d(features[-1], 2)))
        deep = features.pop()
        for merge in reversed(self.up):
            skip = features.pop()
            deep = merge(torch.cat([skip, nn.functional.interpolate(deep, size=skip.shape[-2:])], 1))
        scores: Tensor = self.head(deep)
        return scores


def build(n_classes: int, depth: int = 3, width: int = 12) -> UNet:
    return UNet(n_classes, depth, width)
