"""Where in a network methods without targets of their own work."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autorf.specification import Specification


class Place(Specification):
    """What methods without ``targets`` of their own change in one network.

    Attributes:
        network: the keys of ``model`` that make the network, those that are left at their defaults left out.
        targets: names of the layers; empty for none.
        region: names of the first and last module of the region that ``inflation`` resizes; None for none.
    """

    network: dict[str, Any]
    targets: tuple[str, ...] = ()
    region: tuple[str, str] | None = None


def place_of(network: Mapping[str, Any], places: Sequence[Place]) -> Place | None:
    """The place in ``network``, else that in the most similar one of its name; None where there are none.

    Networks that are drawn from a range are not listed one by one: they have the place of its nearest end.
    """
    own = dict(_leaves(network))
    namesakes = [place for place in places if place.network.get("name") == network.get("name")]

    def likeness(place: Place) -> int:
        other = dict(_leaves(place.network))
        return sum(1 if own.get(key) == other.get(key) else -1 for key in own.keys() | other.keys())

    exact = next((place for place in namesakes if place.network == network), None)
    return exact or max(namesakes, key=likeness, default=None)


def _leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
