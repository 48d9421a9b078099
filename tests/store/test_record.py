"""A row that cannot be read is one row that says so."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from autorf.comparison import compare_studies
from autorf.comparison.results import results_of
from autorf.reporting import report_page
from autorf.store import record as module
from autorf.store.store import Store
from autorf.study.spec import StudySpec
from autorf.study.trial import grid
from tests.reports import epoch_report, trial_result

EPOCH = epoch_report(rf=[19, 19], rnorm=0.4, seconds=1.0)
RESULT = replace(EPOCH.as_result(), epochs=2, iou_per_class={"background": 0.9})


@pytest.fixture
def stored(tmp_path: Path, tiny: StudySpec) -> Store:
    """The tiny study, whole."""
    store = Store(tmp_path / "tiny", "tiny")
    store.register(tiny, grid(tiny, "tiny"))
    while (record := store.claim()) is not None:
        store.report(record, EPOCH)
        store.complete(record, RESULT, 0.1)
    return store


def damage(store: Store, name: str, text: str) -> Store:
    """Put ``text`` in place of what the first row holds under ``name``; the store, opened anew."""
    with closing(sqlite3.connect(store.folder / "study.db")) as database:
        changed = database.execute(
            "UPDATE trial_user_attributes SET value_json = ? WHERE key = ? AND trial_id = 1", (text, name)
        )
        assert changed.rowcount == 1
        database.commit()
    return Store(store.folder, "tiny")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("result", "{", "result: 'None' holds no names and values"),
        ("result", "null", "result: 'None' holds no names and values"),
        ("result", '{"epochs": 2}', "result: miou is missing"),
        ("epoch:0", "{}", "epoch:0: epoch is missing"),
        ("configuration", '"x"', "configuration: holds no names and values"),
        ("configuration", '{"method": "octave"}', "unknown method 'octave'"),
        ("configuration", '{"method": "dilation", "rate": "wide"}', "rate"),
        ("seed", "null", "seed: is no whole number"),
        ("attempt", "{", None),
        ("lease", "3", None),
        ("key", "null", None),
    ],
)
def test_a_row_that_cannot_be_read_says_so_and_the_others_are_read(
    stored: Store, name: str, text: str, reason: str | None
) -> None:
    results = results_of(damage(stored, name, text))
    rows = compare_studies([results]).rows
    assert [row.state for row in rows[1:]] == ["complete"] * (len(rows) - 1)
    assert rows[0].state == ("complete" if reason is None else "failed")
    assert reason is None or reason in str(rows[0].reason)
    page = report_page([results])
    assert reason is None or "cannot be read" in page


def test_the_search_of_the_rest_goes_on_and_what_is_damaged_is_run_again_when_asked(
    stored: Store, tiny: StudySpec
) -> None:
    key = stored.records()[0].key
    store = damage(stored, "result", "null")
    store.register(tiny, grid(tiny, "tiny"))
    assert store.claim() is None
    assert [record.key for record in store.retry_failed()] == [key]
    again = store.claim()
    assert again is not None
    assert (again.key, again.attempt) == (key, 2)
    store.complete(again, trial_result(miou=0.7), 0.7)
    assert (store.record(key).state, store.record(key).value("miou")) == ("complete", 0.7)


def test_a_method_that_is_not_installed_leaves_the_search_of_the_rest_alone(stored: Store, tiny: StudySpec) -> None:
    store = damage(stored, "configuration", '{"method": "octave", "rate": 2}')
    without = [trial for trial in grid(tiny, "tiny") if trial.key != stored.records()[0].key]
    store.register(tiny, without)
    assert store.retry_failed() == []
    assert store.records()[0].label == "octave (rate 2) seed 0"


def test_a_configuration_is_decoded_once_however_often_its_row_is_read(
    stored: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[dict[str, object]] = []
    decode = module.trial_from

    def counted(configuration: dict[str, object], seed: int) -> object:
        decoded.append(configuration)
        return decode(configuration, seed)

    monkeypatch.setattr(module, "trial_from", counted)
    store = Store(stored.folder, "tiny")
    store.records()
    report_page([results_of(store)])
    assert len(decoded) == len(store.attempts())
