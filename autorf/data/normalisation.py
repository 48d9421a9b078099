"""How images become what a network sees: less a mean, divided by a deviation, channel by channel."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

BYTE, WORD = 255, 65535
"""What numbers of 8 and of 16 bits are divided by, so that they lie from 0 to 1."""

_SHOWN_DEVIATIONS = 4.0
"""How many deviations lie between black and white, where numbers are shown as colours."""


class Images(Protocol):
    """Images by their indices."""

    def __len__(self) -> int:
        """How many."""
        ...

    def read(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images ``(n, C, H, W)``, and masks."""
        ...


@dataclass(frozen=True)
class Normalisation:
    """Mean and deviation of every channel.

    Attributes:
        mean: one a channel; of bytes as colours from 0 to 1.
        std: likewise.
        colours: whether the first three channels are red, green and blue from 0 to 1.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    colours: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)`` on any device, uint8, uint16 or float32, to float32 of mean 0 and deviation 1."""
        unit = BYTE if images.dtype == torch.uint8 else 1
        factor, shift = _factor_and_shift(self.mean, self.std, unit, images.device)
        # The product first, in the one copy that is made: of bytes, a product of two kinds takes twice as long.
        numbers = images.to(torch.float32, copy=True)
        if images.dtype == torch.uint16:
            numbers.div_(WORD)
        return numbers.mul_(factor).sub_(shift)

    def filling(self, dtype: torch.dtype) -> list[float]:
        """The mean as images of ``dtype`` have it, for what an augmentation leaves empty."""
        return [round(BYTE * value) for value in self.mean] if dtype == torch.uint8 else list(self.mean)

    def shown(self, image: Tensor) -> Tensor:
        """A normalised image ``(C, H, W)`` as colours ``(3, H, W)`` from 0 to 1.

        Of other channels than red, green and blue three are shown that lie evenly among them, over four deviations.
        """
        if self.colours:
            # A map of landmarks, the fourth channel of some, is no colour.
            return (image[:3].float() * _column(self.std[:3]) + _column(self.mean[:3])).clamp(0, 1)
        channels = np.linspace(0, len(self.mean) - 1, 3).round().astype(int).tolist()
        return (image[channels].float() / _SHOWN_DEVIATIONS + 0.5).clamp(0, 1)


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), colours=True)
"""Of ImageNet's colours: what backbones for red, green and blue expect, pretrained or not."""


def unchanged(channels: int) -> Normalisation:
    """Leaves numbers as they are, and bytes as colours from 0 to 1."""
    return Normalisation((0.0,) * channels, (1.0,) * channels)


def normalisation_of(images: Images, channels: int) -> Normalisation:
    """The mean and deviation over all pixels of a split; a channel without any deviation is only shifted."""
    count, total, squares = 0, torch.zeros(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64)
    for index in range(len(images)):
        image = images.read([index])[0][0]
        pixels = image.double().flatten(1) / (BYTE if image.dtype == torch.uint8 else 1)
        count += pixels.shape[1]
        total += pixels.sum(1)
        squares += (pixels - pixels.mean(1, keepdim=True)).square().sum(1) + pixels.shape[1] * pixels.mean(1).square()
    mean = total / count
    variance = (squares / count - mean.square()).clamp(min=0)
    std = torch.where(variance > 1e-12 * (1 + mean.square()), variance.sqrt(), 1.0)
    return Normalisation(tuple(mean.tolist()), tuple(std.tolist()))


@lru_cache(maxsize=64)
def _factor_and_shift(
    mean: tuple[float, ...], std: tuple[float, ...], unit: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Columns ``(C, 1, 1)`` on a device, copied there once: a copy in every step would have the host wait."""
    # What is made in inference mode could not be used outside of it.
    with torch.inference_mode(False):
        means, stds = _column(mean), _column(std)
        return (1 / (unit * stds)).to(device), (means / stds).to(device)


def _column(values: Sequence[float]) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1)
