"""Top-1, top-5 and mean per-class accuracy of classified pictures, and what each picture adds to their uncertainty."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autorf.errors import InputError
from autorf.tasks import TOP

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Accuracies:
    """How well pictures are classified; every value lies in 0 to 1.

    Attributes:
        accuracy: the share of pictures whose class has the highest score (top-1); nan without a picture.
        top5_accuracy: the share whose class is among the five with the highest scores; None of five classes or fewer,
            of which it would say nothing.
        class_accuracy: the mean of ``accuracy_per_class`` over the classes that have a picture.
        accuracy_per_class: the share of a class's pictures that is right, by class name; None without a picture.
    """

    accuracy: float
    top5_accuracy: float | None
    class_accuracy: float
    accuracy_per_class: Mapping[str, float | None]

    @property
    def by_name(self) -> dict[str, float]:
        """The metrics that there are."""
        top5 = {} if self.top5_accuracy is None else {"top5_accuracy": self.top5_accuracy}
        return {"accuracy": self.accuracy, **top5, "class_accuracy": self.class_accuracy}

    @property
    def per_class(self) -> dict[str, Mapping[str, float | None]]:
        """What is told of every class, as a trial's result calls it."""
        return {"accuracy_per_class": self.accuracy_per_class}

    @property
    def known_groups(self) -> dict[str, float]:
        """Of label groups, which pictures have none of."""
        return {}


def ranks(scores: Tensor, labels: Tensor) -> Tensor:
    """How many classes come before the right one: 0 where a picture is right, below 5 where it is among the five.

    Of equal scores the lower class comes first. A score that is no number comes before all others, so that a network
    that gives nothing else is never right.

    Args:
        scores: ``(N, C)``.
        labels: ``(N,)``, classes 0 to C - 1.

    Returns:
        ``(N,)`` int64.

    Examples:
        >>> ranks(torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.5, 0.1]]), torch.tensor([2, 1])).tolist()
        [1, 1]
    """
    right = scores.gather(1, labels[:, None])
    classes = torch.arange(scores.shape[1], device=scores.device)
    first = (scores == right) & (classes < labels[:, None])
    # What is not at most the right one's score is higher, or no number.
    higher = ~(scores <= right) & (classes != labels[:, None])
    return (first | higher).sum(1) + torch.isnan(right[:, 0]) * 1


def tally(labels: Tensor, of_labels: Tensor, n_classes: int) -> Tensor:
    """Pictures of every class, and how many of them are right and among the five; those of batches add up.

    Args:
        labels: ``(N,)``, classes 0 to n_classes - 1.
        of_labels: ``(N,)``, their :func:`ranks`.
        n_classes: number of classes.

    Returns:
        ``(n_classes, 3)`` int64 on the device of ``labels``.

    Raises:
        InputError: for a class out of range.
    """
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < n_classes:
        raise InputError(f"labels hold {int(labels.min())} to {int(labels.max())}; legal are 0 to {n_classes - 1}")
    kept = (labels, labels[of_labels < 1], labels[of_labels < TOP])
    return torch.stack([torch.bincount(part, minlength=n_classes) for part in kept], dim=1)


def accuracies(counts: Tensor, class_names: Sequence[str]) -> Accuracies:
    """The scores of a whole set of pictures.

    Args:
        counts: ``(n_classes, 3)`` of :func:`tally`.
        class_names: one for each class.

    Examples:
        >>> counts = tally(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 0]), 2)
        >>> measured = accuracies(counts, ("cat", "dog"))
        >>> round(measured.accuracy, 3), round(measured.class_accuracy, 3), measured.top5_accuracy
        (0.75, 0.833, None)

    Raises:
        InputError: unless there is a name for each class.
    """
    if counts.shape != (len(class_names), 3):
        raise InputError(f"{len(class_names)} class names for counts of {tuple(counts.shape)}")
    pictures, right, among_five = counts.T.tolist()
    shares = [hits / count if count else None for hits, count in zip(right, pictures, strict=True)]
    known = [share for share in shares if share is not None]
    total = sum(pictures)
    return Accuracies(
        accuracy=sum(right) / total if total else math.nan,
        top5_accuracy=sum(among_five) / total if total and len(class_names) > TOP else None,
        class_accuracy=sum(known) / len(known) if known else math.nan,
        accuracy_per_class=dict(zip(class_names, shares, strict=True)),
    )


@dataclass(frozen=True)
class Outcomes:
    """What became of every picture of a split: all that the metrics and their intervals need.

    Attributes:
        labels: ``(N,)``, the classes.
        ranks: ``(N,)``, see :func:`ranks`.
    """

    labels: Numbers
    ranks: Numbers

    def right(self, metric: str) -> NDArray[np.bool_]:
        """``(N,)``: whether each picture counts as right."""
        return np.asarray(self.ranks < (TOP if metric == "top5_accuracy" else 1))

    def _weights(self, metric: str) -> NDArray[np.float64]:
        """``(N,)``, in all 1: what each picture counts in the metric."""
        if metric != "class_accuracy":
            return np.full(len(self.labels), 1 / len(self.labels))
        _, place, pictures = np.unique(self.labels, return_inverse=True, return_counts=True)
        return np.asarray(1 / (len(pictures) * pictures[place]))

    def pooled(self, metric: str) -> float:
        """``accuracy``, ``top5_accuracy`` or ``class_accuracy`` of all pictures; nan without any."""
        if not len(self.labels):
            return math.nan
        return float((self._weights(metric) * self.right(metric)).sum())

    def influence(self, metric: str) -> NDArray[np.float64]:
        """How each picture moves the metric: ``(N,)``, of mean 0; as :func:`autorf.statistics.influence`."""
        right: NDArray[np.float64] = self.right(metric).astype(np.float64)
        expected: Any = right.mean()
        if metric == "class_accuracy":
            _, place, pictures = np.unique(self.labels, return_inverse=True, return_counts=True)
            expected = (np.bincount(place, weights=right) / pictures)[place]
        return np.asarray(len(right) * self._weights(metric) * (right - expected))
