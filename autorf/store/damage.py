"""Reading a study some of whose stored values are no longer what was written."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

DAMAGED = "damaged"
"""Under this name a row that was read here holds, beside its values, what of Optuna's own in it cannot be read."""

ESSENTIAL = ("spec", "defaults", "file_defaults", "axes", "identity", "format")
"""What a study knows of itself without which trials would be taken for others."""

_ROWS = "SELECT trial_id, number, state, datetime_complete FROM trials WHERE study_id = :study ORDER BY trial_id"
_VALUES = "SELECT key, value_json FROM trial_user_attributes WHERE trial_id = :trial"
_STUDY_VALUES = "SELECT key, value_json FROM study_user_attributes WHERE study_id = :study"


def rows_with_damage(storage: RDBStorage, study: int) -> list[FrozenTrial]:
    """Every row of a study that Optuna cannot read whole; a value that is no JSON is None."""
    with storage.engine.connect() as connection:
        described = connection.execute(sqlalchemy.text(_ROWS), {"study": study}).all()
        return [_row(storage, connection, *row) for row in described]


def _row(
    storage: RDBStorage, connection: sqlalchemy.Connection, row: int, number: int, state: str, ended: Any
) -> FrozenTrial:
    try:
        stored = connection.execute(sqlalchemy.text(_VALUES), {"trial": row}).all()
    except sqlalchemy.exc.DBAPIError as error:
        # Such as a text that is none: of one row, where the file as a whole can be read.
        values: dict[str, Any] = {DAMAGED: [f"row {row}: {error.orig}"]}
        return FrozenTrial(number, TrialState.FAIL, None, None, None, {}, {}, values, {}, {}, row)
    values, unreadable = _decoded(stored)
    # As if null had been written: whoever needs the value says that it is missing.
    values |= dict.fromkeys(unreadable)
    problems = []
    if state not in TrialState.__members__:
        problems.append(f"state: is {state!r}")
    if problems:
        values[DAMAGED] = problems
    elif not unreadable:
        try:
            return storage.get_trial(row)
        # Whatever Optuna stumbles over, such as a score that is no number: our own values hold all that we need.
        except Exception:
            pass
    known = TrialState.__members__.get(state, TrialState.FAIL)
    return FrozenTrial(number, known, None, None, _time(ended), {}, {}, values, {}, {}, row)


def _time(stored: Any) -> datetime | None:
    if isinstance(stored, str):
        try:
            return datetime.fromisoformat(stored)
        except ValueError:
            return None
    return stored if isinstance(stored, datetime) else None


def _decoded(stored: Any) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    unreadable: list[str] = []
    for name, text in stored:
        try:
            values[str(name)] = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            unreadable.append(str(name))
    return values, unreadable


def study_values(storage: RDBStorage, study: int) -> tuple[dict[str, Any], list[str]]:
    """What a study knows of itself, and the names of what of that is damaged, which is left out."""
    damaged: list[str] = []
    try:
        stored = storage.get_study_user_attrs(study)
    except (ValueError, RecursionError):
        with storage.engine.connect() as connection:
            stored, damaged = _decoded(connection.execute(sqlalchemy.text(_STUDY_VALUES), {"study": study}).all())
    odd = [name for name, value in stored.items() if not _has_shape(name, value)]
    return {name: value for name, value in stored.items() if name not in odd}, sorted([*damaged, *odd])


def _has_shape(name: str, value: Any) -> bool:
    return all(is_right(value) for pattern, is_right in _SHAPES.items() if re.fullmatch(pattern, name))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_mapping_of_mappings(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(inner, Mapping) for inner in value.values())


def _is_spec(value: Any) -> bool:
    parts = ("data", "model", "training", "search", "evaluation", "executor", "storage", "tracking")
    if not isinstance(value, Mapping) or not all(isinstance(value.get(part), Mapping | None) for part in parts):
        return False
    aims = (value.get("search") or {}).get("objectives")
    return aims is None or (isinstance(aims, list) and all(isinstance(aim, str) for aim in aims))


def _is_end(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, Mapping) and all(isinstance(value.get(name), str | None) for name in ("reason", "saved"))


def _is_grid(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_is_count(value.get(name)) for name in ("configurations", "seeds"))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_versions(value: Any) -> bool:
    return isinstance(value, list) and _is_mapping_of_mappings(dict(enumerate(value)))


def _is_span(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _is_retrain(value: Any) -> bool:
    return isinstance(value, Mapping) and _is_number(value.get("seconds"))


_SHAPES: dict[str, Callable[[Any], bool]] = {
    "spec": _is_spec,
    "defaults|axes": _is_mapping_of_mappings,
    "file_defaults": lambda value: isinstance(value, Mapping),
    "identity": lambda value: isinstance(value, str) and bool(re.fullmatch(r"[0-9a-f]{1,64}", value)),
    "note:end": _is_end,
    "note:grid": _is_grid,
    "note:versions": _is_versions,
    "note:busy:.*": _is_span,
    "retrain:.*": _is_retrain,
}
"""By the pattern of a name, what was written under it."""
