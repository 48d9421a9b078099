"""PASCAL VOC 2012 in the layout of its archive, its augmented split, and the odd cases that people have on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autorf.data import VocData, load
from autorf.errors import InputError
from autorf.store.data_digest import digest_of
from tests.data.faces import face
from tests.data.scenes import SIZE, VOC_TRAIN, void_bordered, write_augmented, write_mat, write_palette, write_sbd
from tests.data.scenes import write_voc as write

NAME = VOC_TRAIN[0]
PICTURE, MASK = f"JPEGImages/{NAME}.jpg", f"SegmentationClass/{NAME}.png"
LISTS = "ImageSets/Segmentation"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path / "VOCdevkit" / "VOC2012")


def _fails(root: Path, **keys: object) -> str:
    with pytest.raises(InputError) as error:
        load(VocData(root=root, image_size=SIZE, **keys))
    text = str(error.value)
    assert "\n" not in text
    assert len(text) <= 290
    return text


def test_palette_masks_are_read_and_the_void_border_is_ignored(root):
    splits = load(VocData(root=root, image_size=SIZE))
    assert (len(splits.train), len(splits.val), splits.test) == (2, 2, None)
    assert (splits.n_classes, splits.ignore_index) == (21, 255)
    assert splits.class_names[0::20] == ("background", "tvmonitor")
    masks = splits.train.tensors([0])[1]
    assert torch.equal(masks[0], torch.from_numpy(void_bordered(0)).long())


def test_pictures_keep_their_scale_and_what_is_left_is_ignored(root):
    images, masks = load(VocData(root=root, image_size=(64, 64))).train.tensors([0])
    assert torch.equal(masks[0, :40, :48], torch.from_numpy(void_bordered(0)).long())
    assert (masks[0, 40:] == 255).all()
    assert (masks[0, :, 48:] == 255).all()
    # The mean colour, to the byte, is what a network sees as nearly nothing.
    assert images[0, :, 40:].abs().max() < 0.01
    own = load(VocData(root=root, image_size=SIZE)).train.tensors([0])[0]
    assert torch.equal(images[0, :, :40, :48], own[0])


def test_a_picture_that_is_too_large_is_shrunk_in_its_shape(root):
    masks = load(VocData(root=root, image_size=(24, 24))).train.tensors([0])[1]
    assert (masks[0, 20:] == 255).all()
    assert (masks[0, :20] != 255).float().mean() > 0.9
    stretched = load(VocData(root=root, image_size=(24, 24), fit="resize")).train.tensors([0])[1]
    assert (stretched[0, 20:] != 255).any()


def test_masks_may_be_scored_at_their_own_size_where_pictures_are_stretched(root):
    val = load(VocData(root=root, image_size=(24, 24), fit="resize", score_at="mask")).val
    assert list(val.mask_sizes) == [SIZE, SIZE]
    with pytest.raises(InputError, match="score_at: mask is for fit: resize; fit: pad keeps the masks' scale"):
        VocData(root=root, score_at="mask")


def test_a_grey_picture_that_exif_turns_is_read_upright(root):
    file = root / PICTURE
    grey, exif = Image.open(file).convert("L"), Image.Exif()
    exif[274] = 3
    grey.rotate(180).save(file, exif=exif, quality=95)
    images = load(VocData(root=root, image_size=SIZE)).train.tensors([0])[0]
    read = images[0, 0] * 0.229 + 0.485
    assert (read - torch.from_numpy(np.asarray(grey).copy()) / 255).abs().mean() < 0.02


def test_a_folder_with_accents_is_read(tmp_path):
    assert len(load(VocData(root=write(tmp_path / "Bilder für später" / "VOC2012"), image_size=SIZE)).train) == 2


def test_the_augmented_split_is_read_from_png_masks_by_deeplabs_list_or_by_names(root):
    write_augmented(root)
    spec = VocData(root=root, image_size=SIZE, augmented=True)
    splits = load(spec)
    assert (len(splits.train), len(splits.val)) == (3, 2)
    assert torch.equal(splits.train.tensors([2])[1][0], torch.from_numpy(face(SIZE, 52, 21)).long())
    lines = (root / LISTS / "trainaug.txt").read_text().splitlines()
    names = [line.split("/")[-1].removesuffix(".png") for line in lines]
    (root / LISTS / "trainaug.txt").write_text("\n".join(names))
    assert len(load(spec).train) == 3


def test_the_augmented_split_is_voc_and_sbd_without_what_validates(root, tmp_path):
    sbd = write_sbd(tmp_path / "benchmark_RELEASE" / "dataset")
    splits = load(VocData(root=root, image_size=SIZE, augmented=True, sbd=sbd))
    assert len(splits.train) == 4, "two of VOC's, and two of SBD's four: one is VOC's own, one validates"
    masks = splits.train.tensors(range(4))[1]
    expected = [void_bordered(0), void_bordered(1), face(SIZE, 80, 21), face(SIZE, 82, 21)]
    # By their paths: SBD's folder stands before VOC's here.
    assert all(torch.equal(mask, torch.from_numpy(labels).long()) for mask, labels in zip(masks, expected, strict=True))


def test_a_mat_file_is_part_of_what_a_study_knows_of_its_images(root, tmp_path):
    sbd = write_sbd(tmp_path / "sbd")
    spec = VocData(root=root, augmented=True, sbd=sbd)
    before = digest_of(spec, tmp_path / "cache").summary()
    write_mat(sbd / "cls" / "2008_000002.mat", face(SIZE, 5, 21))
    after = digest_of(spec, tmp_path / "other").summary()
    assert before["splits"]["train"]["masks"] != after["splits"]["train"]["masks"]
    assert before["splits"]["val"] == after["splits"]["val"]


@pytest.mark.parametrize("level", ["..", "../..", "JPEGImages", LISTS])
def test_a_wrong_folder_level_names_the_right_one(root, level):
    text = _fails((root / level).resolve())
    assert "; data.root is the folder of JPEGImages, SegmentationClass, ImageSets/Segmentation: give " in text
    assert text.endswith("/VOCdevkit/VOC2012")


def test_of_two_years_the_one_that_is_meant_is_named(root):
    write(root.parent / "VOC2007")
    assert _fails(root.parent).endswith("/VOCdevkit/VOC2012")


def test_a_folder_of_something_else_says_where_the_data_is_to_be_had(tmp_path):
    text = _fails(tmp_path)
    assert text.endswith("to be had as VOCtrainval_11-May-2012.tar, PASCAL Visual Object Classes Challenge 2012")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("\n\n", "train.txt: names no image; a line is 'NAME', or '/JPEGImages/NAME.jpg"),
        ("aeroplane 2007_000032 1\n", "train.txt, line 1: 'aeroplane 2007_000032 1' names no image"),
        ("../2007_000032\n", "names no image"),
        (f"{NAME}\n{NAME}\n", f"line 2: '{NAME}' stands in line 1 too; keep one"),
        ("2010_000001\n", "names '2010_000001', of which there is no JPEGImages/2010_000001.jpg; unpack"),
        ("2007_000033\n", "'2007_000033' is in ImageSets/Segmentation/train.txt and in ImageSets/Segmentation/val.txt"),
        ("/JPEGImages/a.jpg /SegmentationClassAug/b.png\n", "names no image"),
    ],
)
def test_a_bad_list_is_named(root, lines, said):
    (root / LISTS / "train.txt").write_text(lines)
    assert said in _fails(root)


def test_a_list_that_is_not_there_is_named(root):
    (root / LISTS / "val.txt").unlink()
    assert "val.txt: no such list; it is part of VOCtrainval_11-May-2012.tar" in _fails(root)


def test_a_mask_that_is_missing_damaged_or_of_another_size_is_named(root):
    (root / MASK).write_bytes((root / MASK).read_bytes()[:200])
    assert f"{NAME}.png: cannot be read as a picture" in _fails(root)
    write_palette(root / MASK, void_bordered(0)[:30])
    assert f"{NAME}.png: is 30 x 48 pixels, but its image" in _fails(root)
    (root / MASK).unlink()
    assert f"names '{NAME}', of which there is no SegmentationClass/{NAME}.png" in _fails(root)


def test_a_label_of_no_class_is_named(root):
    labels = void_bordered(0)
    labels[0, 0] = 21
    write_palette(root / MASK, labels)
    assert f"{NAME}.png: holds class 21; legal are 0 to 20, and 255 for ignored pixels" in _fails(root)


def test_an_augmented_split_that_is_not_there_says_what_there_may_be_instead(root):
    text = _fails(root, augmented=True)
    assert "holds no SegmentationClassAug, the PNG masks of the augmented split; give data.sbd" in text
    assert text.endswith("or augmented: false")


def test_an_augmented_list_with_a_validation_image_is_refused(root):
    write_augmented(root)
    (root / LISTS / "trainaug.txt").write_text("2007_000042\n")
    assert "'2007_000042' is in ImageSets/Segmentation/trainaug.txt and in ImageSets/Segmentation/val.txt" in _fails(
        root, augmented=True
    )


def test_sbd_at_a_wrong_level_or_without_the_augmented_split_is_refused(root, tmp_path):
    write_sbd(tmp_path / "benchmark_RELEASE" / "dataset")
    text = _fails(root, augmented=True, sbd=tmp_path / "benchmark_RELEASE")
    assert "data.sbd is the folder of img, cls, train.txt, val.txt: give " in text
    assert text.endswith("/benchmark_RELEASE/dataset")
    assert "expected in data.sbd: img, cls" in _fails(root, augmented=True, sbd=tmp_path / "nowhere")
    with pytest.raises(InputError, match="sbd: is what the augmented split is read from; set augmented: true"):
        VocData(root=root, sbd=tmp_path)


def test_sbd_that_adds_no_image_is_refused(root, tmp_path):
    sbd = write_sbd(tmp_path / "dataset")
    (sbd / "train.txt").write_text(f"{NAME}\n")
    (sbd / "val.txt").write_text("2007_000033\n")
    assert "its lists name no image that VOC's do not" in _fails(root, augmented=True, sbd=sbd)


def test_a_mat_file_that_is_damaged_or_holds_something_else_is_named(root, tmp_path):
    from scipy.io import savemat

    sbd = write_sbd(tmp_path / "dataset")
    file = sbd / "cls" / "2008_000002.mat"

    def fails() -> str:
        return _fails(root, augmented=True, sbd=sbd)

    file.write_bytes(file.read_bytes()[:150])
    assert "2008_000002.mat: cannot be read as a mask of SBD (GTcls.Segmentation)" in fails()
    savemat(file, {"GTinst": {"Segmentation": np.zeros(SIZE, np.uint8)}})
    assert "has no 'GTcls'; take it from the archive anew" in fails()
    write_mat(file, np.zeros(SIZE, np.float64))
    assert "GTcls.Segmentation holds 40 x 48 of float64; a mask is 2 sides of uint8" in fails()
    write_mat(file, np.full(SIZE, 21, np.uint8))
    assert "holds class 21; legal are 0 to 20" in fails()
    file.unlink()
    assert "2008_000002.mat: cannot be read as a picture: No such file" in fails()
