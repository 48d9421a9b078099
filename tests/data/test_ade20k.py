"""ADE20K in the layout of the SceneParsing benchmark, with the odd cases that people have on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autorf.data import Ade20kData, load
from autorf.errors import InputError
from tests.data.scenes import write_ade20k

SIZE = (52, 64)
NAME = "ADE_train_00000001"
PICTURE, MASK = f"images/training/{NAME}.jpg", f"annotations/training/{NAME}.png"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_ade20k(tmp_path / "ADEChallengeData2016")


def _fails(root: Path) -> str:
    with pytest.raises(InputError) as error:
        load(Ade20kData(root=root, image_size=SIZE))
    text = str(error.value)
    assert "\n" not in text
    assert len(text) <= 290
    return text


def test_1_to_150_are_the_classes_and_0_is_ignored(root):
    splits = load(Ade20kData(root=root, image_size=SIZE))
    assert (len(splits.train), len(splits.val), splits.test) == (3, 2, None)
    assert (splits.n_classes, splits.ignore_index) == (150, 255)
    stored = torch.from_numpy(np.asarray(Image.open(root / MASK)).copy()).long()
    mask = splits.train.tensors([0])[1][0]
    assert stored.unique().tolist() == list(range(151))
    assert torch.equal(mask, torch.where(stored == 0, 255, stored - 1))


def test_classes_have_the_benchmarks_names():
    names = Ade20kData(root=Path()).mask_table.values
    assert names == tuple(range(1, 151))
    from autorf.data.ade20k import CLASS_NAMES

    assert len(set(CLASS_NAMES)) == len(CLASS_NAMES) == 150
    numbered = {number: CLASS_NAMES[number - 1] for number in (1, 13, 21, 57, 108, 131, 144, 150)}
    assert numbered == {
        1: "wall", 13: "person", 21: "car", 57: "pool table", 108: "washer", 131: "screen", 144: "monitor", 150: "flag",
    }  # fmt: skip


def test_pictures_of_several_sizes_keep_their_shape(root):
    wide = np.asarray(Image.open(root / MASK))[:26]
    Image.open(root / PICTURE).crop((0, 0, 64, 26)).save(root / PICTURE)
    Image.fromarray(wide).save(root / MASK)
    masks = load(Ade20kData(root=root, image_size=(32, 32))).train.tensors(range(2))[1]
    assert (masks[0, 13:] == 255).all()
    assert (masks[0, :13] != 255).any(1).all()
    assert (masks[1, :26] != 255).any(1).all()


@pytest.mark.parametrize("level", ["..", "images", "images/training", "annotations/validation"])
def test_a_wrong_folder_level_names_the_right_one(root, level):
    text = _fails((root / level).resolve())
    assert "; data.root is the folder of images, annotations: give " in text
    assert text.endswith("/ADEChallengeData2016")


def test_a_folder_of_something_else_says_where_the_data_is_to_be_had(tmp_path):
    assert _fails(tmp_path).endswith(
        "to be had as ADEChallengeData2016.zip, the MIT Scene Parsing Benchmark (SceneParse150)"
    )


def test_an_image_or_an_annotation_that_is_missing_is_named(root):
    (root / MASK).rename(root / "mask.png")
    assert f"{NAME}.jpg: has no mask; expected " in _fails(root)
    (root / "mask.png").rename(root / MASK)
    (root / PICTURE).unlink()
    assert f"{NAME}.png: has no image" in _fails(root)


def test_a_label_outside_the_table_is_named(root):
    labels = np.asarray(Image.open(root / MASK)).copy()
    labels[0, :3] = 151
    Image.fromarray(labels).save(root / MASK)
    assert "holds the value 151 at 3 pixels; 1 to 150 are classes, and 0 is none of them" in _fails(root)


def test_an_annotation_of_colours_is_named(root):
    Image.open(root / MASK).convert("RGB").save(root / MASK)
    assert f"{NAME}.png: is a colour picture (RGB)" in _fails(root)
