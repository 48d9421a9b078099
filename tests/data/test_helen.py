"""Helen in the layout of SmithCVPR2013, with the odd cases that people have on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autorf.data import HelenData, load
from autorf.data.loading import labels_of
from autorf.errors import InputError
from autorf.store.data_digest import digest_of
from tests.data.faces import face, write_helen, write_helen_face

FIRST = "232201_1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_helen(tmp_path / "SmithCVPR2013_dataset_resized")


def _fails(root: Path) -> str:
    with pytest.raises(InputError) as error:
        load(HelenData(root=root, image_size=(40, 44)))
    text = str(error.value)
    assert "\n" not in text
    assert len(text) <= 290
    return text


def test_the_official_layout_is_read(root):
    splits = load(HelenData(root=root, image_size=(40, 44)))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (4, 2, 2)
    assert splits.n_classes == 11
    assert splits.ignore_index is None
    masks = splits.train.tensors(range(4))[1]
    assert torch.equal(masks[0], torch.from_numpy(face((40, 44), 1, 11)).long()), "the most probable part of each pixel"


def test_the_papers_groups_are_reported_and_hair_is_not_scored():
    labels = labels_of(HelenData(root=Path("x")))
    assert labels.groups is not None
    assert [labels.class_names[number] for number in labels.groups["mouth"]] == [
        "upper lip",
        "inner mouth",
        "lower lip",
    ]
    assert labels.groups["overall"] == tuple(range(2, 10))
    assert [labels.class_names[number] for number in labels.left_out] == ["hair"]


def test_the_most_probable_part_wins_the_first_of_several_and_background_where_none_is(root):
    folder = root / "labels" / FIRST
    maps = np.zeros((11, 40, 44), np.uint8)
    maps[:, 0, 0] = 255 * np.eye(11, dtype=np.uint8)[6]
    maps[3, 0, 1], maps[7, 0, 1] = 100, 100
    maps[5, 0, 2], maps[10, 0, 2] = 90, 91
    for label, probability in enumerate(maps):
        Image.fromarray(probability).save(folder / f"{FIRST}_lbl{label:02}.png")
    mask = load(HelenData(root=root, image_size=(40, 44))).train.tensors([0])[1][0]
    assert mask[0, :4].tolist() == [6, 3, 10, 0]


def test_maps_of_16_bits_grey_palettes_and_colour_files_that_are_grey_count_alike(root):
    folder, labels = root / "labels" / FIRST, face((40, 44), 1, 11)
    deep = np.where(labels == 4, 50000, 100).astype(np.uint16)
    Image.fromarray(deep).save(folder / f"{FIRST}_lbl04.png")
    grey = Image.open(folder / f"{FIRST}_lbl05.png")
    grey.convert("P").save(folder / f"{FIRST}_lbl05.png")
    Image.open(folder / f"{FIRST}_lbl06.png").convert("RGB").save(folder / f"{FIRST}_lbl06.png")
    mask = load(HelenData(root=root, image_size=(40, 44))).train.tensors([0])[1][0]
    assert torch.equal(mask, torch.from_numpy(labels).long())


def test_a_grey_picture_is_read_as_colours(root):
    file = root / "images" / f"{FIRST}.jpg"
    Image.open(file).convert("L").save(file)
    images = load(HelenData(root=root, image_size=(40, 44))).train.tensors([0])[0]
    assert images.shape == (1, 3, 40, 44)


def test_a_picture_is_turned_as_its_exif_says_and_must_then_agree_with_its_maps(root):
    file, labels = root / "images" / f"{FIRST}.jpg", face((40, 44), 1, 11)
    upright = Image.open(file).convert("RGB")
    exif = Image.Exif()
    exif[274] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(file, quality=95, exif=exif)
    images, masks = load(HelenData(root=root, image_size=(40, 44))).train.tensors([0])
    assert torch.equal(masks[0], torch.from_numpy(labels).long())
    red = images[0, 0] * 0.229 + 0.485
    expected = torch.from_numpy(np.asarray(upright)[..., 0].copy()) / 255
    assert (red - expected).abs().mean() < 0.05
    upright.save(file, exif=exif)
    assert "must agree; each is turned as its EXIF orientation says" in _fails(root)


def test_paths_that_are_not_ascii_are_read(tmp_path):
    root = write_helen(tmp_path / "Gesichter für Zoë")
    write_helen_face(root, "père_1", face((40, 44), 99, 11))
    with (root / "exemplars.txt").open("a", encoding="utf-8") as lines:
        lines.write("9 , père_1\n")
    assert len(load(HelenData(root=root, image_size=(20, 22))).train) == 5


def test_masks_may_be_scored_at_their_own_size(root):
    val = load(HelenData(root=root, image_size=(20, 22), score_at="mask")).val
    assert list(val.mask_sizes) == [(40, 44), (40, 44)]


def test_every_map_is_part_of_what_a_study_knows_of_its_images(root, tmp_path):
    spec = HelenData(root=root, image_size=(20, 22))
    before = digest_of(spec, tmp_path / "cache").summary()
    path = root / "labels" / FIRST / f"{FIRST}_lbl07.png"
    Image.fromarray(np.zeros((40, 44), np.uint8)).save(path)
    after = digest_of(spec, tmp_path / "other").summary()
    assert before["splits"]["train"]["masks"] != after["splits"]["train"]["masks"]
    assert before["splits"]["val"] == after["splits"]["val"]


@pytest.mark.parametrize("level", ["..", "images", "labels", f"labels/{FIRST}"])
def test_a_wrong_folder_level_names_the_right_one(root, level):
    text = _fails((root / level).resolve())
    assert "; data.root is the folder of images, labels, exemplars.txt, tuning.txt, testing.txt: give " in text
    assert text.endswith("/SmithCVPR2013_dataset_resized")


def test_a_folder_of_something_else_says_where_the_data_is_to_be_had(tmp_path):
    text = _fails(tmp_path)
    assert "holds no images; data.root is the folder of images, labels, exemplars.txt" in text
    assert "to be had as SmithCVPR2013_dataset_resized" in text


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "exemplars.txt: names no image; a line is 'NUMBER , NAME'"),
        ("Abdullah_Gul 13\n", "exemplars.txt, line 1: 'Abdullah_Gul 13' names no image; a line is 'NUMBER , NAME'"),
        (f"1 , {FIRST}\n2 , {FIRST}\n", "line 2: '232201_1' stands in line 1 too; keep one"),
        ("1 , 5_1\n", "names '5_1', of which there is no images/5_1.jpg; complete the images, or take its line away"),
        ("1 , ../5_1\n", "names no image"),
    ],
)
def test_a_bad_list_is_named(root, lines, said):
    (root / "exemplars.txt").write_text(lines)
    assert said in _fails(root)


def test_a_face_in_two_lists_is_refused(root):
    (root / "tuning.txt").write_text(f"1 , {FIRST}\n")
    assert "'232201_1' is in exemplars.txt and in tuning.txt; an image has one split" in _fails(root)


def test_a_list_that_is_no_text_is_named(root):
    (root / "testing.txt").write_bytes(b"\xff\xfe\x00")
    assert "testing.txt: cannot be read as a list of images: is no UTF-8 text" in _fails(root)


def test_a_missing_map_is_named(root):
    (root / "labels" / FIRST / f"{FIRST}_lbl07.png").unlink()
    assert f"{FIRST}_lbl07.png: cannot be read as a picture: No such file" in _fails(root)


def test_a_map_of_an_unknown_label_is_named(root):
    Image.fromarray(np.zeros((40, 44), np.uint8)).save(root / "labels" / FIRST / f"{FIRST}_lbl11.png")
    assert f"{FIRST}_lbl11.png: is a map of label 11; legal are 00 to 10" in _fails(root)


def test_a_damaged_map_is_named(root):
    path = root / "labels" / FIRST / f"{FIRST}_lbl03.png"
    path.write_bytes(path.read_bytes()[:60])
    assert f"{FIRST}_lbl03.png: cannot be read as" in _fails(root)


def test_a_damaged_picture_is_named(root):
    (root / "images" / f"{FIRST}.jpg").write_bytes(b"no picture")
    assert f"{FIRST}.jpg: cannot be read as a picture" in _fails(root)


def test_a_map_of_another_size_or_in_colour_is_named(root):
    path = root / "labels" / FIRST / f"{FIRST}_lbl03.png"
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(path)
    assert "is 40 x 40 pixels and the map of the background 40 x 44" in _fails(root)
    Image.fromarray(np.full((40, 44, 3), (9, 0, 0), np.uint8)).save(path)
    assert f"{FIRST}_lbl03.png: is a colour picture; a label probability map is grey" in _fails(root)


def test_mirrored_faces_are_refused_for_their_sides():
    with pytest.raises(InputError, match="keeps their labels; leave flip and flip_vertical out"):
        HelenData(root=Path("x"), augmentation={"flip": True})
