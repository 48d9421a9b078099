"""Data sets of the user's own code whose pictures have one class each, as checked splits."""

import copy
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from autorf.data.class_pictures import ClassSet, Crop, drawn_box
from autorf.data.items import class_item_of
from autorf.data.normalisation import Normalisation
from autorf.data.python_data import PythonClassData
from autorf.data.python_sets import MEMORY_BOUND, WORDS, checked_normalisation, own_datasets, resized_item, stacked
from autorf.data.seeding import seeded
from autorf.data.sources import InMemory
from autorf.errors import InputError


class OwnPictures:
    """A split that is read item by item from the user's own data set.

    Args:
        dataset: with ``len`` and items.
        spec: what the study file says.
        split: ``train``, ``val`` or ``test``.

    Attributes:
        labels: ``(n,)`` int16, the classes; -1 of items that were not read yet.
    """

    def __init__(self, dataset: Any, spec: PythonClassData, split: str) -> None:
        self.dataset, self.spec, self.split = dataset, spec, split
        self.labels = torch.full((len(dataset),), -1, dtype=torch.int16)
        self._crop: Crop | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def item(self, index: int) -> tuple[Tensor, Tensor]:
        """Picture ``(C, h, w)`` of its own size, and its class as a mask of one pixel, ``(1, 1)``."""
        return class_item_of(self.dataset, index, self.spec, WORDS[self.split])

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Pictures ``(n, C, H, W)``, bytes or float32, and their classes, ``(n, 1, 1)`` int16."""
        return stacked([self._fitted(int(index)) for index in indices], self.split)

    def cropped(self, crop: Crop | None) -> Self:
        """The same pictures, of each a random part."""
        changed = copy.copy(self)
        changed._crop = crop
        return changed

    def _fitted(self, index: int) -> tuple[Tensor, Tensor]:
        picture, label = self.item(index)
        self.labels[index] = label[0, 0]
        if self._crop is not None:
            top, left, rows, columns = drawn_box(picture, self._crop)
            picture = picture[:, top : top + rows, left : left + columns]
        return resized_item(picture, self.spec.image_size), label


def own_pictures(spec: PythonClassData) -> dict[str, OwnPictures]:
    """The splits that the factory returns, none of their items read yet.

    Raises:
        InputError: where it returns something else.
    """
    return {split: OwnPictures(dataset, spec, split) for split, dataset in own_datasets(spec).items()}


def python_class_sets(spec: PythonClassData) -> dict[str, ClassSet]:
    """The splits that the factory returns, every item of them read once and checked.

    Raises:
        InputError: where it returns something else, for the first item that cannot be used, or for a class that nothing
            is trained on.
    """
    sources = own_pictures(spec)
    with seeded(0, 0, 0):
        normalisation = checked_normalisation(spec, sources)
        _check_classes(sources["train"])
        return {split: _set(source, normalisation) for split, source in sources.items()}


def _check_classes(train: OwnPictures) -> None:
    there = set(train.labels.tolist())
    lacking = [number for number in range(len(train.spec.class_names)) if number not in there]
    if lacking:
        name = train.spec.class_names[lacking[0]]
        raise InputError(
            f"data.factory: no training item is of class {lacking[0]} ({name[:60]!r}); add some or correct data.classes"
        )


def _set(source: OwnPictures, normalisation: Normalisation) -> ClassSet:
    size = source.spec.image_size
    if source.split == "train":
        return ClassSet(source, size, normalisation=normalisation, draws=True)
    if len(source) * source.read([0])[0].nbytes <= MEMORY_BOUND:
        return ClassSet(InMemory(*source.read(range(len(source)))), size, normalisation=normalisation)
    # For the checks and the classes alone.
    for index in range(len(source)):
        source.read([index])
    return ClassSet(source, size, normalisation=normalisation)
