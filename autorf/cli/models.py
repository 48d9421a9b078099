"""What the commands on models do."""

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from autorf.advice import Advice, Knob, advise
from autorf.cli.exit_codes import DONE
from autorf.data.decoding import read_image
from autorf.data.normalisation import IMAGENET
from autorf.data.pairs import IMAGE_SUFFIXES
from autorf.errors import InputError, shown_place
from autorf.fields import EffectiveField, LayerField, ReceptiveField, effective_receptive_field, figure, receptive_field
from autorf.files import check_output, write_atomically
from autorf.networks import ModelSpec, build
from autorf.specification import MOST_PIXELS, parse
from autorf.study.plain_yaml import parse_yaml
from autorf.surgery.dry_run import input_channels

FORMATS = ("table", "json")
NOISE_IMAGES, MOST_IMAGES = 8, 64


@dataclass(frozen=True)
class EffectiveRequest:
    """What ``inspect --effective`` was asked for: images of the user's own or noise, and where the figure goes."""

    images: Path | None
    figure: Path | None
    force: bool
    classes: tuple[int, ...] = ()


def inspect(
    model: str,
    options: list[str],
    image_size: str,
    format: str,
    *,
    every_layer: bool,
    effective: EffectiveRequest | None,
) -> int:
    """Print the receptive field, stride and rnorm of a model and of its layers."""
    check_format(format)
    size = parse_size(image_size, "--image-size")
    if effective is not None and effective.figure is not None:
        check_output(effective.figure, "--figure", replace=effective.force)
    built, spec = build_model(model, options)
    field = quietly(lambda: receptive_field(built, size, in_channels=input_channels(built)))
    measured = None if effective is None else quietly(lambda: _effective(built, size, effective))
    if measured is not None and effective is not None and effective.figure is not None:
        _draw(measured, effective, _source(measured, effective, spec), field.size)
    if format == "json":
        # The model's own name: the class says less than what was asked for.
        more = {} if measured is None else {"effective": measured.to_dict()}
        print(json.dumps({**field.to_dict(), "model": model, **more}, indent=2))
    else:
        _print_field(model, field, every_layer=every_layer)
        if measured is not None and effective is not None:
            _print_effective(measured, effective, _source(measured, effective, spec))
    return DONE


def suggest(
    model: str, options: list[str], image_size: str, object_size: float | None, rnorm: float | None, format: str
) -> int:
    """Print which dilations or inflation factors to search for a model and image size."""
    check_format(format)
    size = parse_size(image_size, "--image-size")
    if (object_size is None) == (rnorm is None):
        raise InputError("give --object-size (pixels) or --rnorm (receptive field over image side), one of the two")
    built, spec = build_model(model, options)
    channels = input_channels(built)
    advice = quietly(lambda: advise(built, size, object_size=object_size, rnorm=rnorm, in_channels=channels, spec=spec))
    if format == "json":
        print(json.dumps({**advice.to_dict(), "model": model}, indent=2))
    else:
        _print_advice(model, advice)
    return DONE


def check_format(format: str) -> None:
    """Raise ``InputError`` for an output format there is not."""
    if format not in FORMATS:
        raise InputError(f"--format {format}: one of {', '.join(FORMATS)}")


def _effective(model: nn.Module, size: tuple[int, int], request: EffectiveRequest) -> EffectiveField:
    images = _images(request.images, size, input_channels(model))
    return effective_receptive_field(model, images, classes=request.classes)


def _draw(field: EffectiveField, request: EffectiveRequest, source: str, rf: tuple[float, float]) -> None:
    names = [f"class {index}" for index in request.classes]
    drawn = figure(field, names, title=f"Effective receptive field of {source}", rf=rf)
    assert request.figure is not None
    write_atomically(request.figure, drawn.to_html(include_plotlyjs=True, config={"displaylogo": False}))


def _source(field: EffectiveField, request: EffectiveRequest, spec: ModelSpec) -> str:
    weights = "published" if spec.pretrained else "random"
    return f"{spec.name} with {weights} weights, averaged over {field.n_images} images of {request.images or 'noise'}"


def parse_classes(text: str | None) -> tuple[int, ...]:
    """``0,3`` as ``(0, 3)``.

    Raises:
        InputError: for anything else.
    """
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise InputError(f"--per-class {shown_place(text)}: class indices separated by commas, such as 0,3")
    return tuple(int(part) for part in parts)


def _images(folder: Path | None, size: tuple[int, int], channels: int) -> list[Tensor]:
    if folder is None:
        torch.manual_seed(0)
        return [torch.randn(1, channels, *size) for _ in range(NOISE_IMAGES)]
    if not folder.is_dir():
        raise InputError(f"--images {folder}: no such folder; give a folder of pictures")
    if channels != 3:
        raise InputError(f"--images {folder}: pictures have 3 channels, the model {channels}; leave it out for noise")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)[:MOST_IMAGES]
    if not files:
        raise InputError(f"--images {folder}: holds no pictures ({', '.join(IMAGE_SUFFIXES)})")
    return [IMAGENET(read_image(file, size)[None]) for file in files]


def build_model(name: str, options: list[str], classes: int = 21) -> tuple[nn.Module, ModelSpec]:
    """The model of a name and ``key=value`` options, without pretrained weights unless asked for."""
    spec = model_spec(name, options)
    torch.manual_seed(0)  # random weights, but the same ones each time
    model = quietly(lambda: build(spec, classes).eval())
    assert isinstance(model, nn.Module)
    return model, spec


def model_spec(name: str, options: list[str]) -> ModelSpec:
    """What a name and ``key=value`` options ask for.

    Raises:
        InputError: for an option that is none of a model's.
    """
    values: dict[str, Any] = {"name": name}
    for option in options:
        key, separator, text = option.partition("=")
        if not separator:
            raise InputError(f"--set {option}: expected KEY=VALUE, such as output_stride=8")
        value, (holder, dot, name) = parse_yaml(text, f"--set {key}"), key.partition(".")
        if dot and holder == "args" and isinstance(given := values.get(holder, {}), dict):
            values[holder] = {**given, name: value}
        else:
            values[key] = value
    return parse(ModelSpec, values, "MODEL")


def parse_size(text: str, option: str) -> tuple[int, int]:
    """``512`` or ``480x640`` (height x width) as ``(height, width)``.

    Raises:
        InputError: for anything else.
    """
    sides = text.lower().split("x")
    # Nine digits are too many pixels already; of thousands Python makes no number.
    if len(sides) not in (1, 2) or not all(side.isdecimal() and len(side) < 10 and int(side) > 0 for side in sides):
        raise InputError(f"{option} {shown_place(text)}: one side or HEIGHTxWIDTH in pixels, such as 512 or 480x640")
    height, width = int(sides[0]), int(sides[-1])
    if height * width > MOST_PIXELS:
        raise InputError(f"{option} {text}: at most {MOST_PIXELS} pixels (height x width)")
    return height, width


def quietly(action: Callable[[], Any]) -> Any:
    """The result of ``action``, without the warnings of other libraries."""
    # Model libraries warn about their own constructors; a user of this command cannot act on that.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return action()


def _print_field(model: str, field: ReceptiveField, *, every_layer: bool) -> None:
    console = Console()
    height, width = field.image_size
    context = "yes: pooling or attention over the whole map, left out above" if field.global_context else "no"
    lines = [
        f"{model} on {height}x{width}",
        f"  receptive field  {pair(field.size)} px{'' if all(field.exact) else ' or more'}",
        f"  stride           {pair(field.stride)} px",
        f"  rnorm            {field.rnorm:.3f}",
        f"  global context   {context}",
        f"  parameters       {field.parameters:,}",
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
    if field.note:
        console.print(f"  note             {field.note}", highlight=False, soft_wrap=True)
    for output in field.outputs:
        place = f"{pair(output.size)} px, stride {pair(output.stride)}, map {pair(output.shape[2:])}"
        console.print(f"  output {output.name:<9} receptive field {place}", highlight=False, soft_wrap=True)
    shown = field.layers if every_layer else _widening(field.layers)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("layer", "kind", "rf", "stride", "map"):
        table.add_column(column, justify="left" if column in ("layer", "kind") else "right", no_wrap=True)
    for layer in shown:
        table.add_row(layer.name, layer.kind, pair(layer.size), pair(layer.stride), pair(layer.shape[2:]))
    console.print(table)
    if not every_layer and len(shown) < len(field.layers):
        console.print(
            f"{len(field.layers) - len(shown)} layers that widen nothing are not shown: --layers", highlight=False
        )


_PREDICTS = (
    "  this is where the network looks now, not how far it can learn to look: in a test of that, 8 of 9 small\n"
    "  networks learned to see 0.7 to 1 of the theoretical field, 1.6 to 17.5 times what held 50% of the energy"
)
"""What was measured of it: ``benchmarks/two_symbols.py``."""


def _print_effective(field: EffectiveField, request: EffectiveRequest, source: str) -> None:
    print(f"effective receptive field of the centre of {source}")
    for energy, width in field.sides.items():
        print(f"  {energy:>4.0%} of the gradient's energy within {width} px ({field.areas[energy]:.1%} of the image)")
    for index, of_class in zip(request.classes, field.per_class, strict=True):
        areas = ", ".join(f"{energy:.0%} within {width} px" for energy, width in of_class.sides.items())
        print(f"  class {index}: {areas}")
    print(_PREDICTS)
    if request.figure is not None:
        print(f"  figure: {request.figure}")


def _print_advice(model: str, advice: Advice) -> None:
    current = advice.current
    height, width = current.image_size
    lines = [
        f"{model} on {height}x{width}: receptive field {pair(current.size)} px, rnorm {current.rnorm:.2f}",
        f"  wanted           {advice.target_rf:g} px, rnorm {advice.target_rnorm:.2f}",
    ]
    if advice.layers:
        gives = "none gives it; with" if advice.dilation is None else f"{advice.dilation:.2g} gives it; search"
        lines.append(f"  adjust           {_adjusted(advice.layers)}")
        lines.append(f"  dilation         {gives}:")
    for option in advice.options:
        lines.append(f"    {option.dilation:>4}           rf {pair(option.rf)} px, rnorm {option.rnorm:.2f}")
    if advice.inflation is not None:
        lines.append(f"  inflation        f from {advice.inflation[0]:g} to {advice.inflation[1]:g}")
    lines += knob_lines(advice.knobs)
    if advice.upsampling > 1:
        lines.append(f"  up-sampling      x{advice.upsampling} before {advice.layers[0]}")
    tiles = advice.tiling
    larger = any(tile > image for tile, image in zip(tiles.tile, current.image_size, strict=True))
    lines.append(
        f"  tiled inference  {'of larger images: ' if larger else ''}tiles of {pair(tiles.tile)} px, "
        f"halo {pair(tiles.halo)} px, positions in steps of {pair(tiles.multiple)} px"
    )
    lines += [f"  warning          {warning}" for warning in advice.warnings]
    print("\n".join(lines))


def _adjusted(layers: tuple[str, ...]) -> str:
    return layers[0] if len(layers) == 1 else f"{len(layers)} layers, {layers[0]} .. {layers[-1]}"


def knob_lines(knobs: Sequence[Knob]) -> list[str]:
    """A line for every knob that brings the field nearer to the wanted one, the best of them first."""
    helpful = [knob for knob in knobs if knob.best is not None]
    if not helpful:
        return ["  knobs            none brings the field nearer"]
    lines = ["  knobs            by how near they bring the field:"]
    for knob in helpful:
        values = ", ".join(f"{_value(each.value)}: {pair(each.rf)} px" for each in knob.settings)
        now = "" if knob.present is None else f" ({_value(knob.present)} now)"
        lines.append(f"    {knob.axis}{now}  {values}")
    return lines


def _value(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) and len(value) == 2 else str(value).replace(" ", "")


def _widening(layers: tuple[LayerField, ...]) -> list[LayerField]:
    """The layers at which the field becomes larger than anywhere before."""
    kept: list[LayerField] = []
    largest = 0.0
    for layer in layers:
        if layer.size is not None and max(layer.size) > largest:
            largest = max(layer.size)
            kept.append(layer)
    return kept


def pair(sides: tuple[float, ...] | None) -> str:
    """``512`` or ``480x640`` for a height and width; ``global`` for None."""
    if not sides or len(sides) != 2:
        return "global" if sides is None else ""
    height, width = (f"{round(side, 1):g}" for side in sides)
    return height if height == width else f"{height}x{width}"
