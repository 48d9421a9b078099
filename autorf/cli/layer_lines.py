"""Which layers each method of a study works on, in lines."""

from collections.abc import Iterable, Iterator, Sequence

_MOST = 8
"""Layers of a line; of more, the first and last."""


def layer_lines(networks: Iterable[tuple[str, Sequence[str]]]) -> Iterator[str]:
    """A line for each method and its layers, those of several configurations once.

    Args:
        networks: methods by name, each with what it works on in a network; nothing where it changes none.

    >>> list(layer_lines([("dilation", ["conv6"]), ("dilation", ["conv6"]), ("baseline", [])]))
    ['Layers of dilation: conv6']
    """
    for method, layers in dict.fromkeys((method, tuple(layers)) for method, layers in networks):
        if layers:
            yield f"Layers of {method}: {_shortened(layers)}"


def _shortened(layers: Sequence[str]) -> str:
    if len(layers) <= _MOST:
        return ", ".join(layers)
    return f"{', '.join(layers[: _MOST - 1])} to {layers[-1]} ({len(layers)} in all)"
