"""What the pictures of a data set hold: counts, sizes, classes, objects, and what is odd."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autorf.advice.objects import ClassSizes, Component, class_sizes, components
from autorf.errors import InputError
from autorf.survey.items import Item, Source
from autorf.survey.problems import Problem, problems_of

Size = tuple[int, int]

MOST_OBJECT_MASKS = 200
"""Masks in which objects are measured: evenly spread ones of more."""


@dataclass(frozen=True)
class Look:
    """What one picture holds.

    Attributes:
        split: its split.
        name: of its file.
        size: height and width in pixels.
        kind: its channels and numbers in words.
        pixels: of each class.
        ignored: pixels without a class.
        objects: of its mask at the size that a network sees; None where they were not measured.
        digest: of its content.
        problem: why it cannot be used; the rest means nothing then.
    """

    split: str
    name: str
    size: Size = (0, 0)
    kind: str = ""
    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    ignored: int = 0
    objects: tuple[Component, ...] | None = None
    digest: bytes | None = None
    problem: str | None = None


@dataclass(frozen=True)
class ClassRow:
    """One class: its share of the labelled pixels by split, how many pictures hold it, and its objects.

    Sides of objects are in pixels at the survey's ``image_size``; None where no mask that was measured has one.
    """

    name: str
    shares: dict[str, float]
    pictures: int
    objects: ClassSizes | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        objects = None if self.objects is None else self.objects.to_dict()
        return {"name": self.name, "shares": self.shares, "pictures": self.pictures, "objects": objects}


@dataclass(frozen=True)
class Survey:
    """A data set, looked at.

    Attributes:
        counts: pictures by split.
        sizes: of pictures, ``(height, width)``, the most frequent first.
        kinds: of pictures in words, likewise.
        image_size: height and width at which objects were measured.
        measured: in how many masks.
        ignored: share of all pixels that have no class.
        classes: one row each.
        problems: what is odd.
    """

    counts: dict[str, int]
    sizes: tuple[tuple[Size, int], ...]
    kinds: tuple[tuple[str, int], ...]
    image_size: Size
    measured: int
    ignored: float
    classes: tuple[ClassRow, ...]
    problems: tuple[Problem, ...]
    looks: tuple[Look, ...]

    def with_problems(self, problems: Sequence[Problem]) -> "Survey":
        """The same with more that is odd, in front."""
        return replace(self, problems=(*problems, *self.problems))

    @property
    def unreadable(self) -> tuple[Look, ...]:
        """The pictures that cannot be used."""
        return tuple(look for look in self.looks if look.problem is not None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "images": self.counts,
            "sizes": [{"size": list(size), "images": count} for size, count in self.sizes],
            "kinds": [{"kind": kind, "images": count} for kind, count in self.kinds],
            "objects_at": list(self.image_size),
            "objects_in": self.measured,
            "ignored": self.ignored,
            "classes": [row.to_dict() for row in self.classes],
            "problems": [problem.to_dict() for problem in self.problems],
        }


def survey_of(source: Source) -> Survey:
    """Look at every picture of a data set; one that cannot be read is a problem, and the others go on.

    Args:
        source: the pictures.
    """
    spread = np.linspace(0, len(source.items) - 1, min(MOST_OBJECT_MASKS, len(source.items))).round()
    measured = set(spread.astype(int).tolist())

    def look(at: int) -> Look:
        return _look(source.items[at], source, with_objects=at in measured)

    # Pillow decodes and numpy counts without holding the interpreter's lock.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        looks = tuple(pool.map(look, range(len(source.items))))
    return _survey(source, looks)


def _look(item: Item, source: Source, *, with_objects: bool) -> Look:
    try:
        pixels, classes = item.read()
    except InputError as error:
        return Look(item.split, item.name, problem=str(error))
    counts = np.bincount(classes.ravel(), minlength=256)
    ignored = source.labels.ignore_index
    n_ignored = 0 if ignored is None else int(counts[ignored])
    if ignored is not None:
        # It may be one of the classes' numbers.
        counts[ignored] = 0
    channels = f"{pixels.shape[2]} channel{'s' * (pixels.shape[2] != 1)} of {pixels.dtype.name}"
    return Look(
        split=item.split,
        name=item.name,
        size=(classes.shape[0], classes.shape[1]),
        kind=channels,
        pixels=counts[: len(source.labels.class_names)].astype(np.int64),
        ignored=n_ignored,
        objects=_objects(classes, source) if with_objects else None,
        digest=None if item.digest is None else item.digest(),
    )


def _objects(classes: NDArray[np.uint8], source: Source) -> tuple[Component, ...]:
    seen = classes if source.decoder is None else source.decoder.fitted_classes(classes)
    return tuple(components(seen, source.labels.ignore_index))


def _survey(source: Source, looks: tuple[Look, ...]) -> Survey:
    names = source.labels.class_names
    seen = [look for look in looks if look.problem is None]
    counts = Counter(look.split for look in seen)
    ignored = sum(look.ignored for look in seen)
    total = ignored + sum(int(look.pixels.sum()) for look in seen)
    return Survey(
        counts=dict(counts),
        sizes=tuple(Counter(look.size for look in seen).most_common()),
        kinds=tuple(Counter(look.kind for look in seen).most_common()),
        image_size=source.image_size,
        measured=sum(look.objects is not None for look in seen),
        ignored=ignored / max(total, 1),
        classes=_classes(seen, names),
        problems=problems_of(looks, names),
        looks=looks,
    )


def _classes(looks: Sequence[Look], names: Sequence[str]) -> tuple[ClassRow, ...]:
    objects = class_sizes((look.objects for look in looks if look.objects is not None), dict(enumerate(names)))
    by_label = {sizes.label: sizes for sizes in objects}
    totals: dict[str, NDArray[np.int64]] = {}
    for look in looks:
        totals[look.split] = totals.get(look.split, np.zeros(len(names), np.int64)) + look.pixels
    return tuple(
        ClassRow(
            name=name,
            shares={split: float(pixels[number] / max(pixels.sum(), 1)) for split, pixels in totals.items()},
            pictures=sum(bool(look.pixels[number]) for look in looks),
            objects=by_label.get(number),
        )
        for number, name in enumerate(names)
    )
