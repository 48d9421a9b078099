"""What ``autorf apply`` does."""

import json
from pathlib import Path

from torch import nn

from autorf.cli.exit_codes import DONE
from autorf.cli.models import build_model, check_format, pair, parse_size, quietly
from autorf.deployment.applying import apply as give
from autorf.deployment.patterns import read_pattern
from autorf.errors import InputError
from autorf.fields import ReceptiveField, receptive_field
from autorf.surgery import save
from autorf.surgery.dry_run import input_channels


def apply(
    pattern: str,
    model: str,
    options: list[str],
    image_size: str,
    classes: int,
    output: Path | None,
    format: str,
    *,
    force: bool,
) -> int:
    """Print the field before and after, and save the changed model where ``output`` says so."""
    check_format(format)
    size = parse_size(image_size, "--image-size")
    if output is not None and output.exists() and not force:
        raise InputError(f"--output {output}: exists already; --force overwrites what it holds")
    read = read_pattern(pattern)
    built, _ = build_model(model, options, classes)
    before = _field(built, size)
    quietly(lambda: give(built, read))
    after = _field(built, size)
    if output is not None:
        quietly(lambda: save(built, output))
    if format == "json":
        fields = {"before": before.to_dict(), "after": after.to_dict()}
        print(json.dumps({"pattern": read.model_dump(mode="json"), "model": model, **fields}, indent=2))
        return DONE
    print(f"{pattern} on {model}, {size[0]}x{size[1]}")
    if read.source is not None:
        print(f"  source           {read.source}")
    print(f"  layers           {len(read.rates)} dilated{f', {len(read.f)} regions resized' if read.f else ''}")
    print(f"  receptive field  {pair(before.size)} px before, {pair(after.size)} px after")
    print(f"  rnorm            {before.rnorm:.3f} before, {after.rnorm:.3f} after")
    if read.rf is not None:
        print(f"  pattern's field  {pair(read.rf)} px{f' in {read.model}' if read.model else ''}")
    if output is not None:
        print(f"  saved            {output}")
    return DONE


def _field(model: nn.Module, size: tuple[int, int]) -> ReceptiveField:
    measured = quietly(lambda: receptive_field(model, size, in_channels=input_channels(model)))
    assert isinstance(measured, ReceptiveField)
    return measured
