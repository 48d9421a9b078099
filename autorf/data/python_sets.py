"""Data sets of the user's own code as checked splits."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from autorf.data.items import item_of
from autorf.data.normalisation import IMAGENET, Normalisation, normalisation_of, unchanged
from autorf.data.python_data import OwnData, PythonData
from autorf.data.seeding import seeded
from autorf.data.segmentation_set import SegmentationSet
from autorf.data.sources import InMemory, OwnMasks, Source, resized_masks
from autorf.data.spec import Colour
from autorf.errors import InputError, a_type
from autorf.own_code.importing import call
from autorf.own_code.reference import parse_reference

MEMORY_BOUND = 2**30
"""Bytes of validation and test images up to which these are held in memory."""

_SPLITS = ("train", "val", "test")
WORDS = {"train": "training", "val": "validation", "test": "test"}
_WANTED = "training, validation and, where there is one, test data sets, as a tuple or by the names train, val and test"


class Items(Protocol):
    """A split that is read item by item from the user's own data set."""

    def __len__(self) -> int:
        """How many items."""
        ...

    def item(self, index: int) -> tuple[Tensor, Tensor]:
        """An item as it is given, checked."""
        ...

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Items at the image size."""
        ...


class OwnItems:
    """A split that is read item by item from the user's own data set.

    Args:
        dataset: with ``len`` and items.
        spec: what the study file says.
        split: ``train``, ``val`` or ``test``.
    """

    def __init__(self, dataset: Any, spec: PythonData, split: str) -> None:
        self.dataset, self.spec, self.split = dataset, spec, split
        self._own_masks = spec.score_at == "mask" and split != "train"

    def __len__(self) -> int:
        return len(self.dataset)

    def item(self, index: int) -> tuple[Tensor, Tensor]:
        """Image ``(C, h, w)`` and mask ``(h, w)`` of their own size."""
        return item_of(self.dataset, index, self.spec, WORDS[self.split])

    def fitted(self, index: int) -> tuple[Tensor, Tensor]:
        """The image at the image size, and the mask too unless it keeps its own."""
        image, mask = self.item(index)
        kept = mask if self._own_masks else resized_masks(mask[None], self.spec.image_size)[0]
        return resized_item(image, self.spec.image_size), kept

    def read(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Images ``(n, C, H, W)``, bytes or float32, and masks ``(n, H, W)``, bytes."""
        return stacked([self.fitted(int(index)) for index in indices], self.split)


def stacked(items: Sequence[tuple[Tensor, Tensor]], split: str) -> tuple[Tensor, Tensor]:
    """Items as a batch.

    Raises:
        InputError: for images of two kinds of numbers.
    """
    images, masks = zip(*items, strict=True)
    if len({image.dtype for image in images}) > 1:
        raise InputError(f"data.factory: {WORDS[split]} items are bytes here and floating-point there")
    return torch.stack(images), torch.stack(masks)


def python_sets(spec: PythonData) -> dict[str, SegmentationSet]:
    """The splits that the factory returns, every item of them read once and checked.

    Raises:
        InputError: where it returns something else, or for the first item that cannot be used.
    """
    sources = own_items(spec)
    with seeded(0, 0, 0):
        normalisation = checked_normalisation(spec, sources)
        return {split: _set(source, spec, normalisation) for split, source in sources.items()}


def own_items(spec: PythonData) -> dict[str, OwnItems]:
    """The splits that the factory returns, none of their items read yet.

    Raises:
        InputError: where it returns something else.
    """
    return {split: OwnItems(dataset, spec, split) for split, dataset in own_datasets(spec).items()}


def checked_normalisation(spec: OwnData, sources: Mapping[str, Items]) -> Normalisation:
    """That of all splits, after a pass over the training split that checks every item of it.

    Raises:
        InputError: for an item that cannot be used, or scored splits that draw theirs.
    """
    check_still(sources)
    normalisation = _normalisation(spec, sources["train"])
    if spec.colour != Colour() and sources["train"].read([0])[0].dtype != torch.uint8:
        raise InputError("data.augmentation.colour: is for bytes; these images are floating-point numbers")
    return normalisation


def item_digests(sources: Mapping[str, Items]) -> dict[str, dict[str, dict[str, str]]]:
    """By split, by ``images`` and ``masks``, the digest of every item's content; of training items only the number.

    A training split may draw its items.
    """
    digests: dict[str, dict[str, dict[str, str]]] = {}
    for split, source in sources.items():
        names = [f"{index:06d}" for index in range(len(source))]
        if split == "train":
            digests[split] = {"images": dict.fromkeys(names, ""), "masks": {}}
            continue
        parts = [[_digest(part) for part in source.item(index)] for index in range(len(source))]
        images, masks = zip(*parts, strict=True)
        digests[split] = {
            "images": dict(zip(names, images, strict=True)),
            "masks": dict(zip(names, masks, strict=True)),
        }
    return digests


def own_datasets(spec: OwnData) -> Mapping[str, Any]:
    """The user's own data sets by split, none of their items read yet.

    Raises:
        InputError: where the factory returns something else.
    """
    datasets = _by_split(call(parse_reference(spec.factory), "data.factory", **spec.args), spec)
    for split, dataset in datasets.items():
        _check_dataset(dataset, spec, split)
    return datasets


def _by_split(returned: Any, spec: OwnData) -> dict[str, Any]:
    if isinstance(returned, Mapping):
        unknown = [str(name) for name in returned if name not in _SPLITS]
        if unknown or not {"train", "val"} <= returned.keys():
            raise InputError(
                f"data.factory: {spec.factory} returned {', '.join(map(str, returned)) or 'nothing'}; wanted: {_WANTED}"
            )
        return {split: returned[split] for split in _SPLITS if returned.get(split) is not None}
    if not isinstance(returned, tuple | list) or len(returned) not in (2, 3):
        length = f" of {len(returned)}" if isinstance(returned, tuple | list) else ""
        raise InputError(f"data.factory: {spec.factory} returned {a_type(returned)}{length}; wanted: {_WANTED}")
    splits = dict(zip(_SPLITS, returned, strict=False))
    return {split: dataset for split, dataset in splits.items() if split != "test" or dataset is not None}


def _check_dataset(dataset: Any, spec: OwnData, split: str) -> None:
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise InputError(
            f"data.factory: {spec.factory} returned {a_type(dataset)} for the {WORDS[split]} split; a "
            "data set has a length and items by number"
        )
    if len(dataset) == 0:
        raise InputError(f"data.factory: {spec.factory} returned a {WORDS[split]} split without an item")


def _normalisation(spec: OwnData, train: Items) -> Normalisation:
    """What ``normalise`` asks for; a pass over the training split checks every item of it, whatever that is."""
    own = normalisation_of(train, spec.channels)
    rule = spec.normalise
    if rule is None:
        is_rgb = spec.channels == 3 and train.read([0])[0].dtype == torch.uint8
        rule = "imagenet" if is_rgb else "training"
    return {"imagenet": IMAGENET, "training": own, "none": unchanged(spec.channels)}[rule]


def check_still(sources: Mapping[str, Items]) -> None:
    """Raise ``InputError`` where a split that is scored gives other images each time."""
    for split, source in sources.items():
        if split != "train" and [_digest(part) for part in source.item(0)] != [_digest(p) for p in source.item(0)]:
            raise InputError(
                f"data.factory: {WORDS[split]} item 0 is another each time it is read; draw augmentation for the "
                "training split only"
            )


def _set(source: OwnItems, spec: PythonData, normalisation: Normalisation) -> SegmentationSet:
    if source.split == "train":
        return SegmentationSet(source, spec.image_size, spec.ignored, normalisation=normalisation, draws=True)
    keep = len(source) * source.read([0])[0].nbytes <= MEMORY_BOUND
    images: list[Tensor] = []
    masks: list[Tensor] = []
    sizes: list[tuple[int, int]] = []
    for index in range(len(source)):
        image, mask = source.fitted(index)
        sizes.append((mask.shape[0], mask.shape[1]))
        if keep:
            images.append(image)
            masks.append(mask)
    own_sizes = sizes if spec.score_at == "mask" else None
    kept = _in_memory(images, masks, own_sizes) if keep else source
    return SegmentationSet(kept, spec.image_size, spec.ignored, own_sizes, normalisation=normalisation)


def _in_memory(images: list[Tensor], masks: list[Tensor], sizes: list[tuple[int, int]] | None) -> Source:
    stacked = torch.stack(images)
    return InMemory(stacked, torch.stack(masks)) if sizes is None else OwnMasks(stacked, masks)


def resized_item(image: Tensor, image_size: tuple[int, int]) -> Tensor:
    """An image ``(C, h, w)``, bytes or float32, at the image size: bilinear, shrunk without aliasing."""
    if tuple(image.shape[1:]) == image_size:
        return image
    resized = functional.interpolate(image[None].float(), image_size, mode="bilinear", antialias=True)[0]
    return resized.round().clamp(0, 255).byte() if image.dtype == torch.uint8 else resized


def _digest(part: Tensor) -> str:
    facts = f"{part.dtype} {tuple(part.shape)} ".encode()
    return hashlib.blake2b(facts + part.numpy().tobytes(), digest_size=16).hexdigest()
