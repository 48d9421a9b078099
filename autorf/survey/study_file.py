"""The study file of a folder: commented, and ready to run."""

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from autorf.study.plain_yaml import parse_yaml
from autorf.study.spec import StudySpec, parse_study
from autorf.study.trial import grid
from autorf.survey.first_search import FirstSearch
from autorf.survey.folder_survey import FolderSurvey

_WIDTH = 110
_LONGEST_NAME = 60
_MOST_SHARES = 12

Part = tuple[str, dict[str, Any]]
"""A comment, and the keys below it."""


def study_text(result: FolderSurvey, first: FirstSearch, output: Path, lists_folder: Path | None) -> str:
    """The file's text.

    Args:
        result: the folder.
        first: what the study tries.
        output: where the file will be, for the comments and the study's name.
        lists_folder: where the lists of files will be, if there are any.
    """
    counts = result.survey.counts
    images = ", ".join(f"{counts[split]} {what}" for split, what in _USES.items() if split in counts)
    lines = [
        *_comment(f"Written by autorf init from {result.root}: {images}."),
        *_comment(f"autorf search {output} --dry-run shows what would run; without --dry-run it runs, and resumes."),
        f"name: {study_name(output.stem)}",
        "data:",
        *_indented(_data(result, lists_folder)),
        *_section("model", _model(first)),
        *_comment(_search_comment(first)),
        *_dumped({"search_space": first.search_space}),
        *_section("training", _training(first)),
    ]
    return "\n".join((*lines, ""))


_USES = {"train": "images to train on", "val": "to validate", "test": "to test"}


def checked_study(text: str, output: Path) -> StudySpec:
    """The study that a text is; what ``autorf search`` would refuse is refused here."""
    spec = parse_study(parse_yaml(text, str(output)), str(output))
    grid(spec, str(output))
    return spec


def study_name(stem: str) -> str:
    """A name for a study, out of a file's.

    >>> study_name("Straße 1"), study_name("..")
    ('Stra_e_1', 'study')
    """
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", stem).lstrip("_.-")[:_LONGEST_NAME]
    return name or "study"


def _data(result: FolderSurvey, lists_folder: Path | None) -> Iterator[Part]:
    spec_keys = dict(result.keys)
    yield "", {"name": "folder", "root": str(result.root)}
    yield _size_comment(result), {"image_size": spec_keys.pop("image_size")}
    class_keys = {key: spec_keys.pop(key) for key in _CLASS_KEYS if key in spec_keys}
    yield _class_comment(result), class_keys
    reading: dict[str, Any] = {key: spec_keys.pop(key) for key in ("channels", "pictures") if key in spec_keys}
    if reading:
        yield _reading_comment(reading), reading
    if lists_folder is not None:
        lists = {split: f"{lists_folder}/{split}.txt" for split in result.lists}
        yield _lists_comment(result), {**lists, **spec_keys}
        return
    if "val_fraction" in spec_keys:
        fraction = spec_keys.pop("val_fraction")
        if spec_keys:
            yield "", spec_keys
        yield _VALIDATION.format(n=result.survey.counts["val"]), {"val_fraction": fraction}
    elif spec_keys:
        yield "", spec_keys


_CLASS_KEYS = ("classes", "ignore_index", "values", "ignore_values", "colors", "ignore_colors")

_VALIDATION = (
    "The folder has no validation split: this share of the training images validates ({n} of them), chosen by the hash "
    "of their file names, the same every time. Where neighbouring pictures are alike, such as frames of one film, name "
    "lists of files instead (train: train.txt, val: val.txt), so that no scene is on both sides."
)


def _size_comment(result: FolderSurvey) -> str:
    sizes = result.survey.sizes
    (height, width), count = sizes[0]
    total = sum(each for _, each in sizes)
    alike = "all" if len(sizes) == 1 else f"{count} of {total}; there are {len(sizes)} sizes"
    return (
        f"Height and width that pictures are resized to, multiples of 32. Those in the folder are {height} x {width} "
        f"({alike}); predictions are written at each picture's own size."
    )


def _class_comment(result: FolderSurvey) -> str:
    shares = {row.name: row.shares["train"] for row in result.survey.classes}
    shown = ", ".join(f"{name} {share:.2%}" for name, share in list(shares.items())[:_MOST_SHARES])
    more = f" and {len(shares) - _MOST_SHARES} more" if len(shares) > _MOST_SHARES else ""
    text = f"Classes: {result.classes.basis}. Of the labelled training pixels: {shown}{more}."
    if result.survey.ignored:
        return f"{text} No class: {result.survey.ignored:.2%} of all pixels, which loss and metrics leave out."
    if set(result.keys) & {"ignore_index", "values", "colors"}:
        return text
    return f"{text} Where a value marks pixels without a class, say ignore_index: VALUE, and classes without it."


def _reading_comment(reading: Mapping[str, Any]) -> str:
    if "channels" in reading:
        return "Images are read as the numbers that their files store, so many channels of each."
    return "Some images hold more than three colours of 8 bits: transparency, inks or several frames. Colours are read."


def _lists_comment(result: FolderSurvey) -> str:
    reason = "The folders hold more than a study can use, or are not told by names alone: lists name what is meant."
    if result.splits_are_given:
        return reason
    count = result.survey.counts["val"]
    return (
        f"{reason} There is no validation split: {count} training images validate, chosen by the hash of their names."
    )


def _model(first: FirstSearch) -> Iterator[Part]:
    comment = (
        f"Sees {first.field:g} pixels at dilation 1. From random weights; pretrained: true loads the backbone's "
        "published ones, which needs a network once and mostly scores better."
    )
    yield comment, first.model


def _search_comment(first: FirstSearch) -> str:
    if first.sufficient is None:
        return "One dilation a trial, and one that is learned."
    return (
        f"One dilation a trial around the field that is advised for these objects, {first.sufficient.rf:g} pixels "
        f"({first.sufficient.basis}), and one that is learned from either end."
    )


def _training(first: FirstSearch) -> Iterator[Part]:
    comment = "Give seeds: [0, 1, 2] for a verdict that says how sure it is."
    if "class_weights" in first.training:
        comment += " Classes are weighted, for some have few pixels."
    yield comment, first.training


def _section(name: str, parts: Iterator[Part]) -> Iterator[str]:
    for comment, keys in parts:
        yield from _comment(comment)
        yield from _dumped({name: keys})


def _indented(parts: Iterator[Part]) -> Iterator[str]:
    for comment, keys in parts:
        for line in (*_comment(comment), *_dumped(keys)):
            yield f"  {line}"


def _comment(text: str) -> list[str]:
    # A path may be long and hold anything; a line break in it would end the comment.
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), _WIDTH, break_on_hyphens=False)]


class _Dumper(yaml.SafeDumper):
    """Writes a list that occurs twice twice: people do not read anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True


def _dumped(keys: Mapping[str, Any]) -> Iterator[str]:
    for key, value in keys.items():
        # Lists and mappings of plain values stand in one line, everything around them in lines of its own.
        flow = None if isinstance(value, list | dict) else False
        text = yaml.dump(
            {key: value}, Dumper=_Dumper, default_flow_style=flow, width=_WIDTH, sort_keys=False, allow_unicode=True
        )
        yield from str(text).splitlines()
