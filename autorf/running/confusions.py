"""Confusions that others have counted: checked, scored, and kept as a trial's evidence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autorf.errors import InputError, shown
from autorf.metrics import Scores, scores
from autorf.ops._arguments import kind_of
from autorf.running.evidence import Evidence, write_evidence

SHAPE = "(n_images, C, C)"


def checked_confusions(function: str, confusions: Any) -> Tensor:
    """Confusions as int64, ``(n_images, C, C)``: ``[image, truth, predicted]``.

    Args:
        function: that was given them, for messages.
        confusions: an array, a tensor, or nested lists.

    Raises:
        InputError: for another shape, or what counts no pixels.
    """
    try:
        counts = torch.as_tensor(confusions)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"{function}: confusions must be numbers {SHAPE}, got {kind_of(confusions)}") from None
    shape = tuple(counts.shape)
    if counts.dim() == 2 and shape[0] == shape[1]:
        raise InputError(
            f"{function}: confusions must be {SHAPE}, one matrix an image, got {shape}; of one image give "
            "confusions[None]"
        )
    if counts.dim() != 3 or shape[1] != shape[2] or 0 in shape:
        raise InputError(f"{function}: confusions must be {SHAPE}, [image, truth, predicted], got shape {shape}")
    if counts.is_complex() or not bool(torch.isfinite(counts.double()).all()):
        raise InputError(f"{function}: confusions must be numbers of pixels, got values that are no numbers")
    whole = counts.to("cpu", torch.float64)
    if bool((whole != whole.round()).any()) or bool((whole < 0).any()):
        raise InputError(
            f"{function}: confusions must be numbers of pixels: whole, and not below 0; not shares of them"
        )
    return whole.long()


def names_of_classes(function: str, classes: Sequence[str] | None, n_classes: int) -> tuple[str, ...]:
    """The names of ``n_classes`` classes, their numbers where no names are given.

    Raises:
        InputError: unless each class has a name of its own.
    """
    if classes is None:
        return tuple(map(str, range(n_classes)))
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        raise InputError(f"{function}: classes must be a list of names, got {shown(classes)}")
    if len(classes) != n_classes or len(set(classes)) != n_classes:
        raise InputError(
            f"{function}: confusions have {n_classes} classes, classes has {len(set(classes))} different names"
        )
    return tuple(classes)


def scored_confusions(function: str, counts: Tensor, names: Sequence[str], metric: str) -> Scores:
    """The scores of all images' pixels together.

    Raises:
        InputError: where that is no number, for no pixel has a label.
    """
    measured = scores(counts.sum(0), names)
    value = float(getattr(measured, metric))
    if value != value:
        raise InputError(f"{function}: confusions have no labelled pixel, so there is no {metric}")
    return measured


def other_images(function: str, before: Tensor, counts: Tensor, than: str) -> str | None:
    """What is wrong with ``counts`` where they are of other images or axes than those ``before``; None for nothing.

    Args:
        function: that was given them, for the message.
        before: confusions that were taken in before, ``(n_images, C, C)``.
        counts: those that are looked at.
        than: whose the earlier ones are, such as ``the study's earlier trials``.
    """
    if before.shape != counts.shape:
        shapes = f"{tuple(counts.shape)}, in {than} {tuple(before.shape)}"
        return f"{function}: confusions are of shape {shapes}; all are measured on the same validation images"
    truth = before.long().sum(2)
    if torch.equal(truth, counts.sum(2)):
        return None
    if torch.equal(truth, counts.sum(1)):
        return (
            f"{function}: confusions have truth and predicted swapped against {than}: [image, truth, predicted]; give "
            "the transpose of each matrix"
        )
    wrong = int((truth != counts.sum(2)).any(1).nonzero()[0])
    return (
        f"{function}: image {wrong} has other labels than in {than}; all are measured on the same validation images in "
        "the same order"
    )


def write_confusions(folder: Path, counts: Tensor, names: Sequence[str], key: str) -> None:
    """Keep the confusions of a trial as its evidence, which then holds no objects and no samples.

    Args:
        folder: of the trial.
        counts: ``(n_images, C, C)`` int64.
        names: of the classes.
        key: of the trial.
    """
    cells = counts.nonzero()
    nothing = torch.zeros(0, dtype=torch.int64)
    write_evidence(
        folder,
        Evidence(
            class_names=tuple(names),
            ignore_index=None,
            n_images=len(counts),
            cells=cells,
            counts=counts[tuple(cells.T)],
            objects=torch.zeros(0, 4, dtype=torch.int32),
            object_scales=torch.zeros(0),
            sample_indices=nothing,
            samples=torch.zeros(0, 3, 1, 1, dtype=torch.uint8),
            sample_truth=torch.zeros(0, 1, 1, dtype=torch.int16),
            sample_prediction=torch.zeros(0, 1, 1, dtype=torch.int16),
        ),
        key,
    )
