"""From a folder that nobody has described to a data set that is read, and what is odd about it."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from autorf.data.folder import folder_decoder, folder_pairs
from autorf.data.loading import labels_of
from autorf.data.names import on_disk, shown
from autorf.data.pairs import Pair, split_off
from autorf.data.spec import FolderData
from autorf.errors import InputError
from autorf.survey.class_finding import Classes, find_classes
from autorf.survey.class_table import class_tables
from autorf.survey.image_kinds import ImageKind, image_kind, reading_keys
from autorf.survey.image_size import chosen_size
from autorf.survey.items import Source, file_items, name_below
from autorf.survey.known_sets import KnownSet, known_set
from autorf.survey.layout import Layout, find_layout
from autorf.survey.layout_keys import layout_keys, plain_folders
from autorf.survey.mask_contents import MaskContents, Rgb, mask_contents, shown_code, tally
from autorf.survey.problems import Problem
from autorf.survey.split_lists import given_lists, list_text, listed_pairs
from autorf.survey.survey import Survey, survey_of

VAL_FRACTION = 0.2

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class FolderSurvey:
    """A folder, and how a study reads it.

    Attributes:
        root: the folder.
        keys: of the study's ``data``; where there are ``lists``, those but for the splits' places.
        pairs: by split, the validation split among them.
        lists: the text of the list of each split, where the folders alone do not tell which files are meant.
        splits_are_given: whether the folder says which images validate.
        classes: what the masks hold.
        survey: what the pictures hold.
        source: the pictures themselves.
        layout: how the folder is laid out.
    """

    root: Path
    keys: dict[str, Any]
    pairs: dict[str, list[Pair]]
    lists: dict[str, str]
    splits_are_given: bool
    classes: Classes
    survey: Survey
    source: Source
    layout: Layout

    @property
    def colours(self) -> dict[int, Rgb]:
        """Of the classes, where the masks have some."""
        return self.classes.colours

    def spec(self, lists_folder: Path | None = None) -> FolderData:
        """The data set as the study reads it.

        Args:
            lists_folder: where the lists are, if there are any.
        """
        places = {} if lists_folder is None else {split: f"{lists_folder}/{split}.txt" for split in self.lists}
        return FolderData(root=self.root, **{**self.keys, **places})


def survey_folder(folder: Path) -> FolderSurvey:
    """Look at a folder of pictures and masks.

    Args:
        folder: it.

    Raises:
        InputError: where there is no pair of an image and a mask, or no study could read what there is: one line that
            names the file, what is wrong with it and what is wanted.
    """
    root = on_disk(folder.resolve())
    layout = find_layout(root)
    lists = {} if layout.has_splits else given_lists(layout)
    given, unknown = listed_pairs(layout, lists) if lists else (layout.pairs, [])
    problems = [*_alone(layout, is_listed=bool(lists)), *_unlisted(unknown)]
    contents, unreadable = _each(given, lambda pair: mask_contents(pair.mask), lambda pair: pair.mask, root)
    kinds, unread = _each(
        {split: [pair for pair in pairs if pair in contents] for split, pairs in given.items()},
        lambda pair: image_kind(pair.image, contents[pair].size),
        lambda pair: pair.image,
        root,
    )
    problems += [*unreadable, *unread]
    usable = [pair for pairs in given.values() for pair in pairs if pair in kinds]
    whole = tally([contents[pair] for pair in usable])
    known = known_set(layout, frozenset(whole.pixels)) if whole.kind == "values" else None
    classes = find_classes(whole, class_tables(root), len(usable)) if known is None else _of_known(known)
    dropped, reasons = _dropped(usable, kinds, contents, classes, root)
    problems += [*reasons, *_strays(classes, contents, root)]
    left = [pair for pair in usable if pair not in dropped]
    is_left = set(left)
    pairs = {split: [pair for pair in members if pair in is_left] for split, members in given.items()}
    pairs = {split: members for split, members in pairs.items() if members}
    keys = {
        "image_size": list(chosen_size([contents[pair].size for pair in left])),
        **classes.keys,
        **reading_keys([kinds[pair] for pair in left]),
    }
    return _surveyed(layout, lists, pairs, keys, classes, problems)


def _surveyed(
    layout: Layout,
    lists: Mapping[str, Path],
    pairs: dict[str, list[Pair]],
    keys: dict[str, Any],
    classes: Classes,
    problems: Sequence[Problem],
) -> FolderSurvey:
    """The survey of the pairs that a study can read, of which some validate where none do yet."""
    root = layout.root
    if "train" not in pairs:
        raise InputError(f"{shown(root)}: no pair of the training split can be used; {problems[-1].text}")
    is_given = "val" in pairs
    clean = layout_keys(layout, lists, pairs, keys)
    places = clean if clean is not None else plain_folders(layout)
    if not is_given:
        train, val = split_off(pairs["train"], VAL_FRACTION)
        pairs = {**pairs, "train": train, "val": val}
        if clean is not None:
            places["val_fraction"] = VAL_FRACTION
    texts = {} if clean is not None else {split: _text(root, split, members) for split, members in pairs.items()}
    spec = FolderData(root=root, **{**keys, **places})
    decoder = folder_decoder(spec)
    source = Source(file_items(pairs, decoder, root), labels_of(spec), spec.image_size, decoder)
    survey = survey_of(source).with_problems(problems)
    result = FolderSurvey(root, {**keys, **places}, pairs, texts, is_given, classes, survey, source, layout)
    _check_read(result)
    return result


def _text(root: Path, split: str, pairs: Sequence[Pair]) -> str:
    return list_text(root, pairs, f"Written by autorf init: the {split} split, an image and its mask a line.")


def _check_read(result: FolderSurvey) -> None:
    """Raise ``InputError`` unless the study would read the files that were looked at, every one of them."""
    if result.survey.unreadable:
        raise InputError(str(result.survey.unreadable[0].problem))
    with tempfile.TemporaryDirectory() as folder:
        for split, text in result.lists.items():
            Path(folder, f"{split}.txt").write_text(text, encoding="utf-8")
        read = folder_pairs(result.spec(Path(folder) if result.lists else None))
    for split, pairs in result.pairs.items():
        for pair in sorted(set(pairs) ^ set(read.get(split, ()))):
            raise InputError(f"{shown(pair.image)}: no list of files can name it, or names it twice; rename it")


def _each(
    pairs: Mapping[str, Sequence[Pair]], read: Callable[[Pair], _Result], file_of: Callable[[Pair], Path], root: Path
) -> tuple[dict[Pair, _Result], list[Problem]]:
    """What ``read`` makes of every pair that it can read, and why it cannot of the others.

    Raises:
        InputError: where it can read no more than half: that is no odd file but a kind of files.
    """

    def attempt(pair: Pair) -> _Result | InputError:
        try:
            return read(pair)
        except InputError as error:
            return error

    members = [pair for split in pairs.values() for pair in split]
    results: dict[Pair, _Result] = {}
    errors: dict[Pair, InputError] = {}
    with ThreadPoolExecutor(4) as pool:
        for pair, result in zip(members, pool.map(attempt, members), strict=True):
            if isinstance(result, InputError):
                errors[pair] = result
            else:
                results[pair] = result
    if errors and len(errors) >= len(results):
        raise next(iter(errors.values()))
    problems = [
        Problem("unreadable", f"{error} (left out)", (name_below(file_of(pair), root),))
        for pair, error in errors.items()
    ]
    return results, problems


def _names(pair: Pair, root: Path) -> tuple[str, str]:
    return name_below(pair.image, root), name_below(pair.mask, root)


def _alone(layout: Layout, *, is_listed: bool) -> Iterator[Problem]:
    """Images without masks and masks without images; of a folder with lists, what is not listed is not meant."""
    if is_listed:
        return
    for split, files in layout.images_alone.items():
        if files:
            where = f" of {split}" if layout.has_splits else ""
            names = tuple(name_below(file, layout.root) for file in files)
            text = f"{len(files)} image{'s' * (len(files) != 1)}{where} without a mask (left out)"
            yield Problem("image_without_mask", text, names)
    if layout.doubles:
        names = tuple(name_below(file, layout.root) for file in layout.doubles)
        count = len(names)
        text = f"{count} image{'s' * (count != 1)} called like another, but for the suffix (left out)"
        yield Problem("same_name", text, names)
    if layout.masks_alone:
        count = len(layout.masks_alone)
        names = tuple(name_below(file, layout.root) for file in layout.masks_alone)
        yield Problem("mask_without_image", f"{count} mask{'s' * (count != 1)} without an image (left out)", names)


def _unlisted(lines: Sequence[str]) -> Iterator[Problem]:
    if lines:
        text = f"{len(lines)} line{'s' * (len(lines) != 1)} of lists that name no image with a mask (left out)"
        yield Problem("listed_but_missing", text, tuple(lines))


def _of_known(known: KnownSet) -> Classes:
    keys: dict[str, Any] = {"classes": list(known.class_names)}
    if known.ignore_index is not None:
        keys["ignore_index"] = known.ignore_index
    return Classes(keys, known.class_names, f"{known.name}'s, told by the names of its files")


def _dropped(
    pairs: Sequence[Pair],
    kinds: Mapping[Pair, ImageKind],
    contents: Mapping[Pair, MaskContents],
    classes: Classes,
    root: Path,
) -> tuple[set[Pair], list[Problem]]:
    """The pairs that no study could read: of two sizes, or with a value that is no class."""
    dropped: set[Pair] = set()
    problems: list[Problem] = []
    for pair in pairs:
        image_size, mask = kinds[pair].size, contents[pair]
        if image_size != mask.size:
            sizes = " and ".join(" x ".join(map(str, size)) for size in (image_size, mask.size))
            text = f"image and mask are of different sizes, {sizes}"
            problems.append(Problem("sizes_differ", f"{text} (left out)", _names(pair, root)))
            dropped.add(pair)
        elif mask.kind == "values" and (strays := sorted(set(classes.strays) & mask.counts.keys())):
            text = f"the value {strays[0]} at {mask.counts[strays[0]]} pixels is out of range"
            problems.append(Problem("value_out_of_range", f"{text} (left out)", (name_below(mask.file, root),)))
            dropped.add(pair)
        if 2 * len(dropped) > len(pairs):
            raise InputError(f"{shown(mask.file)}: {text}; so it is with most of {len(pairs)} pairs: correct them")
    return dropped, problems


def _strays(classes: Classes, contents: Mapping[Pair, MaskContents], root: Path) -> Iterator[Problem]:
    """Colours that are in no table, which loss and metrics leave out."""
    for code in classes.strays if "colors" in classes.keys else ():
        holding = [mask for mask in contents.values() if code in mask.counts]
        n_pixels = sum(mask.counts[code] for mask in holding)
        text = f"the colour {shown_code(code, 'colours')} at {n_pixels} pixels is in no table (ignored)"
        yield Problem("colour_out_of_table", text, tuple(name_below(mask.file, root) for mask in holding))
