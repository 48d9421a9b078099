"""What a study's folds hold, seen before anything is trained."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from autorf.data import FassegData, FolderData, Splits
from autorf.data.folds import fold_numbers
from autorf.data.loading import pairs_of
from autorf.data.names import on_disk
from autorf.errors import InputError
from autorf.study.spec import StudySpec


def fold_cautions(spec: StudySpec, source: str, splits: Splits) -> Iterator[str]:
    """Say which classes are in one fold alone, so that the models which it validates never learned them.

    Args:
        spec: the study, as it knows its data before any trial.
        source: for messages.
        splits: of that data: all images train, and all validate.

    Raises:
        InputError: for a fold without a labelled pixel, which could not be scored.
    """
    data = spec.data
    if not isinstance(data, FolderData | FassegData) or data.folds is None:
        return
    pairs = pairs_of(data)["val"]
    numbers = np.array(fold_numbers(pairs, data, on_disk(data.root), data.pictures.names))
    has_class = _classes_by_image(splits)
    in_fold = np.stack([has_class[numbers == fold].any(0) for fold in range(data.folds)])
    for fold in np.flatnonzero(~in_fold.any(1)).tolist():
        raise InputError(
            f"{source}: data.folds: none of the {int((numbers == fold).sum())} masks of fold {fold} of {data.folds} "
            "has a labelled pixel; give fewer folds, or leave such images out"
        )
    alone = np.flatnonzero(in_fold.sum(0) == 1).tolist()
    if alone:
        named = ", ".join(f"{splits.class_names[c]} (fold {int(in_fold[:, c].argmax())})" for c in alone[:5])
        more = f" and {len(alone) - 5} more" if len(alone) > 5 else ""
        yield (
            f"{source}: data.folds: of {named}{more} every labelled pixel is in one fold: the models that this fold "
            "validates are not trained on it, and score nothing there"
        )


def _classes_by_image(splits: Splits) -> NDArray[np.bool_]:
    """``(n_images, n_classes)``: which classes have a labelled pixel in which image."""
    has_class = np.zeros((len(splits.val), splits.n_classes), bool)
    for index in range(len(splits.val)):
        mask = splits.val.source.read([index])[1].numpy()
        values = np.unique(mask if splits.ignore_index is None else mask[mask != splits.ignore_index])
        has_class[index, values[values < splits.n_classes]] = True
    return has_class
