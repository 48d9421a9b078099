"""Where methods without targets work in a network that says nothing of itself."""

from collections.abc import Iterator, Sequence

from torch import nn

from autorf.advice.adjustable import adjustable_layers
from autorf.errors import InputError
from autorf.fields.field import ReceptiveField, receptive_field
from autorf.methods import Inflation
from autorf.networks.place import Place
from autorf.networks.spec import ModelSpec
from autorf.surgery.dry_run import input_channels
from autorf.surgery.region import check_region

MOST_REGIONS = 48
"""How many pairs of modules are tried; each takes two passes of a small image."""


def advised_place(model: nn.Module, spec: ModelSpec, image_size: tuple[int, int], *, region: bool = False) -> Place:
    """The layers that :func:`autorf.advise` names in a network, and with ``region`` the region around most of them.

    Args:
        model: as ``spec`` builds it, not adapted.
        spec: of the model.
        image_size: ``(height, width)`` in pixels, which the model takes.
        region: whether to look for a region too; there may be none.

    Raises:
        InputError: where no layer's dilation is a knob.
    """
    field = receptive_field(model, image_size, in_channels=input_channels(model))
    layers = tuple(adjustable_layers(model, field, None))
    return Place(network=spec.network, targets=layers, region=region_around(model, layers, field) if region else None)


def region_around(model: nn.Module, layers: Sequence[str], field: ReceptiveField) -> tuple[str, str] | None:
    """The first and last module of a region that ``inflation`` can resize, around as many of ``layers`` as it can.

    Its modules work at one stride, so that it is a part of the network and not the network. None where every pair of
    modules that was tried has a second entry or exit, or changes the map's size.
    """
    for tried, (start, end) in enumerate(_candidates(layers)):
        if tried == MOST_REGIONS:
            return None
        if len(_strides_inside((start, end), field)) > 1:
            continue
        try:
            check_region(model, Inflation(start=start, end=end), (start, end))
        except InputError:
            continue
        return start, end
    return None


def _strides_inside(names: Sequence[str], field: ReceptiveField) -> set[tuple[float, float]]:
    """The strides of the maps that modules of these names make, or those inside them."""
    inside = (row for row in field.layers if any(f"{row.name}.".startswith(f"{name}.") for name in names))
    return {row.stride for row in inside if row.stride}


def _candidates(layers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of modules around runs of the layers, long runs first, later ones before earlier; each pair once."""
    seen: set[tuple[str, str]] = set()
    for length in range(len(layers), 0, -1):
        for first in range(len(layers) - length, -1, -1):
            for pair in _around(layers[first], layers[first + length - 1]):
                if pair not in seen:
                    seen.add(pair)
                    yield pair


def _around(first: str, last: str) -> Iterator[tuple[str, str]]:
    """The two layers themselves, and the modules that hold them, as deep as each other and below what holds both."""
    ours, theirs = first.split("."), last.split(".")
    shared = next((at for at, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), len(ours))
    yield first, last
    for depth in range(min(len(ours), len(theirs)) - 1, shared, -1):
        yield ".".join(ours[:depth]), ".".join(theirs[:depth])
    if 0 < shared < len(ours):
        whole = ".".join(ours[:shared])
        yield whole, whole
