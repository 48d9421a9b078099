"""What a study file may say about cross-validation. Light to import: nothing here loads torch."""

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from autorf.specification import Specification, WholeNumber

FOLDER = "folder"
"""What ``group_by`` says where the images of one folder are a group."""

_MOST_FOLDS = 100
_LONGEST_RULE = 200


class Foldable(Specification):
    """The base of data sets whose training images may validate in turn.

    Attributes:
        folds: into how many parts of about equal size the training images are drawn.
        fold: the part that validates, 0 and up.
        group_by: which images stay in one part.
    """

    folds: Annotated[WholeNumber, Field(ge=2, le=_MOST_FOLDS)] | None = None
    fold: Annotated[WholeNumber, Field(ge=0)] | None = None
    group_by: str | None = None

    @model_validator(mode="after")
    def _check_folds(self) -> Self:
        if self.folds is None:
            for key in ("fold", "group_by"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: goes with folds; give folds: 5, or leave {key} out")
            return self
        if self.fold is not None and self.fold >= self.folds:
            raise ValueError(f"fold: {self.fold} of {self.folds} folds; legal are 0 to {self.folds - 1}")
        if getattr(self, "half", None) is not None:
            raise ValueError("half: folds train on all images but those that validate; leave half or folds out")
        if "val_fraction" in type(self).model_fields:
            share = type(self).model_fields["val_fraction"].default
            if getattr(self, "val_fraction", share) != share:
                raise ValueError("val_fraction: with folds every image validates once; leave val_fraction or folds out")
        if self.group_by is not None and self.group_by != FOLDER:
            _check_rule(self.group_by)
        return self


def _check_rule(rule: str) -> None:
    if len(rule) > _LONGEST_RULE:
        raise ValueError(f"group_by: {len(rule)} characters; a regular expression of at most {_LONGEST_RULE} is read")
    try:
        groups = re.compile(rule).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(
            f"group_by: {rule!r} is no regular expression ({error}); give {FOLDER}, or such as (patient[0-9]+)_"
        ) from None
    if not groups:
        raise ValueError(
            f"group_by: {rule!r} has no group in parentheses that names what belongs together; give {FOLDER}, or such "
            "as (patient[0-9]+)_"
        )


def folds_of(data: object) -> int | None:
    """How many folds the images of a data set are drawn into; None without."""
    return data.folds if isinstance(data, Foldable) else None


def fold_of(data: object) -> int | None:
    """The fold that validates; None for a data set that is not in folds, or as a study has it before any trial."""
    return data.fold if isinstance(data, Foldable) else None


def n_train_of(data: object, n_images: int) -> int:
    """How many images a trial trains on in an epoch, of those of the training split: a fold's share is left out."""
    folds = folds_of(data)
    return n_images if folds is None or fold_of(data) is not None else n_images - round(n_images / folds)


def n_val_of(data: object, n_images: float) -> float:
    """How many images validate a trial, of those of the validation split; in part where they count by their area."""
    folds = folds_of(data)
    return n_images if folds is None or fold_of(data) is not None else n_images / folds
