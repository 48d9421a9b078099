import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy.exc import OperationalError

from autorf.errors import InputError, StorageLostError
from autorf.store.store import Record, Store, TakenOverError, open_store
from autorf.study.spec import StudySpec
from autorf.study.trial import grid

RESULT: dict[str, Any] = {"miou": 0.5, "f1": 0.6, "pixel_accuracy": 0.7, "rf": [19, 19], "rnorm": 0.4}


@pytest.fixture
def store(tmp_path: Path, tiny: StudySpec) -> Store:
    made = Store(tmp_path / "tiny", "tiny")
    made.register(tiny, grid(tiny, "tiny"))
    return made


def epoch(number: int) -> dict[str, Any]:
    return {"epoch": number, "loss": 1.0, "miou": 0.1 * number, "rf": [19, 19], "rnorm": 0.4}


def claimed(store: Store) -> Record:
    record = store.claim()
    assert record is not None
    return record


def test_settings_that_an_older_version_did_not_know_are_no_change(store: Store, tiny: StudySpec) -> None:
    stored = tiny.model_dump(mode="json")
    del stored["search"]["pruning"], stored["training"]["weight_decay"]
    store._study.set_user_attr("spec", stored)
    store.register(tiny, grid(tiny, "tiny"))
    stored["training"]["weight_decay"] = 0.5
    store._study.set_user_attr("spec", stored)
    with pytest.raises(InputError, match=r"training\.weight_decay: 0\.5 became 0\.01"):
        store.register(tiny, grid(tiny, "tiny"))


def test_a_pruned_trial_is_promoted_once_whoever_asks(store: Store) -> None:
    record = claimed(store)
    store.report(record, epoch(0))
    store.prune(record, {**RESULT, "epochs": 1}, 0.5)
    pruned = store.record(record.key)
    Store(store.folder, "tiny").promote(pruned)
    store.promote(pruned)
    found = [one.state for one in store.attempts() if one.key == record.key]
    assert found == ["pruned", "waiting"]


def test_registering_twice_enqueues_every_trial_once(store: Store, tiny: StudySpec) -> None:
    store.register(tiny, grid(tiny, "tiny"))
    again = Store(store.folder, "tiny")
    again.register(tiny, grid(tiny, "tiny"))
    assert [record.state for record in again.records()] == ["waiting"] * 4
    assert len(optuna.load_study(study_name="tiny", storage=again._storage).trials) == 4


def test_two_drivers_never_claim_one_trial(store: Store) -> None:
    other = Store(store.folder, "tiny")
    keys = [claimed(one).key for one in (store, other, store, other)]
    assert len(set(keys)) == 4
    assert store.claim() is None
    assert other.claim() is None


@contextmanager
def losing_its_last_answer(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The storage takes what the next exclusive block writes, and is lost before it says so."""
    whole, lost = store._opened.exclusive, []

    @contextmanager
    def cut() -> Iterator[None]:
        with whole():
            yield
        if not lost:
            lost.append(True)
            raise OperationalError("SELECT 1", {}, OSError("the server closed the connection"))

    monkeypatch.setattr(store._opened, "exclusive", cut)
    monkeypatch.setattr("time.sleep", lambda _: None)
    yield
    assert lost


def test_a_claim_whose_answer_was_lost_is_the_trial_that_runs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with losing_its_last_answer(store, monkeypatch):
        record = claimed(store)
    assert [one.key for one in store.records() if one.state == "running"] == [record.key]


def test_what_a_trial_reported_can_be_read_back(store: Store) -> None:
    record = claimed(store)
    store.report(record, epoch(0))
    store.report(record, epoch(1))
    store.complete(record, RESULT, 0.5)
    found = Store(store.folder, "tiny").record(record.key)
    assert (found.state, found.result, found.attempt) == ("complete", RESULT, 1)
    assert [one["epoch"] for one in found.history] == [0, 1]


def test_every_attempt_is_kept_with_its_own_epochs_and_when_it_ended(store: Store) -> None:
    record = claimed(store)
    store.report(record, epoch(0))
    store.requeue(record, "interrupted")
    first, second = (one for one in store.attempts() if one.key == record.key)
    assert (first.attempt, len(first.history), first.reason) == (1, 1, "interrupted")
    assert (second.attempt, len(second.history), second.ended) == (2, 0, None)
    assert first.ended is not None
    assert abs(first.ended - time.time()) < 3600


def test_a_trial_whose_process_died_is_run_again_as_its_next_attempt(store: Store) -> None:
    record = claimed(store)
    store._set(record, "lease", {**record.lease, "driver": "another", "pid": 2**22 + 1, "time": 0})
    assert [one.key for one in store.recover()] == [record.key]
    again = store.record(record.key)
    assert (again.state, again.attempt) == ("waiting", 2)
    assert sum(one.key == record.key for one in store.records()) == 1


def test_a_trial_that_is_being_worked_on_is_left_alone(store: Store) -> None:
    claimed(store)
    assert store.recover() == []


def test_a_late_writer_is_refused(store: Store) -> None:
    record = claimed(store)
    store.requeue(record, "interrupted")
    for late in (lambda: store.complete(record, RESULT, 0.5), lambda: store.report(record, epoch(0))):
        with pytest.raises(TakenOverError, match="another driver took this trial over"):
            late()
    assert store.record(record.key).state == "waiting"


def test_a_failed_trial_keeps_its_reason_and_runs_again_only_when_asked(store: Store, tiny: StudySpec) -> None:
    record = claimed(store)
    store.fail(record, "out of memory")
    store.register(tiny, grid(tiny, "tiny"))
    assert (store.record(record.key).state, store.record(record.key).reason) == ("failed", "out of memory")
    store.retry_failed()
    assert (store.record(record.key).state, store.record(record.key).attempt) == ("waiting", 2)


def test_a_changed_study_file_is_refused_with_the_difference(store: Store, tiny: StudySpec) -> None:
    longer = tiny.model_copy(update={"training": tiny.training.model_copy(update={"epochs": 9})})
    with pytest.raises(InputError, match=r"training\.epochs: 2 became 9"):
        store.register(longer, grid(longer, "tiny"))


def test_a_change_that_only_adds_trials_or_workers_is_taken(store: Store, tiny: StudySpec) -> None:
    training = tiny.training.model_copy(update={"seeds": (0, 1)})
    executor = tiny.executor.model_copy(update={"workers": 1})
    grown = tiny.model_copy(update={"training": training, "executor": executor})
    store.register(grown, grid(grown, "tiny"))
    assert len(store.records()) == 8


def test_a_trial_that_disappears_from_the_file_is_refused(store: Store, tiny: StudySpec) -> None:
    smaller = tiny.model_copy(update={"search_space": ({"method": "dilation", "rate": [1]},)})
    with pytest.raises(InputError, match="3 trials that the study file no longer lists"):
        store.register(smaller, grid(smaller, "tiny"))


def test_a_study_that_does_not_exist_is_answered_with_near_names(store: Store) -> None:
    with pytest.raises(InputError, match=r"no study 'tinny'.*did you mean tiny"):
        open_store(store.folder.parent, "tinny")


def test_a_file_that_is_no_storage_and_a_newer_format_are_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "study.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(InputError, match=r"study\.db"):
        open_store(tmp_path, "junk")
    store._study.set_user_attr("format", 99)
    with pytest.raises(InputError, match="newer autorf"):
        Store(store.folder, "tiny")


def test_the_stored_study_file_is_the_one_that_began(store: Store, tiny: StudySpec) -> None:
    assert store.spec == json.loads(tiny.model_dump_json())


def test_a_pruned_trial_keeps_the_epochs_it_reached_and_a_promoted_one_continues_them(store: Store) -> None:
    record = claimed(store)
    store.report(record, epoch(0))
    store.prune(record, {**RESULT, "epochs": 1}, 0.5)
    pruned = store.record(record.key)
    assert (pruned.state, pruned.result["epochs"]) == ("pruned", 1)
    store.promote(pruned)
    again = store.record(record.key)
    assert (again.state, again.attempt) == ("waiting", 2)
    assert [one["epoch"] for one in again.history] == [0]


def test_seconds_of_repeated_retrains_add_up(tmp_path: Path) -> None:
    store = Store(tmp_path, "tiny")
    store.add_retrain("abc", {"seconds": 4.0, "epochs": 2})
    store.add_retrain("abc", {"seconds": 3.0, "epochs": 5})
    assert Store(tmp_path, "tiny").retrains() == {"abc": {"seconds": 7.0, "epochs": 5}}


def test_a_study_grows_by_values_of_a_space_and_by_spaces(store: Store, tiny: StudySpec) -> None:
    spaces = ({"method": "dilation", "rate": [1, 3, 5]}, *tiny.search_space[1:], {"method": "inflation", "dilation": 1})
    grown = tiny.model_copy(update={"search_space": spaces})
    before = [record.key for record in store.records()]
    store.register(grown, grid(grown, "tiny"))
    assert [record.key for record in store.records()][: len(before)] == before
    assert len(store.records()) == len(before) + 2


def test_a_study_file_of_another_study_in_the_folder_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="holds study 'tiny', not 'other'"):
        Store(store.folder, "other")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_cut_storage_is_refused_with_what_is_left_of_it(store: Store, share: float) -> None:
    path = store.folder / "study.db"
    (store.folder / "trials" / "key").mkdir(parents=True)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(InputError, match=r"study\.db: is cut: \d+ bytes are left"):
        Store(store.folder, "tiny")


def test_a_worker_that_died_between_the_end_of_an_attempt_and_the_next_one_is_made_up_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = claimed(store)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "_enqueue_next", killed)
        with pytest.raises(KeyboardInterrupt):
            store.requeue(record, "interrupted")
    assert store.record(record.key).state == "failed"
    store.recover()
    assert (store.record(record.key).state, store.record(record.key).attempt) == ("waiting", 2)
    store.recover()
    assert sum(one.key == record.key for one in store.attempts()) == 2


def test_a_new_study_does_not_go_on_with_what_is_left_of_another(store: Store, tiny: StudySpec) -> None:
    left = store.folder / "trials" / "e351de85e5cb" / "checkpoint.safetensors"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"trained with another learning rate")
    store.register(tiny, grid(tiny, "tiny"))
    (store.folder / "study.db").unlink()
    with pytest.raises(InputError, match=r"e351de85e5cb: is left of an earlier study 'tiny'.*restore that, or remove"):
        Store(store.folder, "tiny").register(tiny, grid(tiny, "tiny"))
    assert left.exists()


def test_a_folder_that_is_removed_under_a_search_ends_it_at_once(store: Store) -> None:
    record = claimed(store)
    shutil.rmtree(store.folder)
    for act in (store.claim, partial(store.report, record, epoch(0))):
        with pytest.raises(StorageLostError, match="was removed while the search ran"):
            act()
    assert not store.folder.exists()


def test_what_is_no_storage_is_named_with_the_repair(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "study.db").write_bytes(bytes(range(256)) * 80)
    with pytest.raises(InputError, match=r"study\.db: is no SQLite database; restore it from a backup, or remove"):
        Store(folder, "tiny")
    (folder / "study.db").unlink()
    with closing(sqlite3.connect(folder / "study.db")) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(InputError, match=r"is another program's database; use another name or --root"):
        Store(folder, "tiny")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file: cannot be made \(File exists\); use another name"):
        Store(tmp_path / "file", "file")
