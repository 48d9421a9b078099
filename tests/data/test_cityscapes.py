"""Cityscapes in the layout of its two archives, with the odd cases that people have on disk."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autorf.data import CityscapesData, load
from autorf.errors import InputError
from autorf.store.data_digest import digest_of
from tests.data.scenes import SIZE, street, train_ids_of, write_cityscapes

NAME = "aachen_000000_000019"
PICTURE = f"leftImg8bit/train/aachen/{NAME}_leftImg8bit.png"
MASK = f"gtFine/train/aachen/{NAME}_gtFine_labelIds.png"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_cityscapes(tmp_path / "cityscapes")


def _fails(root: Path, **keys: object) -> str:
    with pytest.raises(InputError) as error:
        load(CityscapesData(root=root, image_size=SIZE, **keys))
    text = str(error.value)
    assert "\n" not in text
    assert len(text) <= 290
    return text


def test_the_34_label_ids_become_19_classes_and_the_others_are_ignored(root):
    splits = load(CityscapesData(root=root, image_size=SIZE))
    assert (len(splits.train), len(splits.val), splits.test) == (4, 2, None)
    assert (splits.n_classes, splits.ignore_index) == (19, 255)
    mask = splits.train.tensors([0])[1][0]
    assert torch.equal(mask, torch.from_numpy(train_ids_of(street(0))).long())
    assert set(mask.unique().tolist()) == {*range(19), 255}
    names = dict(enumerate(splits.class_names))
    assert [names[int(mask[street(0) == label].unique())] for label in (7, 11, 23, 26, 33)] == [
        "road", "building", "sky", "car", "bicycle",
    ]  # fmt: skip


def test_masks_of_train_ids_give_the_same(tmp_path):
    root = write_cityscapes(tmp_path / "cityscapes", train_ids=True)
    by_label, by_train = (load(CityscapesData(root=root, image_size=SIZE, ids=ids)).val for ids in ("label", "train"))
    assert torch.equal(by_label.tensors(range(2))[1], by_train.tensors(range(2))[1])


def test_masks_may_be_scored_at_their_own_size(root):
    val = load(CityscapesData(root=root, image_size=(20, 24), score_at="mask")).val
    assert list(val.mask_sizes) == [SIZE, SIZE]


def test_cities_are_found_however_the_disk_spells_their_accents(root):
    for folder in sorted(root.rglob("zürich*"), key=lambda path: -len(path.parts)):
        if "leftImg8bit" in folder.parts:
            folder.rename(folder.with_name(unicodedata.normalize("NFD", folder.name)))
    assert len(load(CityscapesData(root=root, image_size=SIZE)).train) == 4


def test_a_grey_picture_is_read(root):
    grey = Image.open(root / PICTURE).convert("L")
    grey.save(root / PICTURE)
    images = load(CityscapesData(root=root, image_size=SIZE)).train.tensors([0])[0]
    assert torch.allclose(images[0, 0] * 0.229 + 0.485, torch.from_numpy(np.asarray(grey).copy()) / 255, atol=1e-5)


def test_a_label_is_part_of_what_a_study_knows_of_its_images(root, tmp_path):
    spec = CityscapesData(root=root)
    before = digest_of(spec, tmp_path / "cache").summary()
    Image.fromarray(street(77)).save(root / MASK)
    after = digest_of(spec, tmp_path / "other").summary()
    assert before["splits"]["train"]["masks"] != after["splits"]["train"]["masks"]


@pytest.mark.parametrize("level", ["..", "leftImg8bit", "leftImg8bit/train", "gtFine"])
def test_a_wrong_folder_level_names_the_right_one(root, level):
    text = _fails((root / level).resolve())
    assert "; data.root is the folder of leftImg8bit, gtFine: give " in text
    assert text.endswith("/cityscapes")


def test_a_folder_of_something_else_says_where_the_data_is_to_be_had(tmp_path):
    assert _fails(tmp_path).endswith(
        "to be had as leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, the Cityscapes Dataset"
    )


def test_a_mask_or_an_image_that_is_missing_is_named(root):
    (root / MASK).rename(root / "mask.png")
    text = _fails(root)
    assert f"{NAME}_gtFine_labelIds.png: is not there, and its image is; to be had in leftImg8bit_tr" in text
    (root / "mask.png").rename(root / MASK)
    (root / PICTURE).unlink()
    assert f"has no image train/aachen/{NAME}_leftImg8bit.png" in _fails(root)


def test_a_split_without_images_is_named(root):
    for part in ("leftImg8bit", "gtFine"):
        (root / part / "val").rename(root / part / "elsewhere")
        (root / part / "val").mkdir()
    assert "val: holds no CITY/NAME_leftImg8bit.png" in _fails(root)
    (root / "gtFine" / "val").rmdir()
    assert "gtFine/val: is no folder; it is part of" in _fails(root)


def test_other_masks_that_are_there_are_named(root, tmp_path):
    text = _fails(root, ids="train")
    assert "_gtFine_labelTrainIds.png: is not there, and its image is; set data.ids: label to read labelIds" in text


def test_ids_outside_the_table_are_named(root):
    labels = street(0)
    labels[2, 3:5] = 34
    Image.fromarray(labels).save(root / MASK)
    assert _fails(root).endswith("labelIds.png: holds the value 34 at 2 pixels; labelIds are 0 to 33")


def test_label_ids_in_the_place_of_train_ids_are_refused(tmp_path):
    root = write_cityscapes(tmp_path / "cityscapes", train_ids=True)
    labels = root / MASK
    labels.with_name(labels.name.replace("labelIds", "labelTrainIds")).write_bytes(labels.read_bytes())
    assert "; labelTrainIds are 0 to 18, and 255 for the rest" in _fails(root, ids="train")


def test_a_damaged_picture_is_named(root):
    (root / PICTURE).write_bytes((root / PICTURE).read_bytes()[:100])
    assert f"{NAME}_leftImg8bit.png: cannot be read as a picture" in _fails(root)
