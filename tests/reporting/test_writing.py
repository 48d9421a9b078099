from pathlib import Path

import pytest

from autorf.errors import InputError
from autorf.reporting import write_report
from autorf.store.store import Store
from autorf.study.spec import parse_study
from tests.tiny import TINY


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "tiny", "tiny")
    found.register(parse_study(TINY, "tiny.yaml"), [])
    return found


def test_the_report_goes_into_the_studys_folder_and_replaces_the_one_before(store: Store) -> None:
    path = write_report([store])
    assert path == store.folder / "report.html"
    assert "<title>tiny: No field can be named yet</title>" in path.read_text()
    assert write_report([store]) == path


def test_a_file_that_is_no_report_is_replaced_only_by_force(store: Store) -> None:
    other = store.folder / "report.html"
    other.write_text("mine")
    with pytest.raises(InputError, match="exists; name another file, or overwrite it with --force"):
        write_report([store])
    assert other.read_text() == "mine"
    write_report([store], force=True)
    assert other.read_text() != "mine"


def test_a_named_output_that_exists_needs_force_even_if_it_is_a_report(store: Store, tmp_path: Path) -> None:
    output = tmp_path / "deep" / "r.html"
    assert write_report([store], output) == output
    with pytest.raises(InputError, match="--force"):
        write_report([store], output)
    assert write_report([store], output, force=True) == output


def test_a_folder_is_no_output(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder; name a file in it"):
        write_report([store], tmp_path, force=True)


def test_an_output_below_a_file_cannot_be_written(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_report([store], tmp_path / "file" / "r.html")
