"""Lists of the files of each split: those that a folder comes with, and those that are written for it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from autorf.data.names import spelled
from autorf.data.pairs import Pair
from autorf.survey.layout import Layout
from autorf.survey.words import SPLITS

_DEEPEST = 4
"""Folders below the root, counted with the list itself."""


def given_lists(layout: Layout) -> dict[str, Path]:
    """The lists that tell the layout's splits, by split; empty where none names its images.

    Of several folders of lists, the one of which the most lines name an image with a mask.
    """
    pairs = [pair for members in layout.pairs.values() for pair in members]
    names = _names(layout, pairs)
    best: tuple[int, dict[str, Path]] = (0, {})
    for lists in _folders_of_lists(layout.root):
        lines = [line for path in lists.values() for line in _lines(path)]
        matched = sum(_pair(line, names) is not None for line in lines)
        # A list of other things, such as class names, names few images or none.
        if "train" in lists and matched > max(best[0], len(lines) / 2):
            best = matched, lists
    return best[1]


def listed_pairs(layout: Layout, lists: Mapping[str, Path]) -> tuple[dict[str, list[Pair]], list[str]]:
    """The pairs that lists name, by split, and the lines that name none as ``LIST: LINE``."""
    names = _names(layout, [pair for members in layout.pairs.values() for pair in members])
    pairs: dict[str, set[Pair]] = {}
    unknown: list[str] = []
    for split, path in lists.items():
        for line in _lines(path):
            pair = _pair(line, names)
            if pair is None:
                unknown.append(f"{path.relative_to(layout.root).as_posix()}: {line}")
            else:
                pairs.setdefault(split, set()).add(pair)
    return {split: sorted(members) for split, members in pairs.items()}, unknown


def list_text(root: Path, pairs: Sequence[Pair], comment: str) -> str:
    """A list as ``data.train`` takes it: the paths of an image and its mask a line, with a tab between."""
    lines = [f"{pair.image.relative_to(root).as_posix()}\t{pair.mask.relative_to(root).as_posix()}" for pair in pairs]
    return "\n".join((f"# {comment}", *lines, ""))


def _folders_of_lists(root: Path) -> Iterator[dict[str, Path]]:
    folders: dict[Path, dict[str, Path]] = {}
    for path in sorted(root.rglob("*.txt")):
        if len(path.relative_to(root).parts) > _DEEPEST or not path.is_file():
            continue
        for split, words in SPLITS.items():
            if path.stem.lower() in words:
                folders.setdefault(path.parent, {})[split] = path
    yield from folders.values()


def _names(layout: Layout, pairs: Sequence[Pair]) -> dict[str, Pair]:
    """Pairs by everything that a line may call them; what two are called is no name."""
    names: dict[str, Pair] = {}
    ambiguous: set[str] = set()
    for pair in pairs:
        image, mask = (file.relative_to(layout.root).as_posix() for file in (pair.image, pair.mask))
        stem = pair.image.stem[: len(pair.image.stem) - len(layout.images.tail)]
        for name in {f"{image} {mask}", image, pair.image.name, pair.image.stem, stem}:
            if names.setdefault(spelled(name), pair) != pair:
                ambiguous.add(spelled(name))
    return {name: pair for name, pair in names.items() if name not in ambiguous}


def _pair(line: str, names: Mapping[str, Pair]) -> Pair | None:
    return names.get(line) or names.get(" ".join(line.split()))


def _lines(path: Path) -> list[str]:
    try:
        lines = [spelled(line.strip()) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []
    return [line for line in lines if line and not line.startswith("#")]
