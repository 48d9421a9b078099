from pathlib import Path

import pytest

from autorf.data.pairs import Pair, find_pairs, split_off
from autorf.errors import InputError


def pairs(count):
    return [Pair(Path(f"{i:03}.png"), Path(f"{i:03}_mask.png")) for i in range(count)]


def test_pairs_are_sorted_by_name_whatever_the_suffix(tmp_path, write_pair):
    for name in ("b.png", "a.JPG", "c.bmp"):
        write_pair(tmp_path / "images", tmp_path / "masks", name)
    assert [pair.image.name for pair in find_pairs(tmp_path / "images", tmp_path / "masks", "")] == [
        "a.JPG",
        "b.png",
        "c.bmp",
    ]


def test_a_folder_that_may_not_be_listed_is_named(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError) as error:
        find_pairs(tmp_path, tmp_path, "")
    assert str(error.value) == f"{tmp_path}: cannot be listed: Permission denied"


def test_a_split_has_the_share_asked_for_and_loses_nothing():
    kept, chosen = split_off(pairs(50), 0.2)
    assert len(chosen) == 10
    assert sorted(kept + chosen) == pairs(50)


def test_a_split_is_not_just_the_first_or_the_last_files():
    _, chosen = split_off(pairs(50), 0.2)
    numbers = [int(pair.image.stem) for pair in chosen]
    assert min(numbers) < 20
    assert max(numbers) > 30


def test_a_split_does_not_depend_on_order_or_folder():
    moved = [Pair(Path("elsewhere") / pair.image, pair.mask) for pair in reversed(pairs(30))]
    names = [[pair.image.name for pair in split_off(some, 0.3)[1]] for some in (pairs(30), moved)]
    assert names[0] == names[1]


def test_neither_part_of_a_split_is_empty():
    assert [len(part) for part in split_off(pairs(3), 0.01)] == [2, 1]
    assert [len(part) for part in split_off(pairs(3), 0.99)] == [1, 2]


def test_adding_a_file_moves_few_others():
    before = {pair.image for pair in split_off(pairs(100), 0.2)[1]}
    after = {pair.image for pair in split_off(pairs(101), 0.2)[1]}
    assert len(before - after) <= 1
