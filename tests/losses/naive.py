"""Each loss pixel by pixel, in plain Python numbers."""

import math
from collections.abc import Callable, Sequence

from torch import Tensor

Pixel = tuple[list[float], int]
"""The scores of all classes, and the class."""


def pixels(scores: Tensor, target: Tensor, ignored: int) -> list[Pixel]:
    listed = []
    for image in range(len(target)):
        for row in range(target.shape[1]):
            for column in range(target.shape[2]):
                label = int(target[image, row, column])
                if label != ignored:
                    listed.append((scores[image, :, row, column].tolist(), label))
    return listed


def softmax(scores: Sequence[float]) -> list[float]:
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


def weighted(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


def cross_entropy(listed: Sequence[Pixel], weights: Sequence[float], label_smoothing: float = 0.0) -> float:
    total = share = 0.0
    for scores, label in listed:
        p = softmax(scores)
        total += -(1 - label_smoothing) * weights[label] * math.log(p[label])
        spread = [weight * -math.log(value) for weight, value in zip(weights, p, strict=True)]
        total += label_smoothing / len(p) * sum(spread)
        share += weights[label]
    return total / share


def focal(listed: Sequence[Pixel], weights: Sequence[float], gamma: float = 2.0) -> float:
    by_class = []
    for c in range(len(weights)):
        p_true = [sigmoid(scores[c]) if label == c else 1 - sigmoid(scores[c]) for scores, label in listed]
        by_class.append(sum(-((1 - p) ** gamma) * math.log(p) for p in p_true) / len(listed))
    return weighted(by_class, weights)


def tversky(
    listed: Sequence[Pixel], weights: Sequence[float], alpha: float = 0.5, beta: float = 0.5, gamma: float = 1.0
) -> float:
    by_class = []
    for c in range(len(weights)):
        hits = sum(softmax(scores)[c] for scores, label in listed if label == c)
        false = sum(softmax(scores)[c] for scores, label in listed if label != c)
        missed = sum(1 - softmax(scores)[c] for scores, label in listed if label == c)
        present = any(label == c for _, label in listed)
        by_class.append(1 - hits / (hits + alpha * false + beta * missed) if present else 0.0)
    return weighted(by_class, weights) ** gamma


def lovasz(listed: Sequence[Pixel], weights: Sequence[float]) -> float:
    by_class = []
    present = []
    for c in range(len(weights)):
        errors = [(abs((label == c) - softmax(scores)[c]), label == c) for scores, label in listed]
        by_class.append(extension(errors))
        present.append(weights[c] * any(label == c for _, label in listed))
    return weighted(by_class, present)


def extension(errors: Sequence[tuple[float, bool]]) -> float:
    """The Lovasz extension as it is defined: by the loss of every set of the worst pixels."""
    ordered = sorted(errors, key=lambda pair: -pair[0])
    members = sum(truth for _, truth in ordered)
    total, before = 0.0, 0.0
    for count in range(1, len(ordered) + 1):
        wrong = ordered[:count]
        missed = sum(truth for _, truth in wrong)
        false = len(wrong) - missed
        one_less_iou = 1 - (members - missed) / (members + false) if members + false else 0.0
        total += max(0.0, ordered[count - 1][0]) * (one_less_iou - before)
        before = one_less_iou
    return total


def binary(listed: Sequence[Pixel]) -> list[Pixel]:
    """One channel as the scores of two classes whose softmax is its sigmoid."""
    return [([0.0, *scores], label) for scores, label in listed]


Naive = Callable[..., float]
