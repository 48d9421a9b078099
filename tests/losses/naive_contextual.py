"""The statistical contextual loss as the paper writes it, pixel by pixel (Wei et al. 2019, Eqs. 2 to 7)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autorf.losses.contextual_spec import ContextualSpec
from tests.losses.naive import softmax


@dataclass(frozen=True)
class Pixel:
    """Where it is, its features, its label and its cross-entropy."""

    place: tuple[int, int, int]
    x: list[float]
    label: int
    loss: float


def pixels(features: Tensor, scores: Tensor, mask: Tensor, ignored: int) -> list[Pixel]:
    """The labelled pixels of the features' map, each with the label and the scores of the nearest one."""
    listed = []
    n_images, _, height, width = features.shape
    for image in range(n_images):
        for row in range(height):
            for column in range(width):
                y, x = int((row + 0.5) * mask.shape[1] / height), int((column + 0.5) * mask.shape[2] / width)
                label = int(mask[image, y, x])
                if label != ignored:
                    loss = -math.log(softmax(scores[image, :, y, x].tolist())[label])
                    listed.append(Pixel((image, row, column), features[image, :, row, column].tolist(), label, loss))
    return listed


def between(centres: list[list[float]], spec: ContextualSpec) -> float:
    """Eq. 4, of the closest pair, or Eq. 6, of every pair."""
    n = len(centres)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n) if any(centres[i]) and any(centres[j])]
    if not spec.inter or not pairs:
        return 0.0
    c = centres
    if spec.class_aware:
        return sum(max(spec.margin - ((c[i][i] - c[j][i]) ** 2 + (c[i][j] - c[j][j]) ** 2), 0.0) for i, j in pairs)
    return max(spec.margin - min(sum((a - b) ** 2 for a, b in zip(c[i], c[j], strict=True)) for i, j in pairs), 0.0)


def loss(listed: list[Pixel], centres: Tensor, spec: ContextualSpec, weights: Tensor) -> float:
    """Eq. 3 as a mean over pixels, and the term between centres."""
    c = centres.tolist()
    total = share = 0.0
    for pixel in listed:
        total += (
            weights[pixel.label].item() * sum((a - b) ** 2 for a, b in zip(pixel.x, c[pixel.label], strict=True)) / 2
        )
        share += weights[pixel.label].item()
    return total / share + between(c, spec)


def gradient(listed: list[Pixel], features: Tensor, centres: Tensor, weights: Tensor) -> Tensor:
    """Of Eq. 3 by the features."""
    share = sum(weights[pixel.label].item() for pixel in listed)
    result = torch.zeros_like(features)
    for pixel in listed:
        image, row, column = pixel.place
        for channel, value in enumerate(pixel.x):
            distance = value - centres[pixel.label, channel].item()
            result[image, channel, row, column] = weights[pixel.label].item() * distance / share
    return result


def moved(listed: list[Pixel], centres: Tensor, spec: ContextualSpec) -> Tensor:
    """Eq. 2 or 5, a finite difference of the term between centres, and the derivative of Eq. 7."""
    result = centres.clone()
    for label in range(len(centres)):
        own = [pixel for pixel in listed if pixel.label == label]
        mean = sum(pixel.loss for pixel in own) / len(own) if own else 0.0
        counted = [pixel for pixel in own if not spec.hard_aware or pixel.loss < mean]
        for channel in range(centres.shape[1]):
            centre = centres[label, channel].item()
            delta = sum(centre - pixel.x[channel] for pixel in counted) / (1 + len(counted))
            decays = not spec.centre_decay or (channel != label and centre > 0)
            decay = 2 * spec.decay_rate * centre if decays else 0.0
            step = delta + decay + slope(centres, label, channel, spec)
            result[label, channel] = centre - spec.centre_lr * step
    return result


def slope(centres: Tensor, label: int, channel: int, spec: ContextualSpec, width: float = 1e-4) -> float:
    """Of the term between centres; it is quadratic, so that the central difference is exact but for rounding."""
    values = []
    for sign in (1, -1):
        shifted = centres.tolist()
        shifted[label][channel] += sign * width
        values.append(between(shifted, spec))
    return (values[0] - values[1]) / (2 * width)
