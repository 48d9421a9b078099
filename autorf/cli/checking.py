"""``autorf check``: whether a network sees enough of its pictures, and how to tile them, before any training."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from autorf.advice.checking import check as checked_model
from autorf.advice.model_check import ModelCheck
from autorf.advice.samples import Samples, SetSamples
from autorf.cli.exit_codes import DONE
from autorf.cli.models import check_format, knob_lines, model_spec, pair, parse_size, quietly
from autorf.errors import InputError
from autorf.files import check_output, size_in_words
from autorf.own_code.importing import importable
from autorf.tasks import CLASSIFICATION


@dataclass(frozen=True)
class Options:
    """What the command was asked for beside the model."""

    images: Path | None
    masks: Path | None
    study: str | None
    image_size: str | None
    memory: str | None
    output: Path | None
    force: bool


def check(model: str, settings: list[str], options: Options, format: str) -> int:
    """Print what a network sees of its pictures, what changes it, and how to tile."""
    check_format(format)
    if options.output is not None:
        check_output(options.output, "--output", replace=options.force)
    size = None if options.image_size is None else parse_size(options.image_size, "--image-size")
    of_data = [setting for setting in settings if options.study is not None and setting.startswith("data.")]
    samples, of_study = _study_samples(options, of_data)
    spec = model_spec(model, [setting for setting in settings if setting not in of_data])
    result = quietly(
        lambda: checked_model(spec, options.images, options.masks, size or of_study, options.memory, samples=samples)
    )
    if options.output is not None:
        from autorf.reporting.check_page import write_check_page

        write_check_page(result, options.output, force=options.force)
    if format == "json":
        print(json.dumps(result.to_dict(), indent=2))
    else:
        _print(result, options.output)
    return DONE


def _study_samples(options: Options, settings: list[str]) -> tuple[Samples | None, tuple[int, int] | None]:
    """The training pictures of a study, read with ``settings`` of its data, and the size that it trains at."""
    if options.study is None:
        return None, None
    if options.images is not None or options.masks is not None:
        raise InputError("--study: gives pictures and masks itself; leave --images and --masks out")
    from autorf.cli.studies import read_study
    from autorf.data import load

    spec, source = read_study(options.study, settings)
    if spec.task == CLASSIFICATION.name:
        raise InputError(
            f"--study {options.study}: classifies whole pictures, in which no objects are marked; leave --study out, "
            "and give --images and --masks that mark them, or --image-size alone"
        )
    with importable(spec.code):
        splits = load(spec.data)
    samples = SetSamples(splits.train, splits.class_names, f"the training split of {source}")
    return samples, splits.image_size


def _print(result: ModelCheck, output: Path | None) -> None:
    from autorf.reporting.check_page import layers_sentence

    console = Console()
    height, width = result.field.image_size
    pictures = (
        "noise" if result.source is None else f"{sum(row.pictures for row in result.sizes)} pictures of {result.source}"
    )
    lines = [f"{result.model} on {height}x{width}, {pictures}; weights {result.weights}", *_field_lines(result)]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
    if result.objects:
        console.print("  objects          the longer side of their boxes in pixels, after resizing:", highlight=False)
        console.print(_objects(result))
    if len(result.sizes) > 1:
        console.print("  pictures         of several sizes:")
        console.print(_sizes(result))
    rest = [f"  does not fit     {line}" for line in result.too_large]
    rest += _advice_lines(result)
    rest.append(f"  layers           {layers_sentence(result)}")
    rest += _tile_lines(result)
    rest += [f"  note             {note}" for note in result.notes]
    rest += [] if output is None else [f"  page             {output}"]
    console.print("\n".join(rest), highlight=False, soft_wrap=True)


def _field_lines(result: ModelCheck) -> list[str]:
    field = result.field
    more = "" if all(field.exact) else " or more"
    context = ", and global paths" if field.global_context else ""
    lines = [f"  receptive field  {pair(field.size)} px{more}{context}, rnorm {field.rnorm:.2f}"]
    if result.effective is not None:
        half, most = result.effective.sides[0.5], result.effective.sides[0.99]
        lines.append(f"  effective field  half of the gradient within {half} px, 99 % within {most} px")
    return lines


def _objects(result: ModelCheck) -> Table:
    table = _table("class", "objects", "10 %", "50 %", "90 %", "typical", "fits")
    for sizes in result.objects:
        fits = "" if sizes.background else "yes" if result.misfit(sizes) is None else "no"
        quantiles = [f"{side:g}" for side in sizes.quantiles.values()]
        table.add_row(sizes.name, str(sizes.objects), *quantiles, f"{sizes.typical:g}", fits)
    return table


def _sizes(result: ModelCheck) -> Table:
    table = _table("size", "pictures", "rnorm", "typical object")
    for row in result.sizes:
        typical = "" if row.typical_side is None else f"{row.typical_side:g}"
        table.add_row(f"{row.size[0]}x{row.size[1]}", str(row.pictures), f"{row.rnorm:.2f}", typical)
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True)
    for column in others:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _advice_lines(result: ModelCheck) -> list[str]:
    if result.sufficient is None:
        return []
    sufficient = result.sufficient
    lines = [
        f"  advised field    {sufficient.rf:g} px, rnorm {sufficient.rnorm:.2f}: {sufficient.basis}",
        f"                   {sufficient.uncertainty}",
    ]
    if result.advice is not None:
        lines += knob_lines(result.advice.knobs)
        lines += [f"  warning          {warning}" for warning in result.advice.warnings if "tiled" not in warning]
    return lines


def _tile_lines(result: ModelCheck) -> list[str]:
    tiles, plan = result.tiles, result.tiles.tiling
    exact = "exact" if plan.exact else f"not exact with any halo: {plan.reason}"
    lines = [f"  tiles            halo {pair(plan.halo)} px, positions in steps of {pair(plan.multiple)} px; {exact}"]
    if tiles.largest is not None and tiles.memory is not None and tiles.needs is not None:
        measured = tiles.measurements
        sides = (
            "" if measured is None else f", measured at {' and '.join(str(side) for side, _ in measured.measured)} px"
        )
        room = "" if tiles.holds_exact is not False else "; too small for the exact halo"
        lines.append(
            f"    in {size_in_words(tiles.memory)}: tiles of up to {tiles.largest}x{tiles.largest} px, about "
            f"{size_in_words(tiles.needs)}{sides}{room}"
        )
    if tiles.errors and tiles.tile is not None:
        lines.append(f"    tiles of {pair(tiles.tile)} px against the whole picture, in deviations of its scores:")
    for each in tiles.errors:
        lines.append(
            f"    halo {pair(each.halo):>5}: mean {each.mean:.2g}, largest {each.largest:.2g}, another class at "
            f"{each.changed:.1%} of the pixels"
        )
    return lines + ([] if tiles.note is None else [f"    not measured: {tiles.note}"])
