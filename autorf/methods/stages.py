"""Which targets belong to one stage of a network."""

from collections.abc import Iterable


def stages(names: Iterable[str]) -> dict[str, list[str]]:
    """The names of layers by the stage they belong to, both in the given order.

    ``layer4.0.conv2`` and ``layer4.1.conv1`` are of one stage, ``layer4``: what stands before the last number that
    counts blocks, which is one in whose place another name with the same beginning has another number. Where there is
    none the stage is the layer's parent module.
    """
    split = [name.split(".") for name in names]
    by_stage: dict[str, list[str]] = {}
    for parts in split:
        by_stage.setdefault(_stage(parts, split), []).append(".".join(parts))
    return by_stage


def block_of(name: str, names: Iterable[str]) -> str:
    """The block of its stage that a layer of ``names`` lies in: ``layer4.0`` of ``layer4.0.conv2``.

    Where nothing counts blocks it is the layer's parent module, empty for the model itself.
    """
    split = [other.split(".") for other in names]
    parts = name.split(".")
    counting = _counting(parts, split)
    return ".".join(parts[: counting[-1] + 1] if counting else parts[:-1])


def _stage(parts: list[str], names: list[list[str]]) -> str:
    counting = _counting(parts, names)
    return ".".join(parts[: counting[-1]] if counting else parts[:-1])


def _counting(parts: list[str], names: list[list[str]]) -> list[int]:
    """Which of ``parts`` count blocks."""
    return [at for at, part in enumerate(parts) if part.isdecimal() and _is_counted(parts, at, names)]


def _is_counted(parts: list[str], at: int, names: list[list[str]]) -> bool:
    others = (other[at] for other in names if len(other) > at and other[:at] == parts[:at])
    return any(other.isdecimal() and other != parts[at] for other in others)
