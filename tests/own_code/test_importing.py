import inspect
import sys
from pathlib import Path

import pytest

from autorf.errors import InputError
from autorf.own_code.code import OwnCode, read_code
from autorf.own_code.importing import active_digest, call, importable, resolve
from autorf.own_code.reference import parse_reference

BUILD = parse_reference("python:./net.py:build")


@pytest.fixture
def code(tmp_path: Path) -> OwnCode:
    (tmp_path / "net.py").write_text(
        "import parts\nCALLS = []\ndef build(n):\n    import late\n    return n + parts.ONE + late.TWO\n"
        "def fails(n):\n    return parts.divided(n)\nNUMBER = 3\n"
    )
    (tmp_path / "parts.py").write_text("ONE = 1\ndef divided(n):\n    return n / 0\n")
    (tmp_path / "late.py").write_text("TWO = 20\n")
    return read_code([BUILD], tmp_path)


def test_code_runs_as_it_was_read_whatever_became_of_its_files(code: OwnCode, tmp_path: Path) -> None:
    for name in ("net", "parts"):
        (tmp_path / f"{name}.py").unlink()
    (tmp_path / "late.py").write_text("TWO = 500\n")
    with importable(code):
        assert call(BUILD, "model.name", 300) == 321
        assert sys.modules["net"].__file__ == str(tmp_path / "net.py")
        assert inspect.getsource(sys.modules["net"].fails) == "def fails(n):\n    return parts.divided(n)\n"


def test_nothing_of_it_is_left_behind(code: OwnCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    import net  # type: ignore[import-not-found]

    path, finders = list(sys.path), list(sys.meta_path)
    with importable(code):
        assert resolve(BUILD, "model.name") is not net.build
        assert active_digest() == code.digest
    assert sys.modules["net"] is net
    assert (sys.path, sys.meta_path) == (path, finders)
    assert active_digest() is None
    assert not list(tmp_path.glob("__pycache__/late*"))


def test_one_study_does_not_see_anothers_code_of_the_same_name(code: OwnCode, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "net.py").write_text("def build(n):\n    return -n\n")
    with importable(code), importable(read_code([BUILD], other)):
        assert call(BUILD, "model.name", 1) == -1
    with importable(code):
        assert call(BUILD, "model.name", 1) == 22


def test_without_a_study_references_are_relative_to_the_working_directory(
    code: OwnCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(BUILD, "model.name", 1) == 22
    (tmp_path / "late.py").write_text("TWO = 500\n")
    assert call(BUILD, "model.name", 1) == 502


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            "python:./net.py:biuld",
            r"model\.name: python:\S*: the module has no 'biuld'; did you mean build",
        ),
        ("python:./net.py:NUMBER", "NUMBER is an int; name a function or a class, which is called"),
        (
            "python:./net.py:fails",
            r"called with \(3\) failed: ZeroDivisionError: division by zero \(.*parts.py, line 3\)",
        ),
        ("python:./raises.py:build", r"cannot be imported: KeyError: 'gone' \(.*raises\.py, line 2\)"),
        (
            "python:./missing.py:build",
            r"cannot be imported: ModuleNotFoundError: No module named 'no_such_module' \(.*mis",
        ),
    ],
)
def test_what_goes_wrong_in_it_is_said_with_its_last_line_and_file(
    code: OwnCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, message: str
) -> None:
    (tmp_path / "raises.py").write_text("A = {}\nA['gone']\n")
    (tmp_path / "missing.py").write_text("import no_such_module\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        call(parse_reference(reference), "model.name", 3)
