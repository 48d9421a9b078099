"""What methods with a field of its own for every pixel noted in their last pass: the map of the model as a whole."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.methods import AdaptiveModule


class PixelMap(NamedTuple):
    """A scale or dilation for every pixel.

    Attributes:
        name: ``scale`` or ``dilation``.
        values: ``(N, H, W)`` float32, the mean over the layers that have one.
    """

    name: str
    values: Tensor


def pixel_map(model: nn.Module, n_images: int, size: tuple[int, int]) -> PixelMap | None:
    """The mean over per-pixel layers of their last maps, bilinearly at a size; None where there is none.

    Args:
        model: that has just run.
        n_images: that it ran on.
        size: height and width in pixels.
    """
    named = [
        (module.map_name, map.float())
        for module in model.modules()
        if isinstance(module, AdaptiveModule) and (map := module.pixel_map()) is not None and len(map) == n_images
    ]
    if not named:
        return None
    total = torch.zeros(n_images, *size, device=named[0][1].device)
    for _, map in named:
        total += functional.interpolate(map, size, mode="bilinear", align_corners=False)[:, 0]
    return PixelMap(named[0][0], total / len(named))
