"""What the commands on models do."""

import json
import warnings
from collections.abc import Callable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from torch import nn

from autorf.cli.exit_codes import DONE
from autorf.errors import InputError
from autorf.networks import ModelSpec, build
from autorf.receptive_field import LayerField, ReceptiveField, receptive_field
from autorf.specification import parse

FORMATS = ("table", "json")


def inspect(model: str, options: list[str], image_size: str, format: str, *, every_layer: bool) -> int:
    """Print the receptive field, stride and rnorm of a model and of its layers."""
    if format not in FORMATS:
        raise InputError(f"--format {format}: one of {', '.join(FORMATS)}")
    size = parse_size(image_size, "--image-size")
    found = _quietly(lambda: receptive_field(build_model(model, options), size))
    if format == "json":
        # The model's own name: the class says less than what was asked for.
        print(json.dumps({**found.to_dict(), "model": model}, indent=2))
    else:
        _print_field(model, found, every_layer=every_layer)
    return DONE


def build_model(name: str, options: list[str]) -> nn.Module:
    """The model of a name and ``key=value`` options, without pretrained weights unless asked for."""
    import yaml

    values: dict[str, Any] = {"name": name}
    for option in options:
        key, separator, text = option.partition("=")
        if not separator:
            raise InputError(f"--set {option}: expected KEY=VALUE, such as output_stride=8")
        values[key] = yaml.safe_load(text)
    spec = parse(ModelSpec, values, "MODEL")
    return _quietly(lambda: build(spec).eval())


def parse_size(text: str, option: str) -> tuple[int, int]:
    """``512`` or ``480x640`` (height x width) as ``(height, width)``.

    Raises:
        InputError: for anything else.
    """
    sides = text.lower().split("x")
    if len(sides) not in (1, 2) or not all(side.isdigit() and int(side) > 0 for side in sides):
        raise InputError(f"{option} {text}: one side or HEIGHTxWIDTH in pixels, such as 512 or 480x640")
    return int(sides[0]), int(sides[-1])


def _quietly(action: Callable[[], Any]) -> Any:
    # Model libraries warn about their own constructors; a user of this command cannot act on that.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return action()


def _print_field(model: str, found: ReceptiveField, *, every_layer: bool) -> None:
    console = Console()
    height, width = found.image_size
    context = "yes: pooling or attention over the whole map, left out above" if found.global_context else "no"
    lines = [
        f"{model} on {height}x{width}",
        f"  receptive field  {_pair(found.size)} px{'' if all(found.exact) else ' or more'}",
        f"  stride           {_pair(found.stride)} px",
        f"  rnorm            {found.rnorm:.3f}",
        f"  global context   {context}",
        f"  parameters       {found.parameters:,}",
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
    if found.note:
        console.print(f"  note             {found.note}", highlight=False, soft_wrap=True)
    shown = found.layers if every_layer else _widening(found.layers)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("layer", "kind", "rf", "stride", "map"):
        table.add_column(column, justify="left" if column in ("layer", "kind") else "right", no_wrap=True)
    for layer in shown:
        table.add_row(layer.name, layer.kind, _pair(layer.size), _pair(layer.stride), _pair(layer.shape[2:]))
    console.print(table)
    if not every_layer and len(shown) < len(found.layers):
        console.print(
            f"{len(found.layers) - len(shown)} layers that widen nothing are not shown: --layers", highlight=False
        )


def _widening(layers: tuple[LayerField, ...]) -> list[LayerField]:
    """The layers at which the field becomes larger than anywhere before."""
    kept: list[LayerField] = []
    largest = 0.0
    for layer in layers:
        if layer.size is not None and max(layer.size) > largest:
            largest = max(layer.size)
            kept.append(layer)
    return kept


def _pair(sides: tuple[float, ...] | None) -> str:
    if not sides or len(sides) != 2:
        return "global" if sides is None else ""
    height, width = (f"{round(side, 1):g}" for side in sides)
    return height if height == width else f"{height}x{width}"
