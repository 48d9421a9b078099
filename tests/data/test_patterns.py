"""Splits by lists of files and by patterns of their paths."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autorf.data import FolderData, load
from autorf.data.folder import folder_pairs
from autorf.errors import InputError

SIZE = (6, 8)


def write(root: Path, *paths: str) -> None:
    """Images where a path has no mark of a mask; masks of both classes elsewhere."""
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        is_mask = any(mark in path for mark in ("mask", "annot", "label"))
        pixels = np.arange(48, dtype=np.uint8).reshape(SIZE) % 2 if is_mask else np.zeros((*SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(file)


def stems(root: Path, **fields: Any) -> dict[str, list[tuple[str, str]]]:
    """Images and masks of every split, below the root."""
    spec = FolderData(**{"root": root, "classes": 2, "image_size": SIZE, **fields})
    load(spec)
    return {
        split: [(str(pair.image.relative_to(root)), str(pair.mask.relative_to(root))) for pair in pairs]
        for split, pairs in folder_pairs(spec).items()
    }


def test_camvid_s_layout_is_a_pattern_of_splits(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        write(tmp_path, f"{split}/a.png", f"{split}annot/a.png")
    assert stems(tmp_path, images="{split}", masks="{split}annot") == {
        split: [(f"{split}/a.png", f"{split}annot/a.png")] for split in ("train", "val", "test")
    }


def test_cityscapes_layout_is_a_pattern_of_stems_that_span_folders(tmp_path: Path) -> None:
    for split, city in (("train", "aachen"), ("val", "ulm")):
        for number in (0, 1):
            write(
                tmp_path, f"img/{split}/{city}/{city}_{number}_left.png", f"gt/{split}/{city}/{city}_{number}_label.png"
            )
            write(tmp_path, f"gt/{split}/{city}/{city}_{number}_labelcolors.png")
    found = stems(tmp_path, images="img/{split}/{stem}_left.png", masks="gt/{split}/{stem}_label.png")
    assert found["val"] == [(f"img/val/ulm/ulm_{n}_left.png", f"gt/val/ulm/ulm_{n}_label.png") for n in (0, 1)]
    assert [len(pairs) for pairs in found.values()] == [2, 2]


def test_a_pattern_in_each_split_s_folder_may_leave_the_suffix_open(tmp_path: Path) -> None:
    write(tmp_path, "train/a.jpg", "train/a_mask.png", "train/b.jpg", "train/b_mask.png")
    found = stems(tmp_path, images="{stem}.jpg", masks="{stem}_mask")
    assert sorted(found["train"] + found["val"]) == [
        ("train/a.jpg", "train/a_mask.png"),
        ("train/b.jpg", "train/b_mask.png"),
    ]


def test_lists_choose_by_stem_by_name_by_path_or_by_both_paths(tmp_path: Path) -> None:
    for name in "abcde":
        write(tmp_path, f"images/{name}.png", f"masks/{name}.png")
    write(tmp_path, "else/f.png", "else/f_mask.png")
    (tmp_path / "train.txt").write_text("# by hand\na\nb.png\n\nimages/c.png\nelse/f.png else/f_mask.png\n")
    (tmp_path / "val.txt").write_text("e\n")
    found = stems(tmp_path, train="train.txt", val="val.txt")
    assert found["val"] == [("images/e.png", "masks/e.png")]
    assert [image for image, _ in found["train"]] == ["images/a.png", "images/b.png", "images/c.png", "else/f.png"]
    assert "test" not in found


def test_two_paths_of_a_line_may_hold_spaces_where_tabs_are_between_them(tmp_path: Path) -> None:
    names = ["a 1", "b 2", "c"]
    write(tmp_path, *(f"my images/{name}.png" for name in names), *(f"my masks/m {name}.png" for name in names))
    lines = ["my images/a 1.png\tmy masks/m a 1.png", "my images/b 2.png \t\t my masks/m b 2.png"]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    (tmp_path / "val.txt").write_text("my images/c.png\tmy masks/m c.png\n")
    assert stems(tmp_path, images="my images", masks="my masks", train="train.txt", val="val.txt") == {
        "train": [(f"my images/{name}.png", f"my masks/m {name}.png") for name in names[:2]],
        "val": [("my images/c.png", "my masks/m c.png")],
    }


@pytest.mark.parametrize(
    ("train", "val", "said"),
    [
        ("a\nzzz\n", "b\n", r"train\.txt, line 2: 'zzz' names no image"),
        ("a\na.png\n", "b\n", r"train\.txt, line 2: 'a\.png' is listed twice"),
        ("a\nb\n", "b\n", r"images/b\.png: is in data\.train and in data\.val; an image has one split"),
        ("a\nc\n", "b\n", r"images/c\.png: has no mask; expected masks/c\.png below data\.root"),
        ("a\n", None, r"val\.txt: cannot be read as a list of files: No such file"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused_by_its_line(
    tmp_path: Path, train: str, val: str | None, said: str
) -> None:
    write(tmp_path, *(f"{part}/{name}.png" for part in ("images", "masks") for name in "ab"), "images/c.png")
    (tmp_path / "train.txt").write_text(train)
    if val is not None:
        (tmp_path / "val.txt").write_text(val)
    with pytest.raises(InputError, match=said):
        stems(tmp_path, train="train.txt", val="val.txt")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"images": "{name}.png"}, r"images: '\{name\}\.png' may hold \{stem\} and \{split\}"),
        ({"masks": "../{stem}.png"}, "is a place below data.root"),
        ({"images": "{split}/{stem}.jpg", "masks": "{split}annot"}, r"train/\{stem\}\.jpg matches no image"),
        ({"images": "{split}", "masks": "{split}labels"}, "trainlabels: does not exist"),
    ],
)
def test_a_pattern_that_matches_nothing_says_what_it_looked_for(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    write(tmp_path, "train/a.png", "trainannot/a.png", "val/a.png", "valannot/a.png")
    with pytest.raises(InputError, match=said):
        stems(tmp_path, **fields)
