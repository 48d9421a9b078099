"""A small network for hyperspectral pictures: bands are mixed first, then neighbours are looked at."""

from torch import nn


def build(n_classes: int, width: int = 32, bands: int = 200) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(bands, width, 1), nn.BatchNorm2d(width), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(width, n_classes, 1))
