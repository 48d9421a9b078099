"""Where the methods of a study work that name no targets: asked of ``suggest`` once for every network."""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from torch import nn

from autorf.data import channels_of
from autorf.errors import InputError
from autorf.methods import method_class
from autorf.networks.place import Place
from autorf.networks.spec import ModelSpec
from autorf.study.search_space import Axis, Space
from autorf.study.settings import with_settings
from autorf.study.spec import StudySpec

MOST_NETWORKS = 64
"""Of a search space: each is built and measured once."""


def with_places(spec: StudySpec, spaces: Sequence[Space], classes: Sequence[str], source: str) -> StudySpec:
    """The study with a place for every network of its spaces that offers none, those it has kept as they are.

    Args:
        spec: the study, with the places of its beginning.
        spaces: of the study.
        classes: names of the data's.
        source: for messages.

    Raises:
        InputError: where no layer of a network is a knob, no region can be resized, or there are too many networks.
    """
    unplaced = [space for space in spaces if lacks_place(space)]
    region = any(method_class(space.method).scope == "region" for space in unplaced)
    places = list(spec.model.places or ())
    asked: list[dict[str, Any]] = []
    for own in _specs(spec, unplaced, source):
        network = own.model.network
        stored = next((place for place in places if place.network == network), None)
        if network in asked or (stored is not None and (stored.region or not region)):
            continue
        asked.append(network)
        place = _asked(own, classes, source, region=region)
        if place is not None and stored is None:
            places.append(place)
        elif place is not None and stored is not None:
            # The study has named its layers long ago; only the region is new to it.
            places[places.index(stored)] = stored.model_copy(update={"region": place.region})
    return placed(spec, places)


def placed(spec: StudySpec, places: Sequence[Place]) -> StudySpec:
    """The study with these places; without any it stays as it is."""
    if not places:
        return spec
    return spec.model_copy(update={"model": spec.model.model_copy(update={"places": tuple(places)})})


def lacks_place(space: Space) -> bool:
    """Whether a space leaves it to the network where its method works."""
    kind = method_class(space.method)
    return kind.scope is not None and not kind.place & space.axes.keys()


def _specs(spec: StudySpec, spaces: Sequence[Space], source: str) -> Iterator[StudySpec]:
    """The study as it is, and with every network that the spaces make of it."""
    if spaces:
        yield spec
    for space in spaces:
        axes = [axis for name, axis in space.axes.items() if name.startswith("model.")]
        values = [_values(axis) for axis in axes]
        if (count := math.prod(map(len, values))) > MOST_NETWORKS:
            raise InputError(
                f"{source}: {space.method}: {count} networks without targets, each of which would be measured first "
                f"(at most {MOST_NETWORKS}); give the method its targets, or list fewer networks"
            )
        for chosen in product(*values) if axes else ():
            yield with_settings(spec, dict(zip((axis.name for axis in axes), chosen, strict=True)), space.source)


def _values(axis: Axis) -> Sequence[Any]:
    """The values of an axis; of a range of real numbers its ends, between which the layers' names are the same."""
    if axis.range is not None and axis.whole:
        return range(int(axis.range.low), int(axis.range.high) + 1)
    return axis.ends()


def _asked(spec: StudySpec, classes: Sequence[str], source: str, *, region: bool) -> Place | None:
    """What ``suggest`` names in the network of ``spec``; None where it offers all that is needed itself."""
    from autorf.advice.places import advised_place
    from autorf.networks import build

    plain: ModelSpec = spec.model.model_copy(
        update={"places": None, "pretrained": False, "weights": None, "encoder_weights": None}
    )
    model: nn.Module = build(plain, classes, channels_of(spec.data))
    wanted = ("receptive_field_layers", *(("receptive_field_regions",) if region else ()))
    if all(hasattr(model, name) for name in wanted):
        return None
    try:
        place = advised_place(model, plain, spec.data.image_size, region=region)
    except InputError as error:
        raise InputError(
            f"{source}: {spec.model.name}: no targets are named, and none suggest themselves: {error}"
        ) from None
    if region and place.region is None and not hasattr(model, "receptive_field_regions"):
        raise InputError(
            f"{source}: inflation: no region of {spec.model.name} with one entry and one exit was found around "
            f"{place.targets[0]!r}; name its start and end, or leave inflation out"
        )
    return place
