"""A data set is known by what its files hold, and nothing is hashed twice."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import pytest

from autorf.data import DataSet, DigitsData, FolderData, Labels, file_digest
from autorf.data.digest_cache import DigestCache
from autorf.data.pairs import Pair, find_pairs
from autorf.errors import InputError
from autorf.store.data_digest import DataDigest, digest_of
from autorf.store.image_changes import changes
from tests.data.conftest import WritePair

LONG_AGO = time.time() - 1000


@pytest.fixture
def data(tmp_path: Path, write_pair: WritePair) -> FolderData:
    """Four training and three validation pairs, written a while ago."""
    for split, count in (("train", 4), ("val", 3)):
        for at in range(count):
            write_pair(tmp_path / "data" / split / "images", tmp_path / "data" / split / "masks", f"{at}.png")
    for file in (tmp_path / "data").rglob("*.png"):
        os.utime(file, (LONG_AGO, LONG_AGO))
    return FolderData(root=tmp_path / "data", classes=3, image_size=(8, 8))


def digested(data: FolderData, rule: Any = None) -> DataDigest:
    found = digest_of(data, data.root.parent / "cache", rule)
    assert found is not None
    return found


def told(before: DataDigest, now: DataDigest) -> str:
    stored = json.loads(json.dumps(before.summary()))
    return changes(stored, json.loads(json.dumps(before.files)), now)


def edit(file: Path) -> None:
    """Change a byte, and leave size and time as they are."""
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(bytes(content))
    os.utime(file, (LONG_AGO, LONG_AGO))


def test_the_same_files_elsewhere_have_the_same_digest(data: FolderData) -> None:
    before = digested(data)
    moved = data.model_copy(update={"root": data.root.rename(data.root.parent / "elsewhere")})
    assert digested(moved).summary() == before.summary()
    assert before.rule == "content"
    assert before.summary()["splits"]["val"]["n"] == 3


@pytest.mark.parametrize("file", ["val/masks/1.png", "val/images/1.png", "train/masks/3.png", "train/images/3.png"])
def test_a_changed_byte_is_seen_and_its_file_named_even_where_size_and_time_are_kept(
    data: FolderData, file: str
) -> None:
    before = digested(data)
    edit(data.root / file)
    split, part, name = file.split("/")
    words = {"val": "validation", "train": "training"}[split]
    assert told(before, digested(data)) == f"the {words} {part[:-1]} {name} is changed"


def test_files_that_are_new_and_gone_are_told_apart_the_validation_split_first(
    data: FolderData, write_pair: WritePair
) -> None:
    before = digested(data)
    for at in range(2):
        (data.root / "train" / "images" / f"{at}.png").unlink()
        (data.root / "train" / "masks" / f"{at}.png").unlink()
    write_pair(data.root / "val" / "images", data.root / "val" / "masks", "new.png")
    assert told(before, digested(data)) == (
        "the validation image new.png is new, the validation mask new.png is new and 2 more"
    )


def test_without_the_list_of_files_the_split_is_named(data: FolderData) -> None:
    before = digested(data).summary()
    edit(data.root / "val" / "masks" / "1.png")
    assert changes(before, None, digested(data)) == "the validation split (3 images then, 3 now)"


def test_a_test_split_that_was_added_is_no_difference(data: FolderData, write_pair: WritePair) -> None:
    before = digested(data)
    write_pair(data.root / "test" / "images", data.root / "test" / "masks", "a.png")
    assert told(before, digested(data)) == ""
    assert told(digested(data), before) == "the test split is gone"


def test_beyond_the_bound_files_are_known_by_size_time_and_ends_but_validation_masks_by_content(
    data: FolderData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_digest, "_END", 16)
    large = data.model_copy(update={"digest_gb": 1e-7})
    before = digested(large)
    assert before.rule == "ends"
    image, mask = data.root / "train" / "images" / "2.png", data.root / "val" / "masks" / "2.png"
    middle = bytearray(image.read_bytes())
    middle[40] ^= 1
    image.write_bytes(bytes(middle))
    os.utime(image, (LONG_AGO, LONG_AGO))
    assert told(before, digested(large)) == "", "nobody looked into the middle"
    os.utime(image, (LONG_AGO + 5, LONG_AGO + 5))
    assert told(before, digested(large)).startswith("the training image 2.png is changed (by size, time and ends")
    os.utime(image, (LONG_AGO, LONG_AGO))
    content = bytearray(mask.read_bytes())
    content[40] ^= 1
    mask.write_bytes(bytes(content))
    os.utime(mask, (LONG_AGO, LONG_AGO))
    assert "the validation mask 2.png is changed" in told(before, digested(large))


@pytest.mark.parametrize("at", [0, -1])
def test_both_ends_of_a_large_file_are_looked_at(data: FolderData, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    monkeypatch.setattr(file_digest, "_END", 16)
    before, file = digested(data, "ends"), data.root / "train" / "images" / "1.png"
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(bytes(content))
    os.utime(file, (LONG_AGO, LONG_AGO))
    assert "the training image 1.png is changed" in told(before, digested(data, "ends"))


def test_a_file_of_two_ends_that_overlap_is_digested_too(data: FolderData) -> None:
    before = digested(data, "ends")
    edit(data.root / "val" / "images" / "1.png")
    assert "the validation image 1.png is changed" in told(before, digested(data, "ends"))


def test_generated_data_has_no_digest(tmp_path: Path) -> None:
    assert digest_of(DigitsData(n_train=4, n_val=2), tmp_path) is None
    assert not list(tmp_path.iterdir())


class Theirs(DataSet):
    """A data set of another package, which names its files where ``folder`` says so."""

    name: Literal["theirs"] = "theirs"
    image_size: tuple[int, int] = (8, 8)
    folder: Path | None = None

    def labels(self) -> Labels:
        return Labels(("a", "b", "c"))

    def sets(self) -> dict[str, Any]:
        return {}

    def files(self) -> dict[str, list[Pair]]:
        if self.folder is None:
            return super().files()  # type: ignore[return-value]
        return {"val": find_pairs(self.folder / "images", self.folder / "masks", "")}


def test_a_data_set_of_others_is_known_by_the_files_that_it_names(data: FolderData, tmp_path: Path) -> None:
    assert digest_of(Theirs(), tmp_path / "cache") is None
    named = digest_of(Theirs(folder=data.root / "val"), tmp_path / "cache")
    assert named is not None
    assert named.summary()["splits"]["val"] == digested(data).summary()["splits"]["val"]


def test_files_of_one_name_in_two_folders_are_two(data: FolderData, tmp_path: Path) -> None:
    class Both(Theirs):
        def files(self) -> dict[str, list[Pair]]:
            pairs = [
                find_pairs(data.root / split / "images", data.root / split / "masks", "") for split in ("train", "val")
            ]
            return {"val": pairs[0] + pairs[1]}

    both = digest_of(Both(), tmp_path / "cache")
    assert both is not None
    assert len(both.files["val"]["images"]) == 7


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read from here on."""
    read: list[Path] = []
    compute = file_digest._of_content

    def counting(file: Path) -> str:
        read.append(file)
        return compute(file)

    monkeypatch.setattr(file_digest, "_of_content", counting)
    return read


def test_no_file_is_read_twice_unless_it_has_changed(data: FolderData, monkeypatch: pytest.MonkeyPatch) -> None:
    read = counted(monkeypatch)
    first = digested(data)
    assert len(read) == 14
    assert digested(data).summary() == first.summary()
    assert len(read) == 14
    edit(data.root / "train" / "images" / "0.png")
    assert digested(data).summary() != first.summary()
    assert read[14:] == [data.root / "train" / "images" / "0.png"]


def test_a_file_that_has_just_changed_is_read_again(data: FolderData, monkeypatch: pytest.MonkeyPatch) -> None:
    file = data.root / "val" / "images" / "0.png"
    os.utime(file)
    read = counted(monkeypatch)
    digested(data)
    digested(data)
    assert read.count(file) == 2, "two states of one size could have one time"
    assert len(read) == 15


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 9, "files": {}}', b"\xff", None]
)
def test_a_damaged_cache_is_made_anew(data: FolderData, content: bytes | None) -> None:
    first = digested(data)
    (cache,) = (data.root.parent / "cache").iterdir()
    damaged = content if content is not None else cache.read_bytes()[:-9]
    cache.write_bytes(damaged)
    assert digested(data).summary() == first.summary()
    assert json.loads(cache.read_bytes())["version"] == 1


@pytest.mark.parametrize("entry", [["x"], 5, None, "abcd"])
def test_entries_of_another_shape_are_not_believed(data: FolderData, entry: object) -> None:
    first = digested(data)
    (cache,) = (data.root.parent / "cache").iterdir()
    content = json.loads(cache.read_bytes())
    content["files"] = dict.fromkeys(content["files"], entry)
    cache.write_text(json.dumps(content))
    assert digested(data).summary() == first.summary()


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(data: FolderData) -> None:
    (data.root.parent / "cache").write_text("no folder")
    assert digested(data).rule == "content"


BUILDER = """
import sys
from pathlib import Path
from autorf.data.digest_cache import DigestCache
root, cache, which = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
while True:
    known = DigestCache(cache, root)
    for file in sorted(root.rglob("*.png")):
        known.digest(file, which, lambda file: which * 5000)
    known._changed = True
    known.save()
"""


def test_two_builders_that_are_killed_leave_a_cache_that_is_whole(data: FolderData) -> None:
    cache = data.root.parent / "cache"
    builders = [
        subprocess.Popen([sys.executable, "-c", BUILDER, str(data.root), str(cache), which]) for which in ("a", "b")
    ]
    try:
        deadline = time.monotonic() + 30
        while not list(cache.glob("*.json")) and time.monotonic() < deadline:
            time.sleep(0.05)
        for _ in range(40):
            (content,) = [json.loads(file.read_bytes()) for file in cache.glob("*.json")]
            assert content["version"] == 1
            time.sleep(0.01)
    finally:
        for builder in builders:
            builder.kill()
            builder.wait()
    assert digested(data).rule == "content"


def test_a_file_that_vanishes_is_named(data: FolderData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png: cannot be read: No such file"):
        DigestCache(tmp_path / "cache", data.root).digest(data.root / "gone.png", "content", file_digest._of_content)
