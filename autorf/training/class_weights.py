"""What each class counts in the loss."""

import torch
from torch import Tensor

from autorf.data import Splits
from autorf.errors import InputError
from autorf.training.spec import TrainingSpec, check_class_weights


def class_weights_of(spec: TrainingSpec, splits: Splits) -> Tensor | None:
    """The weights ``(n_classes,)`` that a training asks for; None where all classes count alike.

    Raises:
        InputError: when as many weights as classes are not given, or no training pixel has a label to count.
    """
    if spec.class_weights == "none":
        return None
    if spec.class_weights == "balanced":
        return class_weights(splits)
    check_class_weights(spec, splits.class_names)
    return torch.tensor(spec.class_weights, dtype=torch.float32)


def pixel_counts(splits: Splits) -> Tensor:
    """The labelled pixels ``(n_classes,)`` of each class in the training split as an epoch sees it, int64; of whole
    pictures' classes how many pictures."""
    counts = torch.zeros(splits.n_classes, dtype=torch.int64)
    for index in range(len(splits.train)):
        mask = splits.train.mask(index)
        labelled = (mask >= 0) & (mask < splits.n_classes)
        if splits.ignore_index is not None:
            labelled &= mask != splits.ignore_index
        counts += torch.bincount(mask[labelled], minlength=splits.n_classes)
    return counts


def class_weights(splits: Splits) -> Tensor:
    """``1 / sqrt(pixels of the class)`` over the training split, mean 1 over the classes that occur.

    A class without a training pixel weighs nothing: there is nothing to learn it from.

    Raises:
        InputError: when no training pixel has a label.
    """
    counts = pixel_counts(splits).double()
    if not counts.any():
        raise InputError("training.class_weights: no training pixel has a label")
    weights = torch.where(counts > 0, counts.clamp(min=1).rsqrt(), 0.0)
    return (weights * (counts > 0).sum() / weights.sum()).float()
