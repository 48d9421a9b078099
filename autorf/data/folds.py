"""Folds of a training split: which images validate together, drawn once and for all."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from autorf.data.fold_spec import FOLDER, Foldable
from autorf.data.names import Names, shown, spelled
from autorf.data.pairs import Pair, split_off
from autorf.errors import InputError


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
    numbers = fold_numbers(pairs, spec, root, names)
    if spec.fold is None:
        return list(pairs), list(pairs)
    placed = list(zip(pairs, numbers, strict=True))
    train = [pair for pair, number in placed if number != spec.fold]
    return train, [pair for pair, number in placed if number == spec.fold]


def fold_numbers(pairs: Sequence[Pair], spec: Foldable, root: Path, names: Names = "nfc") -> list[int]:
    """The fold, 0 and up, that each image validates in.

    Groups are dealt out largest first, each to the fold that holds fewest images then; of equals the hash of their
    names decides, so that nothing but the images' names and the number of folds does: no seed, no order, no place.
    Without groups the folds' sizes differ by one image at most.

    Raises:
        InputError: see :func:`train_and_val`.
    """
    assert spec.folds is not None
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(_group_names(pairs, spec, root, names)):
        groups.setdefault(name, []).append(index)
    if spec.folds > len(groups):
        raise InputError(_too_many(spec, pairs, len(groups)))
    sizes = [0] * spec.folds
    numbers = [0] * len(pairs)
    for name in sorted(groups, key=lambda name: (-len(groups[name]), _drawn(name), name)):
        fold = sizes.index(min(sizes))
        sizes[fold] += len(groups[name])
        for index in groups[name]:
            numbers[index] = fold
    return numbers


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
