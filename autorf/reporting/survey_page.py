"""The page of a data set that was looked at: one HTML file with samples, classes, objects, and what is odd."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autorf.data.class_colours import class_colour
from autorf.data.colouring import coloured, shown_colours
from autorf.data.data_set import Labels
from autorf.errors import InputError, shown_place
from autorf.files import write_atomically
from autorf.reporting.blocks import Block, Code, Column, Line, Samples, Section, Table, table
from autorf.reporting.page import Page, rendered, today
from autorf.reporting.samples import Panel, SampleRow, photo
from autorf.reporting.summary import Fact
from autorf.reporting.words import NONE, percent, plural, short
from autorf.survey.chosen_samples import chosen_samples
from autorf.survey.items import Item, Source
from autorf.survey.survey import ClassRow, Look, Survey

_SHOWN_SIDE = 480
"""Pixels: the longer side of a sample on the page."""

_OF_CLASSES = 0.55
"""How much of an overlay is the classes' colour."""

_SAMPLES_A_ROW = 2
_MOST_FILES = 12
_MOST_SIZES = 12
_SPLITS = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Surveyed:
    """What the page is about.

    Attributes:
        name: of the data set.
        place: where it is, in words.
        survey: what was seen.
        source: the pictures themselves.
        colours: of classes by number, where the masks have some.
        study: text of the study file that was written; None for none.
    """

    name: str
    place: str
    survey: Survey
    source: Source
    colours: Mapping[int, tuple[int, int, int]]
    study: str | None = None


def write_survey_page(surveyed: Surveyed, path: Path) -> None:
    """Write the page.

    Raises:
        InputError: where the file cannot be written.
    """
    try:
        write_atomically(path, survey_page(surveyed))
    except OSError as error:
        raise InputError(f"--page {shown_place(str(path))}: cannot be written: {error.strerror}") from None


def survey_page(surveyed: Surveyed) -> str:
    """The data set as one HTML document that needs no other file and no network."""
    survey = surveyed.survey
    n_images = sum(survey.counts.values())
    headline = f"{plural(n_images, 'image')} of {len(survey.classes)} classes"
    return rendered(
        Page(
            title=f"{surveyed.name}: {headline}",
            study=surveyed.name,
            eyebrow=surveyed.place,
            headline=headline,
            recommendation="",
            sentence=_sentence(survey),
            running="",
            notes=(),
            picture=None,
            facts=tuple(_facts(survey)),
            sections=tuple(_sections(surveyed)),
            date=today(),
        )
    )


def _sentence(survey: Survey) -> str:
    if not survey.problems:
        return "Nothing odd was seen."
    count = len(survey.problems)
    return f"{'One thing is' if count == 1 else f'{count} things are'} odd: see below."


def _facts(survey: Survey) -> Iterator[Fact]:
    for split, count in survey.counts.items():
        yield Fact(f"{_SPLITS.get(split, split).capitalize()} images", str(count))
    (height, width), count = survey.sizes[0]
    note = "all of them" if len(survey.sizes) == 1 else f"the most frequent of {len(survey.sizes)} sizes ({count})"
    yield Fact("Size", f"{height} x {width} px", note)
    if survey.ignored:
        yield Fact("Without a class", percent(survey.ignored), "of all pixels")


def _sections(surveyed: Surveyed) -> Iterator[Section]:
    survey = surveyed.survey
    if survey.problems:
        lead = "Files are named as they lie in the folder."
        yield Section("problems", "What is odd", lead, (_problems(survey),))
    yield Section("samples", "Samples", "Each picture, and its mask over it.", (_samples(surveyed),))
    height, width = survey.image_size
    lead = (
        "Shares are of a split's labelled pixels. Objects are connected regions of one class; a side is the longer "
        f"one of a region's box in pixels at {height} x {width}, as a network sees it, over {survey.measured} masks. "
        "Half of a class's pixels lie in objects up to the typical side."
    )
    yield Section("classes", "Classes and objects", lead, (_classes(survey),))
    if len(survey.sizes) > 1:
        yield Section("sizes", "Sizes of the pictures", "Height x width.", (_sizes(survey),))
    if surveyed.study is not None:
        block: Block = Code("The study file", surveyed.study)
        yield Section("study", "The study to begin with", "", (block,))


def _problems(survey: Survey) -> Table:
    lines = []
    for problem in survey.problems:
        files = ", ".join(problem.files[:_MOST_FILES])
        more = len(problem.files) - _MOST_FILES
        lines.append(Line((problem.text,), note=files + (f" and {more} more" if more > 0 else "")))
    return table("What is odd", [Column("what", is_number=False)], lines)


def _classes(survey: Survey) -> Table:
    shares = [f"{_SPLITS.get(split, split)}, % of pixels" for split in survey.counts]
    sides = ("objects", "10 %, px", "50 %, px", "90 %, px", "typical, px")
    columns: list[Column | str] = [Column("class", is_number=False), *shares, "pictures", *sides]
    return table("Classes and objects", columns, [_class_cells(row, survey) for row in survey.classes])


def _class_cells(row: ClassRow, survey: Survey) -> tuple[str, ...]:
    shares = [short(100 * row.shares.get(split, 0.0), 2) for split in survey.counts]
    if row.objects is None:
        return row.name, *shares, str(row.pictures), *(NONE for _ in range(5))
    quantiles = [short(side, 1) for side in row.objects.quantiles.values()]
    return row.name, *shares, str(row.pictures), str(row.objects.objects), *quantiles, short(row.objects.typical, 1)


def _sizes(survey: Survey) -> Table:
    lines = [(" x ".join(map(str, size)), str(count)) for size, count in survey.sizes[:_MOST_SIZES]]
    others = survey.sizes[_MOST_SIZES:]
    if others:
        lines.append((f"{len(others)} other sizes", str(sum(count for _, count in others))))
    return table("Sizes of the pictures", [Column("size", is_number=False), "pictures"], lines)


def _samples(surveyed: Surveyed) -> Samples:
    looks, items, labels = surveyed.survey.looks, surveyed.source.items, surveyed.source.labels
    colours = _colours(labels, surveyed.colours)
    chosen = chosen_samples(looks)
    pairs = [_panels(items[at], looks[at], labels, colours) for at in chosen]
    rows = [
        SampleRow(
            index=number,
            width=_SHOWN_SIDE,
            height=_SHOWN_SIDE,
            panels=tuple(panel for pair in pairs[at : at + _SAMPLES_A_ROW] for panel in pair),
            label=", ".join(looks[index].name for index in chosen[at : at + _SAMPLES_A_ROW]),
        )
        for number, at in enumerate(range(0, len(pairs), _SAMPLES_A_ROW))
    ]
    present = set().union(*(np.flatnonzero(looks[at].pixels).tolist() for at in chosen))
    legend = [(labels.class_names[number], _code(colours[number])) for number in sorted(present)]
    caption = f"{len(chosen)} of {len(items)} pictures: every class that so few can show, and an even spread."
    if any(looks[at].ignored for at in chosen):
        caption += " Pixels without a class are left as they are."
    return Samples(caption, tuple(legend), tuple(rows), ())


def _colours(labels: Labels, own: Mapping[int, tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Of every class: the masks' own, else those of reports."""
    codes = [class_colour(number) for number in range(len(labels.class_names))]
    usual = [(int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)) for code in codes]
    return [own.get(number, colour) for number, colour in enumerate(usual)]


def _code(colour: Sequence[int]) -> str:
    return "#" + "".join(f"{level:02x}" for level in colour)


def _panels(item: Item, look: Look, labels: Labels, colours: Sequence[tuple[int, int, int]]) -> tuple[Panel, Panel]:
    pixels, classes = item.read()
    picture = shown_colours(pixels)
    height, width = classes.shape
    scale = min(1.0, _SHOWN_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR), np.uint8)
    masks = np.asarray(Image.fromarray(classes).resize(size, Image.Resampling.NEAREST), np.uint8)
    held = ", ".join(labels.class_names[number] for number in np.flatnonzero(look.pixels)) or "no class"
    return (
        Panel(item.name, photo(small.transpose(2, 0, 1)), f"{item.name}, {height} x {width} pixels"),
        Panel(f"{height} x {width}", photo(_overlaid(small, masks, labels, colours).transpose(2, 0, 1)), held),
    )


def _overlaid(
    picture: NDArray[np.uint8], classes: NDArray[np.uint8], labels: Labels, colours: Sequence[tuple[int, int, int]]
) -> NDArray[np.uint8]:
    """The classes' colours over a picture ``(h, w, 3)``, which stays as it is where there is no class."""
    has_class = classes < len(colours)
    if labels.ignore_index is not None:
        has_class &= classes != labels.ignore_index
    overlay = coloured(np.where(has_class, classes, 0), colours)
    mixed = (1 - _OF_CLASSES) * picture + _OF_CLASSES * overlay
    result: NDArray[np.uint8] = np.where(has_class[..., None], mixed.round(), picture).astype(np.uint8)
    return result
