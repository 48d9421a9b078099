"""The part labels of LFW in the layout of their archives, with the odd cases that people have on disk."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autorf.data import LfwData, load
from autorf.errors import InputError
from autorf.store.data_digest import digest_of
from tests.data.faces import face, write_lfw

NAME = "Abdullah_Gul"
PICTURE = f"lfw_funneled/{NAME}/{NAME}_0001.jpg"
MASK = f"parts_lfw_funneled_gt_images/{NAME}_0001.ppm"
REGIONS = f"parts_lfw_funneled_superpixels_mat/{NAME}/{NAME}_0001.dat"
LABELS = f"parts_lfw_funneled_gt/{NAME}/{NAME}_0001.dat"


@pytest.fixture(params=[False, True], ids=["pictures", "superpixels"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_lfw(tmp_path / "lfw", superpixels=request.param)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_lfw(tmp_path / "lfw")


@pytest.fixture
def superpixels(tmp_path: Path) -> Path:
    return write_lfw(tmp_path / "lfw", superpixels=True)


def _fails(root: Path) -> str:
    with pytest.raises(InputError) as error:
        load(LfwData(root=root, image_size=(50, 50)))
    text = str(error.value)
    assert "\n" not in text
    assert len(text) <= 290
    return text


def test_the_official_layout_is_read_from_pictures_and_from_superpixels(root):
    splits = load(LfwData(root=root, image_size=(50, 50)))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (2, 2, 2)
    assert splits.class_names == ("background", "hair", "skin")
    masks = splits.train.tensors(range(2))[1]
    assert torch.equal(masks[0], torch.from_numpy(face((50, 50), 0, 3)).long())
    assert torch.equal(masks[1], torch.from_numpy(face((50, 50), 1, 3)).long()), "number 13 is José_Maria_Aznar_0013"


def test_names_are_found_however_the_disk_spells_their_accents(pictures):
    for file in sorted(pictures.rglob("José*"), key=lambda path: -len(path.parts)):
        file.rename(file.with_name(unicodedata.normalize("NFD", file.name)))
    assert len(load(LfwData(root=pictures, image_size=(20, 20))).train) == 2


def test_a_grey_picture_that_exif_turns_is_read_upright(pictures):
    file = pictures / PICTURE
    grey, exif = Image.open(file).convert("L"), Image.Exif()
    exif[274] = 3
    grey.rotate(180).save(file, exif=exif, quality=95)
    images = load(LfwData(root=pictures, image_size=(50, 50))).train.tensors([0])[0]
    read = images[0, 0] * 0.229 + 0.485
    assert (read - torch.from_numpy(np.asarray(grey).copy()) / 255).abs().mean() < 0.02


def test_masks_may_be_scored_at_their_own_size(root):
    val = load(LfwData(root=root, image_size=(20, 20), score_at="mask")).val
    assert list(val.mask_sizes) == [(50, 50), (50, 50)]


def test_both_superpixel_files_are_part_of_what_a_study_knows_of_its_images(superpixels, tmp_path):
    spec = LfwData(root=superpixels)
    before = digest_of(spec, tmp_path / "cache").summary()
    path = superpixels / LABELS
    path.write_text(path.read_text().replace("0", "1"))
    after = digest_of(spec, tmp_path / "other").summary()
    assert before["splits"]["train"]["masks"] != after["splits"]["train"]["masks"]


@pytest.mark.parametrize("level", ["..", "lfw_funneled", f"lfw_funneled/{NAME}"])
def test_a_wrong_folder_level_names_the_right_one(pictures, level):
    text = _fails((pictures / level).resolve())
    assert "; data.root is the folder of lfw_funneled, parts_train.txt" in text
    assert text.endswith("/lfw")


def test_a_folder_of_something_else_says_where_the_data_is_to_be_had(tmp_path):
    text = _fails(tmp_path)
    assert text.endswith("to be had as LFW funneled and Part Labels Database, University of Massachusetts")


def test_labels_that_are_not_there_are_named(pictures):
    (pictures / "parts_lfw_funneled_gt_images").rename(pictures / "elsewhere")
    assert "holds no labels: parts_lfw_funneled_gt_images, or parts_lfw_funneled_superpixels_mat and" in _fails(
        pictures
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("\n\n", "parts_train.txt: names no image; a line is 'NAME NUMBER'"),
        ("1 , 232194_1\n", "parts_train.txt, line 1: '1 , 232194_1' names no image; a line is 'NAME NUMBER'"),
        (f"{NAME} 1\n{NAME} 1\n", "line 2: 'Abdullah_Gul_0001' stands in line 1 too"),
        (f"{NAME} 7\n", "Abdullah_Gul_0007.jpg: cannot be read as a picture: No such file or directory"),
        (f"../{NAME} 7\n", "names no image"),
        ("Tom_Cruise 1\n", "'Tom_Cruise_0001' is in parts_train.txt and in parts_test.txt; an image has one split"),
    ],
)
def test_a_bad_list_is_named(pictures, lines, said):
    (pictures / "parts_train.txt").write_text(lines)
    assert said in _fails(pictures)


def test_a_missing_label_picture_is_named(pictures):
    (pictures / MASK).unlink()
    assert "Abdullah_Gul_0001.ppm: cannot be read as a picture: No such file" in _fails(pictures)


def test_a_colour_of_no_class_is_named_with_how_many_pixels_have_it(pictures):
    colours = np.asarray(Image.open(pictures / MASK)).copy()
    colours[3, 4:6] = (255, 255, 0)
    Image.fromarray(colours).save(pictures / MASK)
    assert "holds the colour [255, 255, 0] at 2 pixels; hair is [255, 0, 0]" in _fails(pictures)


def test_a_grey_or_damaged_label_picture_is_named(pictures):
    Image.open(pictures / MASK).convert("L").save(pictures / MASK)
    assert "is no colour picture (L); hair is red" in _fails(pictures)
    (pictures / MASK).write_bytes(b"P6\n50 50\n255\nshort")
    assert "Abdullah_Gul_0001.ppm: cannot be read as a picture" in _fails(pictures)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (LABELS, "2\n0\n3\n", "holds label 3; legal are 0 (hair), 1 (skin) and 2 (background)"),
        (LABELS, "5\n0\n1\n", "holds 2 labels and says 5: it holds how many there are first"),
        (LABELS, "", "holds 0 labels at most"),
        (REGIONS, "0 1\n0\n", "its lines are not equally long"),
        (REGIONS, "0 x\n", "is no text of whole numbers; take it from the archive anew"),
        (REGIONS, "0 -1\n", "holds superpixel -1"),
        (REGIONS, "0 1\n", "is 1 x 2 pixels, but its image"),
    ],
)
def test_a_damaged_superpixel_file_is_named(superpixels, file, text, said):
    (superpixels / file).write_text(text)
    assert said in _fails(superpixels)


def test_a_superpixel_without_a_label_is_named(superpixels):
    (superpixels / LABELS).write_text("1\n0\n")
    text = _fails(superpixels)
    assert text.endswith("Abdullah_Gul_0001.dat has labels of 0 to 0")
    assert "holds superpixel " in text
