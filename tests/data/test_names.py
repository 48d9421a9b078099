"""File names are compared as they look, and what cannot be written is refused by name."""

import os
import unicodedata
from pathlib import Path

import pytest

from autorf.data import CamVidData, FassegData, FolderData, Pictures, load
from autorf.data.names import on_disk, shown, spelled
from autorf.data.pairs import Pair, find_pairs, require_folder, split_off
from autorf.errors import InputError
from tests.data.conftest import WritePair

COMPOSED, APART = unicodedata.normalize("NFC", "ángström"), unicodedata.normalize("NFD", "ángström")


def folder(root: Path, write_pair: WritePair, name: str = "b.png", n: int = 1) -> FolderData:
    for split in ("train", "val"):
        for at in range(n):
            write_pair(root / split / "images", root / split / "masks", f"{at}{name}")
    return FolderData(root=root, classes=3, image_size=(8, 8))


@pytest.mark.parametrize(("image", "mask"), [(COMPOSED, APART), (APART, COMPOSED), (APART, APART)])
def test_an_image_and_its_mask_may_spell_one_name_differently(
    tmp_path: Path, write_pair: WritePair, image: str, mask: str
) -> None:
    data = folder(tmp_path, write_pair)
    write_pair(tmp_path / "train" / "images", tmp_path / "train" / "masks", f"{image}.png")
    (tmp_path / "train" / "masks" / f"{image}.png").rename(tmp_path / "train" / "masks" / f"{mask}.png")
    assert len(load(data).train) == 2


def test_two_spellings_in_one_folder_are_one_name(tmp_path: Path, write_pair: WritePair) -> None:
    data = folder(tmp_path, write_pair)
    for name in (COMPOSED, APART):
        write_pair(tmp_path / "train" / "images", tmp_path / "train" / "masks", f"{name}.png")
    with pytest.raises(InputError, match="has the same stem as"):
        load(data)
    assert len(find_pairs(tmp_path / "train" / "images", tmp_path / "train" / "masks", "", "bytes")) == 3


def test_the_images_that_validate_do_not_depend_on_the_spelling(tmp_path: Path) -> None:
    def chosen(form: str, names: str = "nfc") -> list[str]:
        files = [unicodedata.normalize(form, f"é{at}.png") for at in range(20)]
        _, validating = split_off([Pair(Path(file), Path(file)) for file in files], 0.3, names)  # type: ignore[arg-type]
        return sorted(spelled(pair.image.name) for pair in validating)

    assert chosen("NFC") == chosen("NFD")
    assert chosen("NFC", "bytes") != chosen("NFD", "bytes")


@pytest.mark.parametrize(("written", "there"), [(COMPOSED, APART), (APART, COMPOSED)])
def test_a_folder_is_found_in_either_spelling(tmp_path: Path, write_pair: WritePair, written: str, there: str) -> None:
    data = folder(tmp_path / there, write_pair)
    for split in ("train", "val"):
        (tmp_path / there / split / "images").rename(tmp_path / there / split / there)
    named = data.model_copy(update={"root": tmp_path / written, "images": written})
    assert len(load(named).val) == 1
    assert on_disk(tmp_path / written) == tmp_path / there
    assert on_disk(tmp_path / "nowhere" / written) == tmp_path / "nowhere" / written


def test_a_study_from_before_tells_names_by_their_bytes(tmp_path: Path, write_pair: WritePair) -> None:
    for at in range(6):
        write_pair(tmp_path / "train" / "images", tmp_path / "train" / "labels", f"{APART}{at}.png", classes=6)
        write_pair(tmp_path / "test" / "images", tmp_path / "test" / "labels", f"{at}.png", classes=6)
    data = FassegData(root=tmp_path, image_size=(8, 8), pictures=Pictures(names="bytes"))
    assert len(load(data).train) == 4


@pytest.mark.parametrize("part", ["images", "masks"])
def test_a_name_that_is_no_utf_8_is_refused_by_name(tmp_path: Path, write_pair: WritePair, part: str) -> None:
    data = folder(tmp_path, write_pair)
    path = os.fsencode(tmp_path / "train" / part) + b"/caf\xe9.png"
    with open(path, "wb"):  # noqa: PTH123
        pass
    with pytest.raises(InputError, match=r"/caf\\udce9\.png: its name is no UTF-8 text; rename it"):
        load(data)


def test_another_file_of_such_a_name_does_not_matter(tmp_path: Path, write_pair: WritePair) -> None:
    data = folder(tmp_path, write_pair)
    with open(os.fsencode(tmp_path / "train" / "images") + b"/caf\xe9.txt", "wb"):  # noqa: PTH123
        pass
    assert len(load(data).train) == 1


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mred", "a\rb", "tab\there", "a\u2028b", "a\u202eb"])
def test_a_name_with_control_characters_comes_out_in_one_printable_line(
    tmp_path: Path, write_pair: WritePair, name: str
) -> None:
    data = folder(tmp_path, write_pair, f"{name}.png")
    for part, content in (("images", b"no picture"), ("masks", b"")):
        (tmp_path / "val" / part / f"0{name}.png").write_bytes(content)
    with pytest.raises(InputError) as error:
        load(data)
    assert str(error.value).isprintable()
    assert "cannot be read as a picture" in str(error.value)
    (tmp_path / "val" / "images" / f"0{name}.png").unlink()
    with pytest.raises(InputError) as error:
        load(data)
    assert str(error.value).isprintable()
    assert "has no image" in str(error.value)


def test_of_a_long_path_the_end_is_shown_for_it_names_the_file(tmp_path: Path, write_pair: WritePair) -> None:
    root = tmp_path / ("long" * 40) / ("deep" * 40)
    data = folder(root, write_pair, f"{'name' * 20}.png")
    (root / "val" / "masks" / f"0{'name' * 20}.png").write_bytes(b"")
    with pytest.raises(InputError) as error:
        load(data)
    assert f"0{'name' * 20}.png: cannot be read" in str(error.value)
    assert len(str(error.value)) < 290


def test_a_path_is_shown_as_it_is_where_it_can_be() -> None:
    assert shown(Path("a b/ü.png")) == "a b/ü.png"
    assert shown(Path("x" * 200)) == f"...{'x' * 137}"


@pytest.mark.parametrize("root", ["x" * 5000, "a/" * 3000, "a\0b", "a\nb", "\x1b[31m", ""])
@pytest.mark.parametrize("kind", [FolderData, FassegData, CamVidData])
def test_a_root_that_no_disk_could_have_is_one_line(root: str, kind: type) -> None:
    values = {"classes": 3} if kind is FolderData else {}
    with pytest.raises(InputError) as error:
        load(kind(root=root, image_size=(8, 8), **values))
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 480
    assert "expected " in str(error.value)


def test_a_folder_behind_a_closed_door_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: object, **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os.path, "isdir", lambda _: False)
    monkeypatch.setattr(Path, "stat", closed)
    with pytest.raises(InputError, match=r"x: cannot be opened \(Permission denied\); expected in data.root: it"):
        require_folder(tmp_path / "x", "it")


@pytest.mark.parametrize("part", ["train", "val", "images", "masks"])
def test_a_folder_s_name_that_no_disk_could_have_is_one_line(tmp_path: Path, write_pair: WritePair, part: str) -> None:
    data = folder(tmp_path, write_pair).model_copy(update={part: "x" * 5000})
    with pytest.raises(InputError, match="cannot be opened"):
        load(data)
