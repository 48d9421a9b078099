import errno
import os
import stat
from pathlib import Path

import pytest

from autorf.errors import InputError, what_the_system_said
from autorf.files import check_output, write_atomically


def test_a_file_is_as_readable_as_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_atomically(tmp_path / "atomic", "x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic")}
    assert len(modes) == 1


def test_a_write_that_fails_leaves_the_old_content_and_no_leftovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def full(descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/null")
    for name in ("pipe", "folder", "device"):
        with pytest.raises(InputError, match=f"is a {name}; name a file"):
            write_atomically(tmp_path / name, "x")
        with pytest.raises(InputError, match=f"--output .*is a {name}"):
            check_output(tmp_path / name, "--output", replace=True)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device", "folder", "pipe"]


def test_what_a_link_leads_to_is_replaced_not_the_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "target").write_text("old")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_a_file_is_replaced_only_where_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check_output(tmp_path / "file", "--output", replace=True)
    check_output(tmp_path / "new", "--output", replace=False)
    with pytest.raises(InputError, match="exists; name another file"):
        check_output(tmp_path / "file", "--output", replace=False)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EACCES, errno.EROFS, errno.ENAMETOOLONG])
def test_what_the_system_refuses_is_one_line_with_the_path(number: int) -> None:
    line = what_the_system_said(OSError(number, os.strerror(number), "/data/runs/file"))
    assert line.startswith("/data/runs/file: ")
    assert "; " in line
