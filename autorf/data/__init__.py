"""Data sets: what a study file may say about them, and how they are read."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from autorf.data.spec import Augmentation, CamVidData, DigitsData, FassegData, FolderData

if TYPE_CHECKING:
    from autorf.data.segmentation_set import SegmentationSet, Splits

__all__ = [
    "Augmentation",
    "CamVidData",
    "DataSpec",
    "DigitsData",
    "FassegData",
    "FolderData",
    "SegmentationSet",
    "Splits",
    "load",
]

DataSpec = Annotated[DigitsData | FolderData | CamVidData | FassegData, Field(discriminator="name")]
"""Any data set, told apart by its ``name``."""


def load(spec: DataSpec, seed: int = 0) -> "Splits":
    """Read a data set and check all of it; ``seed`` is that of the training split's augmentation.

    Raises:
        InputError: one line that names the file at fault, what is wrong with it and what is legal.
    """
    from autorf.data.loading import load_splits

    return load_splits(spec, seed)


def __getattr__(name: str) -> Any:
    if name in ("SegmentationSet", "Splits"):
        from autorf.data import segmentation_set

        return getattr(segmentation_set, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
