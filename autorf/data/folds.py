"""Folds of a training split: which images validate together, drawn once and for all."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from autorf.data.class_pairs import ClassPair
from autorf.data.fold_spec import FOLDER, Foldable
from autorf.data.names import Names, shown, spelled
from autorf.data.pairs import Pair, split_off
from autorf.errors import InputError

AnyPair = TypeVar("AnyPair", bound=Pair)


def train_and_val(
    pairs: Sequence[Pair], spec: Foldable, root: Path, val_fraction: float, names: Names = "nfc"
) -> tuple[list[Pair], list[Pair]]:
    """What trains and what validates of a training split without a validation split of its own.

    Of a data set in folds the fold that ``spec`` names validates and the others train. Without one, as a study knows
    its data before any trial, both are all the images: each trains, and each validates, in some trial.

    Args:
        pairs: of the training split.
        spec: says how many folds, and which one.
        root: of the data set.
        val_fraction: the share that validates without folds.
        names: when two spellings are one name.

    Raises:
        InputError: for more folds than there are images or groups, or an image whose path names no group.
    """
    if spec.folds is None:
        return split_off(pairs, val_fraction, names)
    return fold_and_rest(pairs, fold_numbers(pairs, spec, root, names), spec.fold)


def fold_and_rest(
    pairs: Sequence[AnyPair], numbers: Sequence[int], fold: int | None
) -> tuple[list[AnyPair], list[AnyPair]]:
    """The images outside a fold, which train, and those in it, which validate; all twice where no fold is named."""
    if fold is None:
        return list(pairs), list(pairs)
    placed = list(zip(pairs, numbers, strict=True))
    train = [pair for pair, number in placed if number != fold]
    return train, [pair for pair, number in placed if number == fold]


def check_no_validation(root: Path, val: str, pairs: Mapping[str, Sequence[Pair]]) -> None:
    """Raise ``InputError`` where data to be drawn into folds have a validation split of their own, called ``val``."""
    if "val" in pairs:
        raise InputError(
            f"data.folds: {shown(root)} has a validation split (data.val: {val}, {len(pairs['val'])} images); folds "
            "are for data without one: move its images to the training split, or leave data.folds out"
        )


def fold_numbers(pairs: Sequence[Pair], spec: Foldable, root: Path, names: Names = "nfc") -> list[int]:
    """The fold, 0 and up, that each image validates in.

    Groups are dealt out largest first, each to the fold that holds fewest images then; of equals the hash of their
    names decides, so that nothing but the images' names and the number of folds does: no seed, no order, no place.
    Without groups the folds' sizes differ by one image at most.

    Pictures with one class each are dealt out class by class, each to the fold with the smallest share of its class,
    so that every fold has about the classes of the whole; without groups a class's numbers differ by one at most too.

    Raises:
        InputError: see :func:`train_and_val`.
    """
    assert spec.folds is not None
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(_group_names(pairs, spec, root, names)):
        groups.setdefault(name, []).append(index)
    if spec.folds > len(groups):
        raise InputError(_too_many(spec, pairs, len(groups)))
    labels = [_label(pair) for pair in pairs]
    totals = Counter(labels)
    held = [Counter[int]() for _ in range(spec.folds)]
    numbers = [0] * len(pairs)

    def turn(name: str) -> tuple[int, list[int], bytes, str]:
        return -len(groups[name]), sorted(labels[index] for index in groups[name]), _drawn(name), name

    for name in sorted(groups, key=turn):
        members = Counter(labels[index] for index in groups[name])
        fold = min(range(spec.folds), key=lambda fold: _fullness(held[fold], members, totals))
        held[fold].update(members)
        for index in groups[name]:
            numbers[index] = fold
    return numbers


def _label(pair: Pair) -> int:
    """The class of a picture as a whole; 0 of an image with a class for every pixel."""
    return pair.label if isinstance(pair, ClassPair) else 0


def _fullness(held: Counter[int], members: Counter[int], totals: Counter[int]) -> tuple[Fraction, int]:
    """How much a fold has of a group's classes already, by their shares of all images; then, how many images it has."""
    shares = (Fraction(count * held[label], totals[label]) for label, count in members.items())
    return sum(shares, Fraction()), held.total()


def _too_many(spec: Foldable, pairs: Sequence[Pair], n_groups: int) -> str:
    folder = shown(pairs[0].image.parent, 100)
    if spec.group_by is None:
        return f"data.folds: {spec.folds} folds of {len(pairs)} images ({folder}); give at most {len(pairs)}"
    at_most, groups = (f"at most {n_groups}", "groups") if n_groups > 1 else ("another group_by", "group")
    return (
        f"data.folds: {spec.folds} folds of {n_groups} {groups} (data.group_by; {len(pairs)} images of {folder}): a "
        f"group lies in one fold; give {at_most}"
    )


def _drawn(name: str) -> bytes:
    """What stands for a random number: the same on every machine, and as good for any list of names."""
    return hashlib.sha256(name.encode()).digest()


def _group_names(pairs: Sequence[Pair], spec: Foldable, root: Path, names: Names) -> list[str]:
    if spec.group_by is None:
        return _own_names(pairs, root, names)
    if spec.group_by == FOLDER:
        # Below what all have in common: elsewhere the same images have the same groups.
        above = os.path.commonpath([pair.image.parent for pair in pairs])
        return [_below(Path(above), pair.image.parent, names) for pair in pairs]
    rule = re.compile(spec.group_by)
    return [_named_group(pair.image, rule, root, names) for pair in pairs]


def _own_names(pairs: Sequence[Pair], root: Path, names: Names) -> list[str]:
    """A name for each image: its stem; with its path where two have the same, as lists of files may."""
    stems = [spelled(pair.image.stem, names) for pair in pairs]
    times = Counter(stems)
    return [
        stem if times[stem] == 1 else f"{stem}/{_below(root, pair.image, names)}"
        for stem, pair in zip(stems, pairs, strict=True)
    ]


def _named_group(image: Path, rule: re.Pattern[str], root: Path, names: Names) -> str:
    path = _below(root, image, names)
    match = rule.search(path)
    if match is None or not match[1]:
        raise InputError(
            f"data.group_by: {rule.pattern!r} names no group in {shown(Path(path), 80)}; every training image is in one"
        )
    return match[1]


def _below(root: Path, path: Path, names: Names) -> str:
    return spelled(Path(os.path.relpath(path, root)).as_posix(), names)
