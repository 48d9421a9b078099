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
        miou: mean of ``iou`` over the classes with a labelled pixel, whatever is predicted, so that two models are
            judged by the same classes; nan where there is none.
        f1: mean of ``f1_per_class`` over the same classes.
        pixel_accuracy: share of labelled pixels that are right; nan where there is none.
        iou: TP / (TP + FP + FN) by class name; None for a class without a labelled pixel.
        f1_per_class: 2 TP / (2 TP + FP + FN) by class name; None likewise.
        f1_groups: F1 of merged classes by the group's name; confusions inside a group count as correct. None for one
            without a labelled pixel.
    """

    miou: float
    f1: float
    pixel_accuracy: float
    iou: Mapping[str, float | None]
    f1_per_class: Mapping[str, float | None]
    f1_groups: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def by_name(self) -> dict[str, float]:
        """The metrics."""
        return {"miou": self.miou, "f1": self.f1, "pixel_accuracy": self.pixel_accuracy}

    @property
    def per_class(self) -> dict[str, Mapping[str, float | None]]:
        """What is told of every class, as a trial's result calls it."""
        return {"iou_per_class": self.iou, "f1_per_class": self.f1_per_class}

    @property
    def known_groups(self) -> dict[str, float]:
        """F1 of the groups that have a labelled pixel."""
        return {name: value for name, value in self.f1_groups.items() if value is not None}

    @property
    def f1_overall(self) -> float | None:
        """F1 of the group named ``overall``, where there is one."""
        return self.f1_groups.get(OVERALL)


def scores(
    confusion: Tensor,
    class_names: Sequence[str],
    label_groups: Mapping[str, Sequence[int]] | None = None,
    left_out: Sequence[int] = (),
) -> Scores:
    """Compute the scores from the confusion matrix of a whole set.

    Args:
        confusion: ``(n_classes, n_classes)``: rows are the labels, columns the predictions.
        class_names: one for each class.
        label_groups: classes to merge, by the group's name; groups may overlap.
        left_out: classes that the means leave out, such as hair in face parsing; they have values of their own.

    Examples:
        >>> counts = torch.tensor([[6, 2, 1], [1, 3, 0], [0, 0, 0]])
        >>> result = scores(counts, ("sky", "road", "rare"))  # one pixel is predicted as rare, none is labelled so
        >>> round(result.miou, 3), result.iou["rare"]
        (0.55, None)

    Raises:
        InputError: when the names do not fit the matrix or a group holds an unknown class.
    """
    counts = confusion.double().cpu()
    n_classes = len(counts)
    if counts.shape != (n_classes, n_classes) or len(class_names) != n_classes:
        raise InputError(f"{len(class_names)} class names for a confusion matrix of {tuple(counts.shape)}")
    groups = {name: _group(name, members, n_classes) for name, members in (label_groups or {}).items()}
    _check_left_out(left_out, n_classes)
    hits, errors, labelled = _counted(counts, [[c] for c in range(n_classes)])
    iou, f1 = _ratios(hits, hits + errors, labelled), _ratios(2 * hits, 2 * hits + errors, labelled)
    group_hits, group_errors, group_labelled = _counted(counts, list(groups.values()))
    group_f1 = _ratios(2 * group_hits, 2 * group_hits + group_errors, group_labelled)
    in_mean = [c for c in range(n_classes) if c not in left_out]
    return Scores(
        miou=mean_of_known(iou[c] for c in in_mean),
        f1=mean_of_known(f1[c] for c in in_mean),
        pixel_accuracy=mean_of_known(_ratios(counts.diag().sum()[None], counts.sum()[None], counts.sum()[None])),
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


def _check_left_out(left_out: Sequence[int], n_classes: int) -> None:
    unknown = [member for member in left_out if not 0 <= member < n_classes]
    if unknown:
        raise InputError(f"left_out: unknown class {unknown[0]}; legal are 0 to {n_classes - 1}")


def _counted(counts: Tensor, groups: Sequence[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
    """TP, FP + FN and labelled pixels of each group of classes."""
    hits = torch.tensor([float(counts[group][:, group].sum()) for group in groups], dtype=torch.float64)
    labelled = torch.tensor([float(counts[group].sum()) for group in groups], dtype=torch.float64)
    predicted = torch.tensor([float(counts[:, group].sum()) for group in groups], dtype=torch.float64)
    return hits, labelled + predicted - 2 * hits, labelled


def _ratios(numerator: Tensor, denominator: Tensor, labelled: Tensor) -> list[float | None]:
    parts = zip(numerator.tolist(), denominator.tolist(), labelled.tolist(), strict=True)
    return [top / bottom if pixels else None for top, bottom, pixels in parts]


def mean_of_known(values: Iterable[float | None]) -> float:
    """The mean of the values that are there; nan where none is."""
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else math.nan
