"""How a study file names the files of a layout: by its folders, where these say it all."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autorf.data.folder import folder_pairs
from autorf.data.names import shown
from autorf.data.pairs import Pair
from autorf.data.spec import FolderData
from autorf.errors import InputError
from autorf.survey.layout import Layout, Side

_DEFAULTS = {"images": "images", "masks": "masks", "train": "train", "val": "val", "test": "test"}


def layout_keys(
    layout: Layout, lists: Mapping[str, Path], pairs: Mapping[str, Sequence[Pair]], others: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The keys by which a study reads exactly these pairs; None where no folder or pattern tells them from others.

    Args:
        layout: of the folder.
        lists: of its files, which it came with.
        pairs: that are meant, by split.
        others: the data set's other keys.
    """
    for keys in _proposals(layout, lists):
        try:
            read = folder_pairs(FolderData(root=layout.root, **{**others, **keys}))
        except (InputError, ValueError):
            continue
        if "val" not in pairs:
            # Without a validation split part of the training images is one.
            read = {**read, "train": [*read["train"], *read["val"]]}
            del read["val"]
        if {split: sorted(members) for split, members in read.items()} == {s: sorted(m) for s, m in pairs.items()}:
            return {key: value for key, value in keys.items() if value != _DEFAULTS.get(key)}
    return None


def plain_folders(layout: Layout) -> dict[str, Any]:
    """Keys for lists that name images and masks whole: they need a place with an image and one with a mask.

    Raises:
        InputError: for a place that no key can name.
    """
    first = layout.pairs["train"][0]
    keys = {}
    for key, file in (("images", first.image), ("masks", first.mask)):
        folder = file.parent.relative_to(layout.root).as_posix()
        if "{" in folder:
            raise InputError(f"{shown(file.parent)}: braces cannot stand in data.{key}; rename the folder")
        # Of one suffix, for in a folder as a whole two files of one stem are refused.
        keys[key] = f"{folder}/{{stem}}{file.suffix}".removeprefix("./")
    return keys


def _proposals(layout: Layout, lists: Mapping[str, Path]) -> Iterator[dict[str, Any]]:
    spellings = layout.images.group.spellings if layout.has_splits else {}
    places = {split: path.relative_to(layout.root).as_posix() for split, path in lists.items()} or spellings
    members = [pair for pairs in layout.pairs.values() for pair in pairs]
    for with_suffix in (False, True):
        images = _pattern(layout.images, [pair.image for pair in members], with_suffix=with_suffix)
        masks = _pattern(layout.masks, [pair.mask for pair in members], with_suffix=with_suffix)
        prefix = "{split}/"
        if images.startswith(prefix) and masks.startswith(prefix):
            shorter = images.removeprefix(prefix), masks.removeprefix(prefix)
            if not any("{split}" in pattern for pattern in shorter):
                images, masks = shorter
        if images and masks:
            yield {**places, "images": images, "masks": masks}


def _pattern(side: Side, files: Sequence[Path], *, with_suffix: bool) -> str:
    """A folder; or a pattern, where the names end in more than what images and masks have in common."""
    stems = [stem for stems in side.group.files.values() for stem in stems]
    if not with_suffix and not side.tail and not any("/" in stem for stem in stems):
        return side.group.pattern
    suffixes = {file.suffix for file in files}
    suffix = suffixes.pop() if len(suffixes) == 1 else ""
    return f"{side.group.pattern}/{{stem}}{side.tail}{suffix}".lstrip("/")
