"""Reading a study some of whose stored values are no longer what was written."""

import json
from typing import Any

import sqlalchemy
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from autorf.errors import InputError

_ROWS = "SELECT trial_id, number, state, datetime_complete FROM trials WHERE study_id = :study ORDER BY trial_id"
_VALUES = "SELECT key, value_json FROM trial_user_attributes WHERE trial_id = :trial"


def rows_with_damage(storage: RDBStorage, study: int, label: str) -> list[FrozenTrial]:
    """Every row of a study that Optuna cannot read whole; a value that is no JSON is None.

    Raises:
        InputError: where a row's damage is not in what autorf stored there.
    """
    with storage.engine.connect() as connection:
        numbers = connection.execute(
            sqlalchemy.text(_ROWS).columns(datetime_complete=sqlalchemy.DateTime), {"study": study}
        ).all()
        return [_row(storage, connection, tuple(number), label) for number in numbers]


def _row(storage: RDBStorage, connection: sqlalchemy.Connection, described: tuple[Any, ...], label: str) -> FrozenTrial:
    row, number, state, ended = described
    stored = connection.execute(sqlalchemy.text(_VALUES), {"trial": row}).all()
    values = {name: _decoded(text) for name, text in stored}
    if None not in values.values():
        try:
            return storage.get_trial(row)
        except json.JSONDecodeError:
            raise InputError(
                f"{label}: the row of trial {values.get('key', row)!r} is damaged; restore a backup"
            ) from None
        except (AssertionError, ValueError):
            # Its score is no number: all that we need of the row is in our own values.
            pass
    return FrozenTrial(number, TrialState[state], None, None, ended, {}, {}, values, {}, {}, row)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None
