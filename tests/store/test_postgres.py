"""Storage in PostgreSQL: many drivers, a server that goes away, passwords that stay where they are."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autorf.errors import InputError, StorageLostError
from autorf.store.store import Record, Store, TakenOverError, open_store
from autorf.study.spec import StudySpec, parse_study
from autorf.study.storage_spec import StorageSpec
from autorf.study.trial import grid
from tests.postgres import PASSWORD, Server
from tests.reports import epoch_report, trial_result
from tests.tiny import TINY

# A connection whose server went away is closed by nobody.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
RATES = list(range(1, 25))


@pytest.fixture(autouse=True)
def connections_end_with_their_test() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def url(postgres: Server) -> str:
    return postgres.new_database("studies")


def registered(root: Path, name: str, tiny: StudySpec, storage: StorageSpec) -> Store:
    store = Store(root / name, name, storage)
    store.register(tiny.model_copy(update={"name": name, "storage": storage}), grid(tiny, name))
    return store


def claimed(store: Store) -> Record:
    record = store.claim()
    assert record is not None
    return record


def driver(study: Path, root: Path, seconds: float) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        str(Path(__file__).parents[1] / "driver" / "driving.py"),
        str(study),
        str(root),
        str(seconds),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def test_two_drivers_share_24_trials_each_once_and_one_finishes_them_when_the_other_is_killed(
    url: str, tmp_path: Path
) -> None:
    values = {
        **TINY,
        "name": "shared",
        "search_space": [{"method": "dilation", "rate": RATES[:8]}],
        "training": {"epochs": 2, "seeds": [0, 1, 2]},
        "storage": {"url": url},
    }
    study = tmp_path / "study.json"
    study.write_text(json.dumps(values))
    first, second = (driver(study, tmp_path / "runs", 0.4) for _ in range(2))
    deadline = time.monotonic() + 200
    while not (tmp_path / "runs" / "shared" / "storage.url").exists():
        assert time.monotonic() < deadline, first.poll()
        time.sleep(0.2)
    store = Store(tmp_path / "runs" / "shared", "shared", StorageSpec(url=url))
    holders: set[int] = set()
    while len(holders) < 2 or sum(record.state == "complete" for record in store.records()) < 8:
        assert time.monotonic() < deadline
        holders |= {record.lease["pid"] for record in store.records() if record.lease}
        time.sleep(0.2)
    os.kill(first.pid, signal.SIGKILL)
    said = second.communicate(timeout=120)[0]
    assert second.returncode == 0, said
    assert PASSWORD not in said
    records = store.records()
    assert Counter(record.state for record in records) == {"complete": 24}
    complete = Counter(one.key for one in store.attempts() if one.state == "complete")
    assert set(complete.values()) == {1}
    numbers = Counter((one.key, one.attempt) for one in store.attempts())
    assert set(numbers.values()) == {1}
    trained = Counter(path.parent.name for path in (tmp_path / "runs" / "shared" / "trials").glob("*/runs"))
    finished = [path.read_text().count("\n") for path in (tmp_path / "runs" / "shared" / "trials").glob("*/runs")]
    assert len(trained) == 24
    # Only a trial whose end the killed driver could not store any more may have ended twice.
    assert sum(finished) <= 24 + 2
    first.wait()
    first.stdout.close()  # type: ignore[union-attr]


def test_no_password_is_left_anywhere(url: str, tmp_path: Path, tiny: StudySpec) -> None:
    store = registered(tmp_path, "quiet", tiny, StorageSpec(url=url))
    assert PASSWORD not in json.dumps(store.spec)
    assert PASSWORD not in repr(StorageSpec(url=url))
    assert PASSWORD not in "".join(path.read_text() for path in (tmp_path / "quiet").iterdir())
    with pytest.raises(InputError) as caught:
        parse_study({**TINY, "storage": {"url": url.replace("postgresql+psycopg", "postgres")}}, "tiny.yaml")
    assert PASSWORD not in str(caught.value)
    assert "must be postgresql+psycopg://" in str(caught.value)


def test_a_study_is_found_again_by_its_name_with_the_password_from_the_environment(
    url: str, tmp_path: Path, tiny: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(tmp_path, "named", tiny, StorageSpec(url=url))
    assert len(open_store(tmp_path, "named").records()) == 4
    monkeypatch.setattr("autorf.store.storage._remembered", {})
    with pytest.raises(InputError, match="no password supplied"):
        open_store(tmp_path, "named")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert len(open_store(tmp_path, "named").records()) == 4
    with pytest.raises(InputError, match=r"lives in postgresql\+psycopg://autorf@127.*set storage\.url"):
        Store(tmp_path / "named", "named")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password": "wrong"}, "password authentication failed"),
        ({"database": "nothing"}, 'database "nothing" does not exist'),
    ],
)
def test_a_wrong_url_is_one_line(postgres: Server, tmp_path: Path, change: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Store(tmp_path / "x", "x", StorageSpec(url=postgres.url(**change)))
    assert "\n" not in str(caught.value)
    assert "wrong" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"storage .*\*\*\*@127\.0\.0\.1:1/x: cannot be used: .*[Rr]efused"):
        Store(tmp_path / "x", "x", StorageSpec(url="postgresql+psycopg://me:hidden@127.0.0.1:1/x"))


def test_another_programs_study_is_refused(url: str, tmp_path: Path) -> None:
    import optuna

    storage = optuna.storages.RDBStorage(url)
    optuna.create_study(study_name="theirs", storage=storage).add_trial(optuna.trial.create_trial(value=1.0))
    storage.engine.dispose()
    with pytest.raises(InputError, match="another program's"):
        Store(tmp_path / "theirs", "theirs", StorageSpec(url=url))


def test_a_silent_driver_on_another_machine_is_taken_over_and_comes_too_late(
    url: str, tmp_path: Path, tiny: StudySpec
) -> None:
    spec = StorageSpec(url=url, lease_seconds=600)
    silent, other = registered(tmp_path, "late", tiny, spec), Store(tmp_path / "late", "late", spec)
    record = claimed(silent)
    lease = {**record.lease, "host": "elsewhere"}
    silent._set(record, "lease", lease)
    assert other.recover() == []
    silent._set(record, "lease", {**lease, "time": lease["time"] - 601})
    assert [one.key for one in other.recover()] == [record.key]
    with pytest.raises(TakenOverError):
        silent.report(record, epoch_report())
    with pytest.raises(TakenOverError):
        silent.complete(record, trial_result(), 0.1)
    assert other.record(record.key).attempt == 2


def test_a_storage_that_goes_away_is_waited_for_and_then_given_up(
    postgres: Server, url: str, tmp_path: Path, tiny: StudySpec, capsys: pytest.CaptureFixture[str]
) -> None:
    store = registered(tmp_path, "away", tiny, StorageSpec(url=url, patience_minutes=0.5))
    record = claimed(store)
    postgres.stop()
    back = threading.Timer(1.5, postgres.start)
    back.start()
    store.report(record, epoch_report())
    back.join()
    said = capsys.readouterr().err
    assert "cannot be reached" in said
    assert "waiting up to 0.5 min" in said
    assert "is back" in said
    assert PASSWORD not in said
    assert len(store.record(record.key).history) == 1
    postgres.stop()
    try:
        store._patiently.minutes = 0.01
        with pytest.raises(StorageLostError, match="the same command continues"):
            store.renew(record)
    finally:
        postgres.start()


def test_two_drivers_that_begin_together_make_one_study(url: str, tmp_path: Path, tiny: StudySpec) -> None:
    made: list[Any] = []

    def begin(folder: str) -> None:
        made.append(registered(tmp_path / folder, "together", tiny, StorageSpec(url=url)))

    threads = [threading.Thread(target=begin, args=(folder,)) for folder in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2
    assert [len(store.attempts()) for store in made] == [4, 4]
