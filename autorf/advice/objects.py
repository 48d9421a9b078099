"""How large the objects of each class are in label masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = (0.1, 0.5, 0.9)

BACKGROUND = ("background", "void", "unlabelled", "unlabeled", "ignore")
"""Names of classes whose components are no objects."""


@dataclass(frozen=True)
class Component:
    """A connected component (8 neighbours) of one class: its box ``(top, left, bottom, right)`` and its area."""

    label: int
    box: tuple[int, int, int, int]
    area: int

    @property
    def side(self) -> int:
        """The longer side of the box in pixels."""
        top, left, bottom, right = self.box
        return max(bottom - top, right - left)


@dataclass(frozen=True)
class ClassSizes:
    """The objects of one class, their sizes the longer sides of their boxes in pixels of the network's input.

    Attributes:
        label: the class's value in masks.
        name: of the class.
        pictures: how many hold it.
        objects: how many there are.
        quantiles: of the sides, over objects, by share.
        typical: the side up to which objects hold half of the class's pixels: fragments count for little.
        background: whether the class is no kind of object.
    """

    label: int
    name: str
    pictures: int
    objects: int
    quantiles: dict[float, float]
    typical: float
    background: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "class": self.name,
            "label": self.label,
            "pictures": self.pictures,
            "objects": self.objects,
            "sides": {str(share): side for share, side in self.quantiles.items()},
            "typical_side": self.typical,
            "background": self.background,
        }


def components(mask: NDArray[Any], ignored: int | None = None) -> list[Component]:
    """The connected components of a mask ``(H, W)``, pixels of the label ``ignored`` left out.

    Examples:
        >>> [(each.label, each.side, each.area) for each in components(np.array([[1, 0, 2], [1, 0, 2], [0, 0, 2]]))]
        [(0, 3, 4), (1, 2, 2), (2, 3, 3)]
    """
    from scipy import ndimage

    members: list[Component] = []
    for label in np.unique(mask):
        if ignored is not None and label == ignored:
            continue
        numbered, count = ndimage.label(mask == label, structure=np.ones((3, 3)))
        areas = np.bincount(numbered.ravel(), minlength=count + 1)[1:]
        for (rows, columns), area in zip(ndimage.find_objects(numbered), areas, strict=True):
            box = rows.start, columns.start, rows.stop, columns.stop
            members.append(Component(int(label), box, int(area)))
    return members


def class_sizes(pictures: Iterable[Iterable[Component]], names: Mapping[int, str]) -> tuple[ClassSizes, ...]:
    """The sizes of each class's objects over several pictures, in the order of the labels."""
    by_label: dict[int, list[Component]] = {}
    seen: dict[int, int] = {}
    for members in pictures:
        held = list(members)
        for label in {each.label for each in held}:
            seen[label] = seen.get(label, 0) + 1
        for each in held:
            by_label.setdefault(each.label, []).append(each)
    return tuple(_of_class(label, by_label[label], seen[label], names) for label in sorted(by_label))


def _of_class(label: int, members: list[Component], pictures: int, names: Mapping[int, str]) -> ClassSizes:
    sides = np.array([each.side for each in members], float)
    name = names.get(label, str(label))
    quantiles = {share: float(np.quantile(sides, share, method="inverted_cdf")) for share in QUANTILES}
    background = name.lower() in BACKGROUND
    return ClassSizes(label, name, pictures, len(members), quantiles, typical_side(members), background)


def typical_side(members: Sequence[Component]) -> float:
    """The smallest side up to which objects hold at least half of all their pixels."""
    ordered = sorted(members, key=lambda each: each.side)
    reached = np.cumsum([each.area for each in ordered])
    return float(ordered[int(np.searchsorted(reached, reached[-1] / 2))].side)
