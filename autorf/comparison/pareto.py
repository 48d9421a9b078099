"""The trials that no other beats in every objective."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from autorf.study.objectives import sign

Item = TypeVar("Item")


def pareto_front(rows: Sequence[Item], objectives: Sequence[str]) -> list[Item]:
    """The rows that no other row dominates, in the order given.

    A row dominates another when it is at least as good in every objective and better in one. Equal rows are all kept.

    Args:
        rows: mappings, or objects with attributes, that hold the objectives by name; a row that lacks one (missing or
            None) is left out. Infeasible, pruned and failed trials are the caller's to leave out.
        objectives: metrics, of which more is better, and costs, of which less is.
    """
    points = [(row, point) for row in rows if (point := _point(row, objectives)) is not None]
    others = [point for _, point in points]
    return [row for row, point in points if not _dominated(point, others)]


def _point(row: Any, objectives: Sequence[str]) -> tuple[float, ...] | None:
    values: list[Any] = [row.get(name) if isinstance(row, Mapping) else getattr(row, name, None) for name in objectives]
    if None in values:
        return None
    return tuple(sign(name) * value for name, value in zip(objectives, values, strict=True))


def _dominated(point: tuple[float, ...], others: Iterable[tuple[float, ...]]) -> bool:
    return any(_dominates(other, point) for other in others)


def _dominates(point: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return point != other and all(mine >= theirs for mine, theirs in zip(point, other, strict=True))
