"""Which changes of a study file a study that has begun accepts: those that only add trials."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from autorf.errors import InputError
from autorf.store.record import Record
from autorf.study.defaults import MAY_CHANGE, PARTS, restored_spec
from autorf.study.spec import StudySpec


def check_unchanged(old: Mapping[str, Any], spec: StudySpec) -> None:
    """Refuse a change of anything that results depend on; executor, storage, tracking, seeds and spaces may change.

    Raises:
        InputError: naming every value that changed, before and after.
    """
    old, new = (restored_spec(json.loads(json.dumps(plain))) for plain in (old, spec.model_dump(mode="json")))
    changes = [
        f"{path}: {before!r} became {after!r}"
        for part in PARTS
        for path, before, after in _differences(part, old.get(part), new[part])
        if not path.startswith(MAY_CHANGE)
    ]
    if changes:
        raise InputError(
            f"the study file changed since study {spec.name!r} began ({'; '.join(changes)}); "
            "change it back, or give the study another name"
        )


def check_none_gone(name: str, records: Iterable[Record], listed: Iterable[str]) -> None:
    """Refuse a study file that no longer lists a trial that the study has.

    One that this process cannot read, such as that of a method of a missing package, stays as it is; so does a control,
    which no file lists.

    Raises:
        InputError: naming one of them.
    """
    keys = set(listed)
    of_file = (record for record in records if record.trial is not None and record.control is None)
    gone = {record.key: record for record in of_file if record.key not in keys}
    if gone:
        lost = next(iter(gone.values()))
        raise InputError(
            f"study {name!r} already has {len(gone)} trials that the study file no longer lists, such as "
            f"{lost.configuration} with seed {lost.seed}; put them back, or give the study another name"
        )


def _differences(path: str, old: Any, new: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = dict.fromkeys([*old, *new])
        return [difference for key in keys for difference in _differences(f"{path}.{key}", old.get(key), new.get(key))]
    return [] if old == new else [(path, old, new)]
