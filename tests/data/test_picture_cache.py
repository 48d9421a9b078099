"""Decoded pictures that all trials of a machine map: the same numbers, decoded once, whatever happens meanwhile."""

import errno
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from autorf.data import FolderData, load
from autorf.data import mapped as mapped_module
from autorf.data import picture_cache as module
from autorf.data.decoding import Decoder
from autorf.data.mapped import INDEX, Mapped
from autorf.data.picture_cache import Lease, PictureCache, kept_folders, remove_all_unused, remove_unused
from autorf.data.reading import OnDisk
from autorf.data.sources import InMemory
from autorf.data.splits import Splits
from autorf.errors import InputError
from tests.data.conftest import WritePair

N_FILES = {"train": 6, "val": 3, "test": 2}


@pytest.fixture
def root(tmp_path: Path, write_pair: WritePair) -> Path:
    for split, count in N_FILES.items():
        for number in range(count):
            size = (12, 16) if number % 2 else (20, 14)
            folder = tmp_path / "data" / split
            write_pair(folder / "images", folder / "masks", f"{split}{number}.png", size)
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def _unsaid() -> None:
    module._said.clear()


def spec(root: Path, **values: Any) -> FolderData:
    return FolderData(**{"root": root, "classes": 3, "image_size": [10, 8], **values})


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The pictures that are decoded from here on."""
    files: list[Path] = []
    read = Decoder.pixels

    def counting(self: Decoder, file: Path) -> Any:
        files.append(file)
        return read(self, file)

    monkeypatch.setattr(Decoder, "pixels", counting)
    return files


def assert_alike(some: Splits, others: Splits) -> None:
    for split in ("train", "val", "test"):
        for ours, theirs in zip(getattr(some, split), getattr(others, split), strict=True):
            assert torch.equal(ours[0], theirs[0])
            assert torch.equal(ours[1], theirs[1])


@pytest.mark.parametrize(
    "values",
    [{}, {"fit": "crop"}, {"score_at": "mask"}, {"channels": 3}, {"channels": 3, "normalise": "training"}],
    ids=lambda values: " ".join(values) or "plain",
)
def test_the_cache_holds_what_the_files_do_and_a_second_load_decodes_none(
    root: Path, tmp_path: Path, decoded: list[Path], values: dict[str, Any]
) -> None:
    plain = load(spec(root, **values))
    assert isinstance(plain.train.source, InMemory)
    first = load(spec(root, **values), cache=tmp_path / "cache")
    assert isinstance(first.train.source, Mapped)
    decoded.clear()
    second = load(spec(root, **values), cache=tmp_path / "cache")
    assert_alike(second, plain)
    assert second.train.normalisation == plain.train.normalisation
    assert second.val.mask_sizes == plain.val.mask_sizes
    assert decoded == []


@pytest.mark.parametrize("fit", ["resize", "crop"])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_arrays_of_every_kind_come_back_as_they_are_read(tmp_path: Path, fit: str, kind: str) -> None:
    rng = np.random.default_rng(0)
    for number in range(4):
        for part in ("images", "masks"):
            (tmp_path / "data" / part).mkdir(parents=True, exist_ok=True)
        image = (rng.random((5, 12, 14)) * 250).astype(kind)
        tifffile.imwrite(tmp_path / "data" / "images" / f"{number}.tif", image, photometric="minisblack")
        np.save(tmp_path / "data" / "masks" / f"{number}.npy", rng.integers(0, 3, (12, 14)))
    data = spec(tmp_path / "data", channels=5, fit=fit)
    plain, kept = load(data), load(data, cache=tmp_path / "cache")
    assert isinstance(kept.train.source, Mapped)
    assert kept.train.source.index.kind == ("float32" if kind == "uint16" and fit == "resize" else kind)
    for split in ("train", "val"):
        for index, pair in enumerate(getattr(plain, split)):
            assert all(torch.equal(*parts) for parts in zip(pair, getattr(kept, split)[index], strict=True))


def test_other_settings_of_decoding_and_other_contents_are_kept_apart(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    sizes = [load(spec(root, image_size=size), cache=cache).train[0][0].shape for size in ([10, 8], [6, 6])]
    assert sizes == [(3, 10, 8), (3, 6, 6)]
    assert len(kept_folders(cache / "pictures")) == 2
    (root / "train" / "images" / "train0.png").write_bytes((root / "train" / "images" / "train2.png").read_bytes())
    changed, plain = load(spec(root), cache=cache), load(spec(root))
    assert torch.equal(changed.train[0][0], plain.train[0][0])
    assert len(kept_folders(cache / "pictures")) == 3


def test_what_changes_nothing_that_is_decoded_shares_the_copy(root: Path, tmp_path: Path, decoded: list[Path]) -> None:
    load(spec(root), cache=tmp_path / "cache")
    decoded.clear()
    load(spec(root, half="a", augmentation={"flip": True}, left_out=[1]), cache=tmp_path / "cache")
    assert decoded == []


def test_a_bad_file_is_named_and_nothing_is_left(root: Path, tmp_path: Path) -> None:
    file = root / "test" / "images" / "test1.png"
    file.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"test1\.png: cannot be read as a picture"):
        load(spec(root), cache=tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache" / "pictures").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("damage", ["cut short", "no index", "another version", "an index of nonsense"])
def test_a_damaged_copy_is_decoded_again(root: Path, tmp_path: Path, damage: str) -> None:
    load(spec(root), cache=tmp_path / "cache")
    (folder,) = kept_folders(tmp_path / "cache" / "pictures")
    match damage:
        case "cut short":
            os.truncate(folder / "val.images", 7)
        case "no index":
            (folder / INDEX).unlink()
        case "another version":
            (folder / INDEX).write_text((folder / INDEX).read_text().replace('"version": 1', '"version": 2'))
        case _:
            (folder / INDEX).write_text('{"version": 1, "splits": {"train": []}}')
    assert_alike(load(spec(root), cache=tmp_path / "cache"), load(spec(root)))
    assert kept_folders(tmp_path / "cache" / "pictures") == [folder]


def test_a_larger_set_than_allowed_is_read_from_its_files_and_a_line_says_so(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autorf.data.reading.MEMORY_BOUND", 0)
    small = spec(root, cache_gb=3e-6)
    assert isinstance(load(small, cache=tmp_path / "cache").train.source, OnDisk)
    assert isinstance(load(small, cache=tmp_path / "cache").train.source, OnDisk)
    assert capsys.readouterr().err == (
        "autorf: data.cache_gb: the decoded pictures would take 3.52e-06 GB, more than 3e-06: files are read as they "
        "are needed; give more, or 0 to keep none\n"
    )
    load(spec(root, cache_gb=0), cache=tmp_path / "cache")
    assert capsys.readouterr().err == ""
    assert kept_folders(tmp_path / "cache" / "pictures") == []


def test_a_full_disk_falls_back_and_says_so(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(mapped_module, "flush_file", full)
    assert_alike(load(spec(root), cache=tmp_path / "cache"), load(spec(root)))
    assert capsys.readouterr().err == (
        f"autorf: {tmp_path}/cache/pictures: no decoded pictures are kept (No space left on device): files are read "
        "as they are needed\n"
    )
    assert [path for path in (tmp_path / "cache" / "pictures").iterdir() if path.is_dir()] == []


def test_a_disk_that_will_be_full_is_left_alone(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MARGIN", 2**62)
    load(spec(root), cache=tmp_path / "cache")
    assert "(the disk has less than the 3.52e-06 GB that they take): files are read" in capsys.readouterr().err


def test_a_root_that_cannot_be_written_falls_back_and_says_so(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("a file")
    assert_alike(load(spec(root), cache=tmp_path / "cache"), load(spec(root)))
    assert "no decoded pictures are kept (Not a directory)" in capsys.readouterr().err


def test_what_was_unused_for_longest_gives_way_unless_a_process_uses_it(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room_for_two = {"cache_gb": 8.5e-6}
    place = tmp_path / "cache" / "pictures"

    def keep(side: int) -> Splits:
        return load(spec(root, image_size=[side, 8], **room_for_two), cache=tmp_path / "cache")

    first = keep(10)
    assert isinstance(first.train.source, Mapped)
    used = first.train.source.folder
    keep(9)
    keep(10)
    (unused,) = set(kept_folders(place)) - {used}
    third = keep(8)
    assert unused not in kept_folders(place)
    assert used in kept_folders(place)
    expected = first.train[3][0].clone()
    assert isinstance(third.train.source, Mapped)
    assert isinstance(keep(7).train.source, InMemory), "both others are in use"
    assert "what running trials use leaves less than" in capsys.readouterr().err
    assert torch.equal(first.train[3][0], expected)


def test_pictures_in_use_are_not_removed(root: Path, tmp_path: Path) -> None:
    splits = load(spec(root), cache=tmp_path / "cache")
    (folder,) = kept_folders(tmp_path / "cache" / "pictures")
    assert remove_unused(folder) == 0
    del splits
    assert remove_unused(folder) > 11 * 10 * 8 * 4
    assert not folder.exists()


def test_of_two_builders_at_once_one_decodes_and_both_map(
    root: Path, tmp_path: Path, decoded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = Barrier(2)
    write = module.write_decoded

    def slowly(*arguments: Any) -> None:
        time.sleep(0.3)
        write(*arguments)

    def build(_: int) -> Splits:
        begun.wait()
        return load(spec(root), cache=tmp_path / "cache")

    monkeypatch.setattr(module, "write_decoded", slowly)
    # As for one that looked right before the other began.
    monkeypatch.setattr(PictureCache, "found", lambda *_: None)
    with ThreadPoolExecutor(2) as pool:
        # Locks are of open files, so that two threads keep each other out as two processes do.
        first, second = pool.map(build, range(2))
    assert len(decoded) == sum(N_FILES.values())
    assert isinstance(first.train.source, Mapped)
    assert isinstance(second.train.source, Mapped)
    assert_alike(first, second)


def test_making_room_removes_all_that_nobody_uses_and_what_killed_builders_left(root: Path, tmp_path: Path) -> None:
    place = tmp_path / "cache" / "pictures"
    used = load(spec(root), cache=tmp_path / "cache")
    load(spec(root, image_size=[6, 6]), cache=tmp_path / "cache")
    assert isinstance(used.train.source, Mapped)
    left = place / f".{used.train.source.folder.name}.abc"
    left.mkdir()
    (unused,) = set(kept_folders(place)) - {used.train.source.folder}
    assert remove_all_unused(place) > 11 * 6 * 6 * 4
    assert kept_folders(place) == [used.train.source.folder]
    assert not unused.exists()
    assert left.exists(), "its lock is held"
    del used
    remove_all_unused(place)
    assert [path for path in place.iterdir() if path.is_dir()] == []


BUILD = """
import os, sys, time
from pathlib import Path
from autorf.data import FolderData, load
from autorf.data.decoding import Decoder
def slow(self, pair):
    os.write(1, b"decoding\\n")  # whole, whatever other threads write
    time.sleep(60)
Decoder.decoded = slow
load(FolderData(root=sys.argv[1], classes=3, image_size=[10, 8]), cache=Path(sys.argv[2]))
"""


def test_a_builder_that_is_killed_leaves_no_part_and_keeps_nobody_waiting(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILD, str(root), str(tmp_path / "cache")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "decoding\n"
        os.kill(process.pid, signal.SIGKILL)
    place = tmp_path / "cache" / "pictures"
    assert [path.name[0] for path in place.iterdir() if path.is_dir()] == ["."], "it was in the middle"
    began = time.monotonic()
    assert_alike(load(spec(root), cache=tmp_path / "cache"), load(spec(root)))
    assert time.monotonic() - began < 10
    assert [path for path in place.iterdir() if path.name.startswith(".")] == []


def test_a_lease_ends_with_its_object(tmp_path: Path) -> None:
    first, second = Lease(tmp_path / "a.lock"), Lease(tmp_path / "a.lock")
    first.share()
    assert not second.alone(wait=False)
    del first
    assert second.alone(wait=False)


def test_a_copy_of_mapped_pictures_maps_the_same_files(root: Path, tmp_path: Path) -> None:
    source = load(spec(root), cache=tmp_path / "cache").train.source
    content = pickle.dumps(source)
    assert len(content) < 2000
    assert torch.equal(pickle.loads(content).read([2])[0], source.read([2])[0])
