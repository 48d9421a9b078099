"""What a checkpoint says of the methods in a model, and whether a training that goes on has the same ones."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from autorf.methods import METHODS
from autorf.methods.base import Method
from autorf.specification import default_of, with_older_fields
from autorf.surgery import adaptations


def methods_in(model: nn.Module) -> list[dict[str, Any]]:
    """Every method in a model with all its fields: a later version, of other defaults, reads what was meant."""
    return [done.method.model_dump(mode="json") for done in adaptations(model)]


def is_same(stored: Any, own: list[dict[str, Any]]) -> bool:
    """Whether a record, whatever version wrote it, is of the methods ``own``.

    >>> from autorf.methods import LearnedDilation
    >>> own = LearnedDilation(targets="head").model_dump(mode="json")
    >>> is_same([own], [own])
    True
    >>> is_same([{"method": "learned_dilation", "targets": "head"}], [own])  # of a time when layers shared nothing
    False
    """
    return isinstance(stored, list) and [_whole(each) for each in stored] == own


def in_brief(records: Any) -> Any:
    """Of each method of a record its name and what is not today's default, for a message."""
    return [_brief(_whole(each)) for each in records] if isinstance(records, list) else records


def _kind(record: Any) -> type[Method] | None:
    return METHODS.get(str(record.get("method"))) if isinstance(record, Mapping) else None


def _whole(record: Any) -> Any:
    kind = _kind(record)
    return record if kind is None else with_older_fields(kind, record)


def _brief(record: Any) -> Any:
    kind = _kind(record)
    if kind is None:
        return record
    plain = {key: default_of(info) for key, info in kind.model_fields.items() if key != "method"}
    return {key: value for key, value in record.items() if key not in plain or value != plain[key]}
