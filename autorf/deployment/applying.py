"""Give a model the field of a pattern."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autorf.deployment.patterns import Pattern, fitted, read_pattern
from autorf.errors import InputError
from autorf.methods import Dilation, Inflation
from autorf.methods.inflation import InflationRegion
from autorf.ops._arguments import check_module
from autorf.surgery import adapt
from autorf.surgery.adaptation import adaptive_modules
from autorf.surgery.freezing import exchange, record_frozen
from autorf.surgery.swap import region_at
from autorf.surgery.wrappers import submodule, unwrapped


def apply(model: nn.Module, pattern: Pattern | Mapping[str, Any] | str | Path) -> nn.Module:
    """Give ``model`` the dilations and the resized regions of a pattern, in place, and return it.

    Nothing is left to learn: layers are plain ones, regions have a constant factor. Weights stay as they are.

    Args:
        model: any module; names of layers may stand inside other modules than those of the pattern, see
            :func:`autorf.deployment.patterns.fitted`.
        pattern: a file that ``autorf retrain`` or ``Pattern.save`` wrote, its values, or the name of a published one.

    Raises:
        InputError: for a pattern that is not there or does not fit, naming the layers; the model is then untouched.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 2, 3, padding=1))
        >>> model = autorf.apply(model, {"autorf_pattern": 1, "rates": {"net.1": [4, 4]}})
        >>> model[1].dilation
        (4, 4)
    """
    check_module("apply", model)
    own = fitted(read_pattern(pattern), model)
    regions = {title: _region(title, pair) for title, pair in own.f.items()}
    adapt(model, *_dilations(own), *regions.values())
    inside = unwrapped(model)
    _fix(inside, {str(regions[title].start): pair for title, pair in own.f.items()})
    return model


def _dilations(pattern: Pattern) -> list[Dilation]:
    """One for each rate, on the layers that have it."""
    layers: dict[int, list[str]] = {}
    for name, (height, width) in pattern.rates.items():
        if height != width:
            raise InputError(f"the pattern's {name!r} has rates {height} and {width}; a layer takes one for both axes")
        layers.setdefault(height, []).append(name)
    return [Dilation(targets=names, rate=rate) for rate, names in layers.items()]


def _region(title: str, pair: tuple[float, float]) -> Inflation:
    start, _, end = title.partition(" to ")
    low, high = min(pair), max(pair)
    return Inflation(start=start, end=end, factor=low, low=low, high=high, per_axis=low != high)


def _fix(model: nn.Module, factors: Mapping[str, tuple[float, float]]) -> None:
    """Freeze the regions that begin at these modules, at these factors."""
    pairs = {id(region_at(submodule(model, start))): pair for start, pair in factors.items()}
    plain: dict[str, nn.Module] = {}
    for name, module in adaptive_modules(model).items():
        if not isinstance(module, InflationRegion) or (pair := pairs.get(id(module))) is None:
            continue
        with torch.no_grad():
            module.factor.copy_(torch.tensor(pair[-module.factor.numel() :]))
        frozen = module.frozen()
        assert frozen is not None, "an inflation has a plain form"
        plain[name] = frozen.train(module.training)
    exchange(model, plain)
    if plain:
        record_frozen(model, plain)
