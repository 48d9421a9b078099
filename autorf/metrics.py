"""mIoU, F1 and pixel accuracy, pooled over a whole evaluation set."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from autorf.errors import InputError

OVERALL = "overall"
"""The label group that face parsing reports first: the union of the inner parts."""


def confusion(prediction: Tensor, target: Tensor, n_classes: int, ignore_index: int | None = None) -> Tensor:
    """Count the pixels of every pair of classes; matrices of batches add up to that of the set.

    Args:
        prediction: ``(N, H, W)``, classes 0 to n_classes - 1.
        target: ``(N, H, W)``, the same, or ``ignore_index``: those pixels are left out.
        n_classes: number of classes.
        ignore_index: the value of pixels without a class.

    Returns:
        ``(n_classes, n_classes)`` int64 on the device of ``target``: rows are the labels, columns the predictions.

    Raises:
        InputError: when the shapes differ or a class is out of range.
    """
    if prediction.shape != target.shape:
        raise InputError(
            f"prediction and target must be maps of one shape, got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    kept = torch.ones_like(target, dtype=torch.bool) if ignore_index is None else target != ignore_index
    labels, predicted = target[kept].long(), prediction[kept].long()
    for name, values in (("target", labels), ("prediction", predicted)):
        if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < n_classes:
            raise InputError(
                f"{name} holds classes {int(values.min())} to {int(values.max())}; legal are 0 to {n_classes - 1}"
            )
    counts = torch.bincount(labels * n_classes + predicted, minlength=n_classes * n_classes)
    return counts.view(n_classes, n_classes)


@dataclass(frozen=True)
class Scores:
    """How good a segmentation is; every value lies in 0 to 1.

    Attributes:
        miou: mean of ``iou`` over the classes that occur in labels or predictions; nan when none does.
        f1: mean of ``f1_per_class`` over the same classes.
        pixel_accuracy: share of labelled pixels that are right.
        iou: TP / (TP + FP + FN) by class name; None for a class that does not occur.
        f1_per_class: 2 TP / (2 TP + FP + FN) by class name; None likewise.
        f1_groups: F1 of merged classes by the group's name; confusions inside a group count as correct.
    """

    miou: float
    f1: float
    pixel_accuracy: float
    iou: Mapping[str, float | None]
    f1_per_class: Mapping[str, float | None]
    f1_groups: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def f1_overall(self) -> float | None:
        """F1 of the group named ``overall``, where there is one."""
        return self.f1_groups.get(OVERALL)


def scores(
    confusion: Tensor, class_names: Sequence[str], label_groups: Mapping[str, Sequence[int]] | None = None
) -> Scores:
    """Compute the scores from the confusion matrix of a whole set.

    Args:
        confusion: ``(n_classes, n_classes)``: rows are the labels, columns the predictions.
        class_names: one for each class.
        label_groups: classes to merge, by the group's name; groups may overlap.

    Raises:
        InputError: when the names do not fit the matrix or a group holds an unknown class.
    """
    counts = confusion.double().cpu()
    n_classes = len(counts)
    if counts.shape != (n_classes, n_classes) or len(class_names) != n_classes:
        raise InputError(f"{len(class_names)} class names for a confusion matrix of {tuple(counts.shape)}")
    groups = {name: _group(name, members, n_classes) for name, members in (label_groups or {}).items()}
    hits, errors = _hits_and_errors(counts, [[c] for c in range(n_classes)])
    iou, f1 = _ratios(hits, hits + errors), _ratios(2 * hits, 2 * hits + errors)
    group_hits, group_errors = _hits_and_errors(counts, list(groups.values()))
    group_f1 = _ratios(2 * group_hits, 2 * group_hits + group_errors)
    return Scores(
        miou=_mean(iou),
        f1=_mean(f1),
        pixel_accuracy=_mean(_ratios(counts.diag().sum()[None], counts.sum()[None])),
        iou=dict(zip(class_names, iou, strict=True)),
        f1_per_class=dict(zip(class_names, f1, strict=True)),
        f1_groups=dict(zip(groups, group_f1, strict=True)),
    )


def _group(name: str, members: Sequence[int], n_classes: int) -> list[int]:
    for member in members:
        if not 0 <= member < n_classes:
            raise InputError(f"label group {name!r}: unknown class {member}; legal are 0 to {n_classes - 1}")
    if not members:
        raise InputError(f"label group {name!r}: holds no class")
    return sorted(set(members))


def _hits_and_errors(counts: Tensor, groups: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    """TP and FP + FN of each group of classes."""
    hits = torch.tensor([float(counts[group][:, group].sum()) for group in groups], dtype=torch.float64)
    totals = [float(counts[group].sum() + counts[:, group].sum()) for group in groups]
    return hits, torch.tensor(totals, dtype=torch.float64) - 2 * hits


def _ratios(numerator: Tensor, denominator: Tensor) -> list[float | None]:
    pairs = zip(numerator.tolist(), denominator.tolist(), strict=True)
    return [n / d if d else None for n, d in pairs]


def _mean(values: Iterable[float | None]) -> float:
    occurring = [value for value in values if value is not None]
    return sum(occurring) / len(occurring) if occurring else math.nan
