"""What is odd about a data set, with the names of the files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autorf.survey.survey import Look

RARE_SHARE = 1e-3
"""Of the labelled training pixels below which a class is rare."""

RARE_PICTURES = 3
"""Training pictures: a class that fewer of them hold is rare."""

_LARGEST_STRETCH = 1.1
"""Ratio of aspect ratios from which pictures are of different shapes."""


@dataclass(frozen=True)
class Problem:
    """Something odd.

    Attributes:
        kind: of problem, the same in every data set, such as ``rare_class``.
        text: what is odd and what that means.
        files: that it is odd about; empty where it is about none in particular.
    """

    kind: str
    text: str
    files: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": self.kind, "text": self.text, "files": list(self.files)}


def problems_of(looks: Sequence["Look"], names: Sequence[str]) -> tuple[Problem, ...]:
    """What is odd about pictures that were looked at.

    Args:
        looks: of all splits.
        names: of the classes.
    """
    seen = [look for look in looks if look.problem is None]
    return (*_unreadable(looks), *_empty(seen, names), *_rare(seen, names), *_shapes(seen), *_twice(seen))


def _unreadable(looks: Iterable["Look"]) -> Iterator[Problem]:
    for look in looks:
        if look.problem is not None:
            yield Problem("unreadable", look.problem, (look.name,))


def _empty(looks: Sequence["Look"], names: Sequence[str]) -> Iterator[Problem]:
    unlabelled = tuple(look.name for look in looks if not look.pixels.any())
    if unlabelled:
        yield Problem("empty_mask", f"{_masks(unlabelled)} no labelled pixel", unlabelled)
    background = tuple(look.name for look in looks if look.pixels[0] and not look.pixels[1:].any())
    if background and len(background) < len(looks):
        yield Problem("empty_mask", f"{_masks(background)} nothing but class 0 ({names[0]})", background)


def _masks(files: Sequence[str]) -> str:
    return "1 mask holds" if len(files) == 1 else f"{len(files)} masks hold"


def _rare(looks: Sequence["Look"], names: Sequence[str]) -> Iterator[Problem]:
    for split in dict.fromkeys(look.split for look in looks):
        members = [look for look in looks if look.split == split]
        holding: Mapping[str, list[str]] = {
            name: [look.name for look in members if look.pixels[number]] for number, name in enumerate(names)
        }
        absent = [name for name, files in holding.items() if not files]
        if absent:
            yield Problem("absent_class", f"no mask of {split} holds {', '.join(absent)}")
        if split == "train":
            yield from _rare_in(members, holding)


def _rare_in(looks: Sequence["Look"], holding: Mapping[str, Sequence[str]]) -> Iterator[Problem]:
    total = sum(int(look.pixels.sum()) for look in looks)
    for number, (name, files) in enumerate(holding.items()):
        share = sum(int(look.pixels[number]) for look in looks) / max(total, 1)
        few = len(files) < min(RARE_PICTURES, len(looks))
        if files and (share < RARE_SHARE or few):
            text = f"class {name} is rare: {share:.2g} of the labelled training pixels, in {len(files)} of {len(looks)}"
            yield Problem("rare_class", f"{text} images", tuple(files) if few else ())


def _shapes(looks: Sequence["Look"]) -> Iterator[Problem]:
    ratios = {look.name: look.size[1] / look.size[0] for look in looks}
    if not ratios:
        return
    narrowest, widest = min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__)
    if ratios[widest] > _LARGEST_STRETCH * ratios[narrowest]:
        yield Problem(
            "aspect_ratios",
            f"width over height is from {ratios[narrowest]:.2f} to {ratios[widest]:.2f}: one image_size stretches some",
            (narrowest, widest),
        )


def _twice(looks: Sequence["Look"]) -> Iterator[Problem]:
    """Pictures of one content in two splits: what is trained on says nothing as validation or test."""
    first: dict[bytes, Look] = {}
    twins: dict[tuple[str, str], list[str]] = {}
    for look in looks:
        if look.digest is None:
            continue
        other = first.setdefault(look.digest, look)
        if other.split != look.split:
            twins.setdefault((other.split, look.split), []).append(f"{other.name} = {look.name}")
    for (first_split, second_split), names in twins.items():
        text = "1 picture is" if len(names) == 1 else f"{len(names)} pictures are"
        yield Problem("in_two_splits", f"{text} in {first_split} and in {second_split}, byte for byte", tuple(names))
