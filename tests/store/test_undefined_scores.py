"""A score that is no number never reaches the store, and a store that holds one stays readable."""

import json
import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autorf.comparison import compare_studies, results_of
from autorf.store.store import Store, open_store
from autorf.study.spec import StudySpec
from autorf.study.trial import grid
from tests.reports import epoch_report, trial_result

NAN = math.nan


@pytest.fixture
def store(tiny: StudySpec, tmp_path: Path) -> Store:
    store = Store(tmp_path / "tiny", "tiny")
    store.register(tiny, grid(tiny, "tiny.yaml"))
    return store


@pytest.mark.parametrize("value", [NAN, math.inf])
def test_a_trial_whose_score_is_no_number_has_failed_with_that_reason(store: Store, value: float) -> None:
    record = store.claim()
    assert record is not None
    unknown = replace(trial_result(rf=[3, 3], rnorm=0.1), metrics={"miou": value, "f1": value})
    store.report(record, replace(epoch_report(), metrics={"miou": value}))
    store.complete(record, unknown, value)
    (trial, *_) = open_store(store.folder.parent, "tiny").records()
    assert (trial.state, trial.result) == ("failed", None)
    assert f"its score is no number ({value})" in str(trial.reason)
    assert math.isnan(trial.history[0].miou)
    assert "NaN" not in _stored(store.folder)
    assert "Infinity" not in _stored(store.folder)


def test_a_pruned_trial_may_have_no_score_yet(store: Store) -> None:
    record = store.claim()
    assert record is not None
    store.prune(record, replace(trial_result(), metrics={"miou": NAN}), NAN)
    (trial, *_) = open_store(store.folder.parent, "tiny").records()
    assert trial.state == "pruned"
    assert "NaN" not in _stored(store.folder)


def test_a_store_in_which_an_earlier_version_left_one_is_read_and_compared(store: Store) -> None:
    for value in (0.3, 0.4):
        record = store.claim()
        assert record is not None
        store.complete(record, trial_result(miou=value, rf=[3, 3], rnorm=0.1), value)
    with closing(sqlite3.connect(store.folder / "study.db")) as database, database:
        # What SQLite makes of NaN, and JSON.
        database.execute("UPDATE trial_values SET value = NULL WHERE trial_id = 1")
        text = database.execute(
            "SELECT value_json FROM trial_user_attributes WHERE trial_id = 1 AND key = 'result'"
        ).fetchone()[0]
        stored = json.dumps({**json.loads(text), "miou": NAN, "f1": NAN})
        database.execute(
            "UPDATE trial_user_attributes SET value_json = ? WHERE trial_id = 1 AND key = 'result'", (stored,)
        )
    comparison = compare_studies([results_of(open_store(store.folder.parent, "tiny"))])
    told: dict[str, Any] = json.loads(comparison.to_json())
    assert [row["miou"] for row in told["rows"]] == [None, 0.4]
    assert [group.n for group in comparison.groups] == [1]


def _stored(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "study.db")) as database:
        rows = database.execute("SELECT value_json FROM trial_user_attributes").fetchall()
        values = database.execute("SELECT intermediate_value_type FROM trial_intermediate_values").fetchall()
    return "".join(text for (text,) in [*rows, *values])
