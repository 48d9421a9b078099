"""Which targets belong to one stage of a network."""

from collections.abc import Iterable


def stages(names: Iterable[str]) -> dict[str, list[str]]:
    """The names of layers by the stage they belong to, both in the given order.

    Names that differ only in numbers between dots are alike: ``layer4.0.conv2`` and ``layer4.1.conv2``. The last
    number in which a name differs from one alike counts blocks, and what stands before it, ``layer4``, is the stage.
    Where no other name is alike the stage is the layer's parent module.
    """
    names = list(names)
    alike: dict[tuple[str, ...], list[list[str]]] = {}
    for name in names:
        alike.setdefault(_shape(name), []).append(name.split("."))
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_stage(name.split("."), alike[_shape(name)]), []).append(name)
    return found


def _shape(name: str) -> tuple[str, ...]:
    return tuple("#" if part.isdecimal() else part for part in name.split("."))


def _stage(parts: list[str], alike: list[list[str]]) -> str:
    varying = [at for at in range(len(parts)) if len({other[at] for other in alike}) > 1]
    return ".".join(parts[: varying[-1]] if varying else parts[:-1])
