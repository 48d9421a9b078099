"""Which changes of a study file a study that has begun accepts: those that only add trials."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from autorf.errors import InputError
from autorf.methods import METHODS
from autorf.store.record import Record
from autorf.study.spec import StudySpec

_MAY_CHANGE = ("training.seeds",)
_MAY_GROW = ("search.budget", "search.stop")
"""What says how much to run, but not with what result."""


def check_unchanged(old: Mapping[str, Any], spec: StudySpec) -> None:
    """Refuse a change of anything that results depend on; executor, storage, tracking, seeds and spaces may change.

    Raises:
        InputError: naming every value that changed, before and after.
    """
    old, new = _comparable(old), _comparable(spec.model_dump(mode="json"))
    changes = [
        f"{path}: {before!r} became {after!r}"
        for part in ("data", "model", "training", "search")
        for path, before, after in _differences(part, old.get(part), new[part])
        if path not in _MAY_CHANGE and not path.startswith(_MAY_GROW)
    ]
    if changes:
        raise InputError(
            f"the study file changed since study {spec.name!r} began ({'; '.join(changes)}); "
            "change it back, or give the study another name"
        )


def defaults(methods: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What a configuration means by the fields it leaves out, by method."""
    return {
        name: {
            field: to_jsonable_python(info.get_default(call_default_factory=True))
            for field, info in METHODS[name].model_fields.items()
            if not info.is_required()
        }
        for name in methods
        if name in METHODS
    }


def check_defaults(name: str, old: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse to go on where configurations that are stored would no longer mean what they meant.

    Args:
        name: of the study.
        old: :func:`defaults` when its trials were enqueued; fields that were new since count as unchanged.

    Raises:
        InputError: naming every default that changed, before and after.
    """
    changes = [
        f"{path}: {before!r} became {after!r}"
        for method, now in defaults(old).items()
        for path, before, after in _differences(
            method, old[method], {field: value for field, value in now.items() if field in old[method]}
        )
    ]
    if changes:
        raise InputError(
            f"autorf's defaults changed since study {name!r} began ({'; '.join(changes)}); continue it with the "
            "autorf that it began with, or give the study another name"
        )


def check_none_gone(name: str, records: Iterable[Record], wanted: Iterable[str]) -> None:
    """Refuse a study file that no longer lists a trial that the study has.

    One that this process cannot read, such as that of a method of a missing package, stays as it is.

    Raises:
        InputError: naming one of them.
    """
    keys = set(wanted)
    gone = {record.key: record for record in records if record.key not in keys and record.trial is not None}
    if gone:
        lost = next(iter(gone.values()))
        raise InputError(
            f"study {name!r} already has {len(gone)} trials that the study file no longer lists, such as "
            f"{lost.configuration} with seed {lost.seed}; put them back, or give the study another name"
        )


def _comparable(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A study file as plain values, settings that an older version did not know at their defaults."""
    plain: dict[str, Any] = json.loads(json.dumps(stored))
    try:
        return StudySpec.model_validate(plain).model_dump(mode="json")
    except ValidationError:
        # It holds what this version no longer allows; the difference will say what.
        return plain


def _differences(path: str, old: Any, new: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = dict.fromkeys([*old, *new])
        return [found for key in keys for found in _differences(f"{path}.{key}", old.get(key), new.get(key))]
    return [] if old == new else [(path, old, new)]
