"""The page of a check: one HTML file with the pictures, the sizes, the knobs and the tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from autorf.advice.knobs import Knob
from autorf.advice.model_check import ModelCheck
from autorf.errors import InputError, shown_place
from autorf.files import check_output, size_in_words, write_atomically
from autorf.reporting.blocks import Chart, Column, Section, Table, View, table
from autorf.reporting.check_picture import check_picture
from autorf.reporting.page import Page, rendered, today
from autorf.reporting.summary import Fact
from autorf.reporting.words import NONE, percent, plural, short


def write_check_page(checked: ModelCheck, path: Path, *, force: bool = False) -> None:
    """Write the page of a check.

    Raises:
        InputError: when the file exists, unless ``force``, or cannot be written.
    """
    check_output(path, "--output", replace=force)
    try:
        write_atomically(path, check_page(checked))
    except OSError as error:
        raise InputError(f"--output {shown_place(str(path))}: cannot be written: {error.strerror}") from None


def check_page(checked: ModelCheck) -> str:
    """The check as one HTML document that needs no other file and no network."""
    height, width = checked.field.image_size
    source = "noise" if checked.source is None else Path(checked.source).name or checked.source
    return rendered(
        Page(
            title=f"{checked.model}: {headline(checked)}",
            study=checked.model,
            eyebrow=f"{source} at {height} x {width} · weights {checked.weights}",
            headline=headline(checked),
            recommendation=_recommendation(checked),
            sentence="" if checked.sufficient is None else _sentence(checked.sufficient.uncertainty),
            running="",
            notes=checked.notes,
            picture=None,
            facts=tuple(_facts(checked)),
            sections=tuple(_sections(checked)),
            date=today(),
        )
    )


def headline(checked: ModelCheck) -> str:
    """Whether the network sees enough, in a few words."""
    kinds = [sizes for sizes in checked.objects if not sizes.background]
    if not kinds:
        return f"The network sees {_sides(checked.field.size)} pixels"
    missed = len(checked.too_large)
    if not missed:
        return f"Every one of {plural(len(kinds), 'class')} fits into the field".replace("classs", "classes")
    return f"{missed} of {len(kinds)} classes {'does' if missed == 1 else 'do'} not fit into the field"


def _recommendation(checked: ModelCheck) -> str:
    if checked.sufficient is None:
        return ""
    target = f"Aim at {checked.sufficient.rf:g} pixels ({checked.sufficient.basis})."
    helpful = [knob for knob in (checked.advice.knobs if checked.advice else ()) if knob.best is not None]
    if not helpful or helpful[0].best is None:
        return f"{target} No knob brings the field nearer."
    best = helpful[0].best
    return f"{target} {helpful[0].axis} {_value(best.value)} comes nearest, with {_sides(best.rf)} px."


def _facts(checked: ModelCheck) -> Iterator[Fact]:
    yield Fact("Receptive field", f"{_sides(checked.field.size)} px", f"rnorm {checked.field.rnorm:.2f}", "manual")
    if checked.effective is not None:
        half, most = checked.effective.sides[0.5], checked.effective.sides[0.99]
        note = f"half within {half} px; over {plural(checked.effective.n_images, 'picture')}"
        yield Fact("Effective field, 99 %", f"{most} px", note)
    tiles = checked.tiles
    if tiles.largest is not None and tiles.memory is not None:
        yield Fact(
            "Largest tile",
            f"{tiles.largest} px",
            f"in {size_in_words(tiles.memory)}, about {size_in_words(tiles.needs or 0)}",
        )
    yield Fact("Tiles", "exact" if tiles.tiling.exact else "inexact", f"halo {_sides(tiles.tiling.halo)} px")


def _sections(checked: ModelCheck) -> Iterator[Section]:
    if checked.shown is not None:
        yield Section("picture", "One of the pictures", "Both fields around its centre, to scale.", (_chart(checked),))
    if checked.objects:
        yield Section("objects", "Sizes of the objects", _OBJECTS, (_objects(checked),))
    if len(checked.sizes) > 1:
        yield Section("sizes", "Sizes of the pictures", "As they are stored.", (_sizes(checked),))
    if checked.advice is not None:
        lead = " ".join(map(_sentence, checked.advice.warnings))
        yield Section("knobs", "What changes the field", lead, (_knobs(checked.advice.knobs),))
    yield Section("layers", "Layers that cannot matter", layers_sentence(checked), ())
    blocks = (_errors(checked),) if checked.tiles.errors else ()
    yield Section("tiles", "Tiles", tiles_sentence(checked), blocks)


_OBJECTS = (
    "Connected regions of one class; a size is the longer side of a region's box, in pixels as the network sees them. "
    "Half of a class's pixels lie in objects up to the typical size."
)


def _chart(checked: ModelCheck) -> Chart:
    boxes = [("receptive field", _sides(checked.field.size))]
    if checked.effective is not None:
        boxes += [(f"effective, {share:.0%}", str(side)) for share, side in checked.effective.sides.items()]
    data = table("The boxes", [_words("box"), "side, px"], boxes)
    caption = "What a box holds moves the output at its centre; the pointer names each object's class and side."
    return Chart("picture", caption, (View("", (check_picture(checked),)),), data)


def _words(title: str) -> Column:
    return Column(title, is_number=False)


def _objects(checked: ModelCheck) -> Table:
    sides = ("10 %, px", "50 %, px", "90 %, px", "typical, px")
    columns: list[Column | str] = [_words("class"), "pictures", "objects", *sides, _words("fits")]
    lines = []
    for sizes in checked.objects:
        misfit = checked.misfit(sizes)
        fits = NONE if sizes.background else "yes" if misfit is None else misfit.partition(", ")[2]
        quantiles = [short(side, 1) for side in sizes.quantiles.values()]
        counts = [str(sizes.pictures), str(sizes.objects)]
        lines.append((sizes.name, *counts, *quantiles, short(sizes.typical, 1), fits))
    return table("Sizes of the objects of each class", columns, lines)


def _sizes(checked: ModelCheck) -> Table:
    columns: list[Column | str] = [_words("size"), "pictures", "rnorm", "typical object, px"]
    lines = [
        (" x ".join(map(str, row.size)), str(row.pictures), f"{row.rnorm:.2f}", short(row.typical_side, 1))
        for row in checked.sizes
    ]
    return table("Sizes of the pictures", columns, lines)


def _knobs(knobs: Sequence[Knob]) -> Table:
    columns = [_words("knob"), _words("now"), _words("gives")]
    lines = []
    for knob in knobs:
        gives = ", ".join(f"{_value(each.value)}: {_sides(each.rf)} px" for each in knob.settings)
        now = NONE if knob.present is None else _value(knob.present)
        lines.append((knob.axis, now, gives))
    return table("The knobs, the one that brings the field nearest first", columns, lines)


def _errors(checked: ModelCheck) -> Table:
    columns = ["halo, px", "mean difference", "largest difference", "class changes at"]
    lines = [
        (_sides(each.halo), f"{each.mean:.2g}", f"{each.largest:.2g}", percent(each.changed))
        for each in checked.tiles.errors
    ]
    return table("Tiles against the whole picture, in standard deviations of its scores", columns, lines)


def layers_sentence(checked: ModelCheck) -> str:
    """Which layers see nothing new, in words."""
    edge = checked.border
    if edge.useless:
        others = len(edge.useless) - 3
        some = ", ".join(edge.useless[:3]) + (f" and {others} more" if others > 0 else "")
        return (
            f"{len(edge.useless)} of {plural(edge.convolutions, 'convolution')} see nothing new ({some}): every path "
            "to them has spanned the image already (Richter et al. 2021)."
        )
    if edge.widest is None:
        return f"None of {plural(edge.convolutions, 'convolution')}: no path spans the image."
    return (
        f"None of {edge.convolutions} convolutions: the widest path spans the image from {edge.widest} on, but "
        "narrower ones lead to every layer behind it."
    )


def tiles_sentence(checked: ModelCheck) -> str:
    """How to tile, in words."""
    tiles = checked.tiles
    plan = tiles.tiling
    steps = f"positions and sides in steps of {_sides(plan.multiple)} px"
    if plan.exact:
        lines = [f"Tiles with a halo of {_sides(plan.halo)} px give what the whole picture gives; {steps}."]
    else:
        lines = [f"No halo makes tiles exact: {plan.reason}. The field alone asks for {_sides(plan.halo)} px; {steps}."]
    if tiles.largest is not None and tiles.memory is not None:
        lines.append(f"The largest tile in {size_in_words(tiles.memory)} is {tiles.largest} px.")
        if tiles.holds_exact is False:
            lines.append("It is too small for the exact halo; below is what smaller ones cost.")
    if tiles.errors and tiles.tile is not None:
        lines.append(f"Measured with tiles of {_sides(tiles.tile)} px on the picture above, weights {checked.weights}.")
    if tiles.note:
        lines.append(f"Not measured: {tiles.note}.")
    return " ".join(lines)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _value(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) and len(value) == 2 else str(value).replace(" ", "")


def _sides(sides: Sequence[float]) -> str:
    height, width = (short(side, 1) for side in sides)
    return height if height == width else f"{height} x {width}"
