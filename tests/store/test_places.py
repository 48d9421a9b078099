"""Where a study lives: folders of any name, folders that may only be read."""

from pathlib import Path

import pytest

from autorf.comparison.results import results_of
from autorf.errors import InputError
from autorf.store import storage
from autorf.store.store import Store, open_store
from autorf.study.spec import StudySpec
from autorf.study.trial import grid
from autorf.tracking import tracking_uri
from autorf.tracking.client import connect, own_settings
from tests.tiny import TINY

NAMES = ("a b", "50%20off", "what?x=1", "a#b", "{a}", "日本", "a\nb", "q'\"")


def whole(root: Path, tiny: StudySpec) -> Store:
    store = Store(root / "tiny", "tiny")
    store.register(tiny, grid(tiny, "tiny"))
    return store


@pytest.mark.parametrize("name", NAMES)
def test_a_study_lies_in_a_folder_of_any_name_and_nowhere_else(tmp_path: Path, tiny: StudySpec, name: str) -> None:
    root = tmp_path / name
    whole(root, tiny)
    assert len(open_store(root, "tiny").records()) == 4
    assert (root / "tiny" / "study.db").stat().st_size > 4096
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a b", "50%20off", "what?x#1"])
def test_the_mirror_lies_in_a_root_of_any_name_and_nowhere_else(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    with own_settings():
        client = connect(tracking_uri(None, tmp_path / name))
        assert client.search_experiments()
    assert (tmp_path / name / "mlflow.db").stat().st_size > 4096
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.fixture
def read_only(tmp_path: Path, tiny: StudySpec, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a study whose files may not be written: root may, so the answer to that question is replaced."""
    whole(tmp_path, tiny)
    (tmp_path / "tiny" / "study.lock").unlink()
    monkeypatch.setattr(storage, "_may_write", lambda folder: False)
    return tmp_path


def test_a_study_that_may_only_be_read_is_read_and_left_as_it_is(read_only: Path) -> None:
    before = [(path, path.stat().st_mtime_ns) for path in read_only.rglob("*")]
    store = open_store(read_only, "tiny")
    assert len(results_of(store).records) == 4
    assert store.spec is not None
    assert [(path, path.stat().st_mtime_ns) for path in read_only.rglob("*")] == before


def test_writing_to_a_study_that_may_only_be_read_is_one_line(read_only: Path) -> None:
    store = Store(read_only / "tiny", "tiny")
    for write in (lambda: store.note("end", None), store.claim, lambda: store.add_retrain("a", {"seconds": 1.0})):
        with pytest.raises(InputError, match=r"study\.db: may not be written"):
            write()


def test_whether_a_study_may_be_written_is_asked_of_its_folder_and_its_files(
    tmp_path: Path, tiny: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole(tmp_path, tiny)
    for closed in (tmp_path / "tiny", tmp_path / "tiny" / "study.db", tmp_path / "tiny" / "study.lock"):
        monkeypatch.setattr(storage.os, "access", lambda path, mode, closed=closed: Path(path) != closed)
        assert not storage._may_write(tmp_path / "tiny")


def test_names_that_the_root_uses_itself_are_not_for_new_studies(tmp_path: Path) -> None:
    from autorf.driver.search import check_name

    for name in ("cache", "mlartifacts", "mlflow.db", "MLflow.db-journal"):
        with pytest.raises(InputError, match="not for studies"):
            check_name(tmp_path / name)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "study.db").touch()
    check_name(tmp_path / "cache")
    check_name(tmp_path / str(TINY["name"]))
