import json
from pathlib import Path

import pytest

from autorf.errors import InputError
from autorf.own_code.code import OwnCode, read_code
from autorf.own_code.reference import parse_reference


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def code(folder: Path, *references: str) -> OwnCode:
    return read_code(map(parse_reference, references), folder)


def test_everything_that_a_file_imports_of_the_users_own_belongs_to_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        net="import layers\nfrom pack.inner import deep\ndef build(n):\n    import late",
        layers="import torch",
        late="import json",
        json="never read: json is Python's",
        other="not imported",
    )
    (tmp_path / "pack" / "inner").mkdir(parents=True)
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "inner" / "__init__.py").write_text("from . import deep\nfrom .. import side")
    (tmp_path / "pack" / "inner" / "deep.py").write_text("")
    (tmp_path / "pack" / "side.py").write_text("")
    read = code(tmp_path, "python:./net.py:build")
    assert set(read.modules) == {"net", "layers", "late", "pack", "pack.inner", "pack.inner.deep", "pack.side"}


def test_a_change_anywhere_in_it_changes_the_digest_and_nothing_else_does(tmp_path: Path) -> None:
    write(tmp_path, net="import layers", layers="A = 1", data="B = 1", other="C = 1")
    both = ("python:./net.py:build", "python:./data.py:build")
    before = code(tmp_path, *both)
    net, data = map(parse_reference, both)
    write(tmp_path, other="C = 2")
    assert code(tmp_path, *both) == before
    write(tmp_path, layers="A = 2")
    after = code(tmp_path, *both)
    assert after.digest != before.digest
    assert after.digest_of_reference(net) != before.digest_of_reference(net)
    assert after.digest_of_reference(data) == before.digest_of_reference(data)


def test_an_editors_line_ends_change_no_digest(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_bytes(b"A = 1\nB = 2\n")
    unix = code(tmp_path, "python:./net.py:build").digest
    (tmp_path / "net.py").write_bytes(b"A = 1\r\nB = 2\r\n")
    assert code(tmp_path, "python:./net.py:build").digest == unix


def test_a_module_beside_the_study_file_comes_before_an_installed_one(tmp_path: Path) -> None:
    assert set(code(tmp_path, "python:timm.models.resnet:resnet18").installed) == {"timm.models.resnet"}
    write(tmp_path, timm__models__resnet="def resnet18(): ...")
    assert set(code(tmp_path, "python:timm.models.resnet:resnet18").modules) == {"timm.models.resnet"}


def test_it_survives_the_journey_to_another_machine(tmp_path: Path) -> None:
    write(tmp_path, net="import layers", layers="A = 1")
    read = code(tmp_path, "python:./net.py:build", "python:timm:create_model")
    assert OwnCode.from_json(json.loads(json.dumps(read.to_json()))) == read


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path, net="", inner__net="")
    with pytest.raises(InputError, match=r"are both imported as 'net'; rename one"):
        code(tmp_path, "python:./net.py:build", "python:./inner/net.py:build")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("python:./nte.py:build", r"there is no file .*nte\.py; paths are relative to the study file's folder"),
        ("python:no.such:build", r"there is no module 'no\.such' beside the study file, and none is installed"),
        ("python:./wrong.py:build", r"wrong\.py, line 2: is no Python"),
        ("python:./latin.py:build", r"latin\.py: is not UTF-8 text"),
    ],
)
def test_code_that_cannot_be_read_is_refused_naming_the_file(tmp_path: Path, reference: str, message: str) -> None:
    write(tmp_path, wrong="A = 1\ndef (:")
    (tmp_path / "latin.py").write_bytes(b"A = '\xe4'")
    with pytest.raises(InputError, match=message):
        code(tmp_path, reference)


def test_a_file_that_is_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("#" * (2**21 + 1))
    with pytest.raises(InputError, match="a source file has at most"):
        code(tmp_path, "python:./net.py:build")
