"""Stores that were damaged, edited or swapped: what is damaged is named and left out, the rest is read."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from autorf.cli.studies import _print_endings
from autorf.comparison import compare_studies
from autorf.comparison.results import results_of
from autorf.errors import InputError, StorageLostError
from autorf.running.evidence import read_evidence, unreadable_evidence, write_evidence
from autorf.store.patience import Patience
from autorf.store.storage import POINTER
from autorf.store.store import Store, open_store
from autorf.study.spec import StudySpec
from autorf.study.trial import grid
from tests.reporting.conftest import make_evidence
from tests.reports import epoch_report

EPOCH = epoch_report(rf=[19, 19], rnorm=0.4, seconds=1.0)
RESULT = replace(EPOCH.as_result(), epochs=2, iou_per_class={"background": 0.9})


@pytest.fixture
def folder(tmp_path: Path, tiny: StudySpec) -> Path:
    """The tiny study, whole."""
    store = Store(tmp_path / "tiny", "tiny")
    store.register(tiny, grid(tiny, "tiny"))
    while (record := store.claim()) is not None:
        store.report(record, EPOCH)
        store.complete(record, RESULT, 0.1)
    store.note("end", {"reason": "it was time", "saved": None})
    store.note("versions", [{"autorf": "0"}])
    return store.folder


def change(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "study.db")) as database:
        database.execute(statement, values)
        database.commit()


def states(folder: Path) -> list[str]:
    """Of the rows of the comparison."""
    results = results_of(open_store(folder.parent, "tiny"))
    return [row.state for row in compare_studies([results]).rows]


@pytest.mark.parametrize("text", ["{", '"x"', '[["a"]]'])
@pytest.mark.parametrize("name", ["note:end", "note:versions", "spec", "defaults", "file_defaults", "axes", "identity"])
def test_what_a_study_knows_of_itself_is_left_out_where_it_is_damaged(folder: Path, name: str, text: str) -> None:
    change(folder, "UPDATE study_user_attributes SET value_json = ? WHERE key = ?", text, name)
    assert states(folder) == ["complete"] * 4
    _print_endings([open_store(folder.parent, "tiny")])


def test_what_is_left_out_is_named_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder, "UPDATE study_user_attributes SET value_json = '3' WHERE key = 'note:end'")
    states(folder)
    assert capsys.readouterr().err.count("study.db: damaged and left out: note:end") == 1


@pytest.mark.parametrize("name", ["spec", "defaults", "file_defaults"])
def test_a_search_does_not_go_on_where_it_cannot_know_what_its_trials_mean(
    folder: Path, tiny: StudySpec, name: str
) -> None:
    change(folder, "UPDATE study_user_attributes SET value_json = '{' WHERE key = ?", name)
    with pytest.raises(InputError, match=f"cannot be read: {name}; restore it"):
        Store(folder, "tiny").register(tiny, grid(tiny, "tiny"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trials SET state = 'NOTHING' WHERE trial_id = 1",
        "UPDATE trials SET datetime_complete = 'yesterday' WHERE trial_id = 1",
        "UPDATE trial_values SET value_type = 'NOTHING' WHERE trial_id = 1",
        "UPDATE trial_user_attributes SET value_json = CAST(x'ff22' AS TEXT) WHERE trial_id = 1 AND key = 'result'",
        "UPDATE trial_user_attributes SET value_json = '{' WHERE trial_id = 1 AND key = 'configuration'",
        "DELETE FROM trial_user_attributes WHERE trial_id = 1",
    ],
)
def test_a_damaged_row_leaves_the_others_readable(folder: Path, statement: str) -> None:
    change(folder, statement)
    assert sorted(states(folder))[:3] == ["complete"] * 3


def test_a_key_that_leads_out_of_the_study_is_none(folder: Path) -> None:
    change(folder, "UPDATE trial_user_attributes SET value_json = '\"../../x\"' WHERE trial_id = 1 AND key = 'key'")
    records = open_store(folder.parent, "tiny").records()
    assert records[0].key == "e351de85e5cb"


@pytest.mark.parametrize("lease", ["{}", '{"host": 1}', '{"host": "a", "pid": "x", "time": 1}', "[1]"])
def test_a_trial_whose_lease_is_damaged_runs_again(tmp_path: Path, tiny: StudySpec, lease: str) -> None:
    store = Store(tmp_path / "tiny", "tiny")
    store.register(tiny, grid(tiny, "tiny"))
    assert store.claim() is not None
    change(store.folder, "UPDATE trial_user_attributes SET value_json = ? WHERE key = 'lease'", lease)
    assert len(Store(tmp_path / "tiny", "tiny").recover()) == 1


@pytest.mark.parametrize(
    "statement", ["DELETE FROM studies", "UPDATE studies SET study_name = 'other'", "DROP TABLE trials"]
)
def test_a_study_that_is_not_there_any_more_is_one_line(folder: Path, statement: str) -> None:
    change(folder, "PRAGMA foreign_keys = OFF")
    change(folder, statement)
    with pytest.raises(InputError, match=r"study\.db") as refused:
        open_store(folder.parent, "tiny").records()
    assert len(str(refused.value)) <= 290


def test_a_schema_whose_damage_python_cannot_even_quote_is_one_line(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "study.db")) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_master SET name = CAST(x'db20' AS TEXT), sql = 'x' WHERE name = 'trials'")
        database.commit()
    with pytest.raises(InputError, match=r"study.db: .*damaged.*; restore it"):
        open_store(folder.parent, "tiny")
    with pytest.raises(InputError, match=r"study.db: cannot be read .*damaged.*; restore it"):
        Patience("study.db", 1)(lambda: b"\xdb ".decode())


@pytest.mark.parametrize("text", ["", "nothing", "\0", "x" * 5000, "sqlite:///x", "/etc/passwd"])
def test_a_pointer_that_is_no_address_is_named(folder: Path, text: str) -> None:
    (folder / POINTER).write_text(text)
    (folder / "study.db").unlink()
    with pytest.raises(InputError, match=f"{POINTER}: holds") as refused:
        open_store(folder.parent, "tiny")
    assert len(str(refused.value)) <= 290


@pytest.mark.parametrize("kind", ["cut", "another's", "emptied", "a pickle", "a folder"])
def test_evidence_that_is_damaged_or_anothers_is_told_and_left_out(tmp_path: Path, kind: str) -> None:
    ours, other = tmp_path / "trials" / "a", tmp_path / "trials" / "b"
    for place in (ours, other):
        write_evidence(place, make_evidence(), place.name)
    assert unreadable_evidence(ours) is None
    file = ours / "evidence.safetensors"
    contents = {"cut": file.read_bytes()[:300], "emptied": b"", "a pickle": b"\x80\x04K\x01."}
    if kind == "another's":
        shutil.copy(other / file.name, file)
    elif kind == "a folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(contents[kind])
    assert read_evidence(ours) is None
    assert unreadable_evidence(ours) == ("is of trial 'b'" if kind == "another's" else "is damaged")


@pytest.mark.parametrize(
    ("said", "error", "line"),
    [
        ("database or disk is full", StorageLostError, "make room"),
        ("attempt to write a readonly database", InputError, "may not be written"),
        ("Could not decode to UTF-8 column", InputError, "restore it from a backup"),
    ],
)
def test_a_file_that_no_waiting_mends_is_not_waited_for(said: str, error: type[Exception], line: str) -> None:
    from sqlalchemy.exc import OperationalError

    def fails() -> None:
        raise OperationalError("SELECT 1", {}, sqlite3.OperationalError(said))

    with pytest.raises(error, match=line):
        Patience("study.db", minutes=10)(fails)
