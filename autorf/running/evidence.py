"""What a finished trial did on every validation image: the ground that statistics, tables and figures stand on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from autorf.accuracy import Outcomes
from autorf.errors import shown
from autorf.files import write_atomically

FILE = "evidence.safetensors"
FORMAT = 1
BACKGROUND = ("background", "void", "unlabelled", "unlabeled")
"""Names of classes whose components are no objects."""
SIZE_EDGES = (8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
"""Where one object size ends and the next begins: sides in pixels, ``sqrt(area)``. Fixed, so that studies compare."""


@dataclass(frozen=True)
class Evidence:
    """One trial's predictions on the validation split, counted.

    An object is a connected component (8 neighbours) of one class in the truth.

    Attributes:
        class_names: one for each class.
        ignore_index: the label that is not counted; None where every pixel has a class.
        n_images: validation images, in the split's order.
        cells: ``(n, 3)`` int64: image, label and prediction of every pair that occurs.
        counts: ``(n,)`` int64: the pixels of each.
        objects: ``(n_objects, 4)`` int32: image, class, area in pixels, and how many of these are predicted right.
        object_scales: ``(n_objects,)`` float32: the mean of the per-pixel map over each object; nan without a map.
        sample_indices: ``(k,)`` int64: the images kept as samples.
        samples: ``(k, 3, h, w)`` uint8, the longer side at most 256.
        sample_truth: ``(k, h, w)`` int16, labels.
        sample_prediction: ``(k, h, w)`` int16, classes.
        maps: ``(k, h, w)`` float16: scale, or dilation as evaluation takes it, the mean over adapted layers; None for
            methods whose receptive field is the same at each pixel.
        map_name: ``scale`` or ``dilation``; None without maps.
        image_scales: ``(n_images,)`` float32: pixels of the network's input for each of the mask's, along a side; None
            where masks and images have one size. Everything else is counted in the mask's pixels.
        centres: ``(n_classes, D)`` float32: those of the contextual loss at the end; None without that loss.
        centre_distances: ``(n_classes, n_classes)`` float32: squared distances between them as that loss has them; nan
            for a class whose centre no pixel has formed.
        ranks: ``(n_images,)`` int32: of a classification, whose images have one class each, how many classes score
            higher than the right one; None for a segmentation.
    """

    class_names: tuple[str, ...]
    ignore_index: int | None
    n_images: int
    cells: Tensor
    counts: Tensor
    objects: Tensor
    object_scales: Tensor
    sample_indices: Tensor
    samples: Tensor
    sample_truth: Tensor
    sample_prediction: Tensor
    maps: Tensor | None = None
    map_name: str | None = None
    image_scales: Tensor | None = None
    centres: Tensor | None = None
    centre_distances: Tensor | None = None
    ranks: Tensor | None = None

    @property
    def outcomes(self) -> Outcomes | None:
        """What became of every picture of a classification; None for a segmentation."""
        return None if self.ranks is None else _outcomes(self.cells, self.ranks)

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @cached_property
    def confusion(self) -> Tensor:
        """``(n_images, n_classes, n_classes)`` int32: rows are the labels, columns the predictions."""
        dense = torch.zeros(self.n_images, self.n_classes, self.n_classes, dtype=torch.int32)
        dense[tuple(self.cells.T)] = self.counts.int()
        return dense

    @cached_property
    def tallies(self) -> Tensor:
        """``(n_images, n_classes, 3)`` int64: pixels predicted right, labelled, and predicted, of each class.

        All that IoU, F1 and pixel accuracy need, without the dense matrices.
        """
        return _tallies(self.cells, self.counts, self.n_images, self.n_classes)

    @property
    def is_thing(self) -> Tensor:
        """``(n_classes,)`` bool: whether the class's components are objects, not background."""
        return torch.tensor([name not in BACKGROUND for name in self.class_names])

    @property
    def size_edges(self) -> tuple[float, ...]:
        """The ``n_sizes - 1`` inner limits of the object sizes, sides in pixels."""
        return SIZE_EDGES

    @property
    def object_sides(self) -> Tensor:
        """``(n_objects,)`` float32: the side in pixels of the mask of a square of each object's area."""
        return self.objects[:, 2].float().sqrt()

    @property
    def object_input_sides(self) -> Tensor:
        """``(n_objects,)`` float32: :attr:`object_sides` in pixels of the network's input, as receptive fields are."""
        return self.object_sides if self.image_scales is None else self.object_input_areas.sqrt()

    @property
    def object_input_areas(self) -> Tensor:
        """``(n_objects,)``: the area of each object in pixels of the network's input."""
        areas = self.objects[:, 2]
        return areas if self.image_scales is None else areas * self.image_scales[self.objects[:, 0].long()] ** 2

    @property
    def size_hits(self) -> Tensor:
        """``(n_sizes, n_classes)`` int64: pixels predicted right, of objects of each size and class."""
        return self._by_size(self.objects[:, 3])

    @property
    def size_totals(self) -> Tensor:
        """``(n_sizes, n_classes)`` int64: pixels of objects of each size and class."""
        return self._by_size(self.objects[:, 2])

    @property
    def size_objects(self) -> Tensor:
        """``(n_sizes, n_classes)`` int64: how many objects there are of each size and class."""
        return self._by_size(torch.ones_like(self.objects[:, 2]))

    def _by_size(self, values: Tensor) -> Tensor:
        size = torch.bucketize(self.object_sides, torch.tensor(self.size_edges), right=True)
        sums = torch.zeros((len(self.size_edges) + 1) * self.n_classes, dtype=torch.int64)
        return sums.index_add_(0, size * self.n_classes + self.objects[:, 1], values.long()).view(-1, self.n_classes)


def _tallies(cells: Tensor, counts: Tensor, n_images: int, n_classes: int) -> Tensor:
    image, label, prediction = cells.T

    def summed(of_class: Tensor, values: Tensor) -> Tensor:
        sums = torch.zeros(n_images * n_classes, dtype=torch.int64)
        return sums.index_add_(0, image * n_classes + of_class, values).view(n_images, n_classes)

    right = torch.where(label == prediction, counts, 0)
    return torch.stack([summed(label, right), summed(label, counts), summed(prediction, counts)], dim=-1)


_TENSORS = (
    "cells", "counts", "objects", "object_scales", "sample_indices", "samples", "sample_truth", "sample_prediction",
)  # fmt: skip
_OPTIONAL = ("maps", "image_scales", "centres", "centre_distances", "ranks")


def write_evidence(folder: Path, evidence: Evidence, trial: str | None = None) -> None:
    """Write a trial's evidence into its folder, whole or not at all.

    Args:
        folder: of the trial, here or on the machine that trains it.
        evidence: to keep.
        trial: its key, by which another trial's file in its place is known.

    Raises:
        OSError: naming the file, when the disk does not take it.
    """
    tensors = {name: getattr(evidence, name).contiguous() for name in _TENSORS}
    # Small numbers: half the bytes hold them.
    tensors["cells"], tensors["counts"] = tensors["cells"].int(), tensors["counts"].int()
    optional = {name: getattr(evidence, name) for name in _OPTIONAL}
    tensors |= {name: tensor.contiguous() for name, tensor in optional.items() if tensor is not None}
    facts = {
        "format": FORMAT,
        "trial": trial,
        "class_names": evidence.class_names,
        "ignore_index": evidence.ignore_index,
        "n_images": evidence.n_images,
        "size_edges": evidence.size_edges,
        "map_name": evidence.map_name,
    }
    try:
        write_atomically(folder / FILE, save(tensors, {"autorf": json.dumps(facts)}))
    except OSError as error:
        raise OSError(f"{folder / FILE} could not be written: {error.strerror or error}") from error


def read_tallies(folder: Path) -> Tensor | None:
    """:attr:`Evidence.tallies` of a trial without reading the rest; None where :func:`read_evidence` gives None."""
    stored = _read(folder, ("cells", "counts"))
    if stored is None:
        return None
    facts, tensors = stored
    return _tallies(tensors["cells"], tensors["counts"], facts["n_images"], len(facts["class_names"]))


def read_outcomes(folder: Path) -> Outcomes | None:
    """:attr:`Evidence.outcomes` of a trial without reading the rest; None where :func:`read_evidence` gives None too.

    Of many classes :func:`read_tallies` would take a thousand times the memory.
    """
    stored = _read(folder, ("cells", "counts", "ranks"))
    return None if stored is None or "ranks" not in stored[1] else _outcomes(stored[1]["cells"], stored[1]["ranks"])


def _outcomes(cells: Tensor, ranks: Tensor) -> Outcomes:
    """A classification's picture is one cell."""
    return Outcomes(cells[cells[:, 0].argsort(), 1].numpy(), ranks.long().numpy())


def read_group_tallies(folder: Path, members: Sequence[int]) -> Tensor | None:
    """:attr:`Evidence.tallies` of some classes merged into one, ``(n_images, 1, 3)``; None as for the others."""
    stored = _read(folder, ("cells", "counts"))
    if stored is None:
        return None
    facts, tensors = stored
    return merged_tallies(tensors["cells"], tensors["counts"], facts["n_images"], members)


def merged_tallies(cells: Tensor, counts: Tensor, n_images: int, members: Sequence[int]) -> Tensor:
    """Pixels of some classes as of one, ``(n_images, 1, 3)``: confusions among them count as right."""
    image, pairs = cells[:, 0], torch.isin(cells[:, 1:], torch.tensor(list(members)))
    outside = cells.new_ones(())
    # Class 0 is the group, class 1 everything else.
    merged = torch.stack([image, *torch.where(pairs, 0, outside).T], dim=1)
    return _tallies(merged, counts, n_images, 2)[:, :1]


def labelled_classes(folder: Path) -> frozenset[str] | None:
    """The classes with a labelled pixel in the split that a trial's evidence is of; None without evidence."""
    stored = _read(folder, ("cells", "counts"))
    if stored is None:
        return None
    facts, tensors = stored
    labelled = tensors["cells"][:, 1][tensors["counts"] > 0].unique().tolist()
    return frozenset(facts["class_names"][label] for label in labelled)


def read_evidence(folder: Path) -> Evidence | None:
    """The evidence in a trial's folder; None where there is none, or none that this version can read."""
    stored = _read(folder, (*_TENSORS, *_OPTIONAL))
    if stored is None:
        return None
    facts, tensors = stored
    return Evidence(
        class_names=tuple(facts["class_names"]),
        ignore_index=facts["ignore_index"],
        n_images=facts["n_images"],
        map_name=facts["map_name"],
        **tensors,
    )


def unreadable_evidence(folder: Path) -> str | None:
    """Why a trial's evidence, which is there, is left out; None where it can be read, or there is none."""
    if not (folder / FILE).exists():
        return None
    try:
        with safe_open(folder / FILE, "pt") as file:
            facts = json.loads((file.metadata() or {})["autorf"])
            anothers = _is_anothers(folder, facts)
            missing = set(_TENSORS) - set(file.keys())
    except (OSError, SafetensorError, KeyError, ValueError, AttributeError):
        return "is damaged"
    if anothers:
        return f"is of trial {shown(facts['trial'])}"
    return "lacks a part" if missing else None


def _is_anothers(folder: Path, facts: Mapping[str, Any]) -> bool:
    # Elsewhere a trial's folder has other names: on a machine of a cluster, or while it is retrained.
    return folder.parent.name == "trials" and facts.get("trial") not in (None, folder.name)


def _read(folder: Path, names: Sequence[str]) -> tuple[Mapping[str, Any], dict[str, Tensor]] | None:
    try:
        with safe_open(folder / FILE, "pt") as file:
            facts: Mapping[str, Any] = json.loads((file.metadata() or {})["autorf"])
            if facts["format"] != FORMAT or _is_anothers(folder, facts):
                return None
            stored = set(file.keys())
            tensors = {name: file.get_tensor(name) for name in names if name in stored or name not in _OPTIONAL}
    except (OSError, SafetensorError, KeyError, ValueError, AttributeError, TypeError):
        return None
    return facts, {**tensors, "cells": tensors["cells"].long(), "counts": tensors["counts"].long()}
