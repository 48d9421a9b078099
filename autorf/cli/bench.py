"""``autorf bench``: how many images a second a network segments, and what it takes."""

import json
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from autorf.cli.exit_codes import DONE
from autorf.cli.models import build_model, check_format, parse_size
from autorf.errors import InputError, shown_place
from autorf.running.bench import Bench, Speed
from autorf.running.bench import bench as measure
from autorf.study.plain_yaml import parse_yaml
from autorf.study.search_space import split
from autorf.surgery import adapt

DEVICES = ("cpu", "cuda")


def bench(
    model: str,
    options: list[str],
    image_size: str,
    method: str | None,
    device: str | None,
    threads: int | None,
    repeats: int,
    format: str,
) -> int:
    """Print frames per second, latency and memory of a model, one image at a time."""
    check_format(format)
    size = parse_size(image_size, "--image-size")
    if device is not None and device not in DEVICES:
        raise InputError(f"--device {device}: one of {', '.join(DEVICES)}")
    built, _ = build_model(model, options)
    if method is not None:
        chosen, settings = split(_values(method), "--method")
        if settings:
            raise InputError(
                f"--method: {next(iter(settings))}: is no field of a method; options of the model are --set"
            )
        adapt(built, chosen)
    devices = None if device is None else [device]
    measured = measure(built.eval(), size, devices=devices, threads=threads, repeats=repeats)
    if format == "json":
        print(json.dumps({"model": model, "method": method, **measured.to_dict()}, indent=2))
    else:
        _print(model, method, measured)
    return DONE


def _values(text: str) -> dict[str, Any]:
    """``dilation rate=4`` or ``{method: dilation, rate: 4}`` as a configuration."""
    values = parse_yaml(text, "--method")
    if isinstance(values, str):
        name, *fields = values.split() or [""]
        pairs = [field.partition("=") for field in fields]
        values = {"method": name, **{key: parse_yaml(value, f"--method {key}") for key, _, value in pairs}}
    if not isinstance(values, dict):
        raise InputError(f"--method {shown_place(text)}: a method and its fields, such as 'dilation rate=4'")
    return values


def _print(model: str, method: str | None, measured: Bench) -> None:
    height, width = measured.image_size
    console = Console()
    adapted = "" if method is None else f" with {method}"
    console.print(
        f"{model}{adapted} on 1 x {height} x {width}: {measured.parameters:,} parameters, "
        f"{measured.flops / 1e9:.4g} GFLOPs",
        highlight=False,
        soft_wrap=True,
    )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("device", "frames/s", "latency, ms", "10 to 90 %", "peak memory, MB", "runs"):
        table.add_column(column, justify="left" if column == "device" else "right", no_wrap=True)
    for speed in measured.devices:
        table.add_row(*_cells(speed))
    console.print(table)


def _cells(speed: Speed) -> tuple[str, ...]:
    threads = "" if speed.threads is None else f", {speed.threads} thread{'s' * (speed.threads != 1)}"
    spread = f"{speed.latency_low_ms:.4g} to {speed.latency_high_ms:.4g}"
    return (
        f"{speed.device}{threads}",
        f"{speed.frames_per_second:.4g}",
        f"{speed.latency_ms:.4g}",
        spread,
        f"{speed.peak_memory_mb:.0f}",
        str(speed.runs),
    )
