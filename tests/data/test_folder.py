import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from autorf.data import FolderData, load, reading
from autorf.errors import InputError
from autorf.specification import parse

SIZE = (12, 16)


@pytest.fixture
def root(tmp_path, write_pair):
    """Six training, three validation and two test pairs with three classes."""
    for split, count in (("train", 6), ("val", 3), ("test", 2)):
        for i in range(count):
            write_pair(tmp_path / split / "images", tmp_path / split / "masks", f"{split}{i}.png")
    return tmp_path


def spec(root, **values):
    return FolderData(**{"root": root, "classes": 3, "image_size": SIZE, **values})


def complaint(data):
    with pytest.raises(InputError) as error:
        load(data)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_splits_are_read_as_laid_out(root):
    splits = load(spec(root))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (6, 3, 2)
    assert splits.n_classes == 3
    assert splits.class_names == ("0", "1", "2")
    assert splits.ignore_index is None
    assert splits.image_size == SIZE


def test_images_and_masks_of_one_stem_belong_together(root):
    source = load(spec(root)).train.source
    assert torch.equal(source.images, (source.masks * 80)[:, None].expand(-1, 3, -1, -1))


def test_images_and_masks_hold_what_the_files_hold(root):
    image, mask = load(spec(root)).train.source.read([2])
    expected = np.array(Image.open(root / "train" / "images" / "train2.png"))
    assert torch.equal(image[0].permute(1, 2, 0), torch.from_numpy(expected))
    assert np.array_equal(mask[0], np.array(Image.open(root / "train" / "masks" / "train2.png")))


def test_a_test_split_is_optional(root):
    shutil.rmtree(root / "test")
    assert load(spec(root)).test is None


def test_without_a_validation_folder_part_of_training_validates(root):
    shutil.rmtree(root / "val")
    splits = load(spec(root, val_fraction=0.34))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (4, 2, 2)
    images = [image.numpy().tobytes() for part in (splits.train, splits.val) for image in part.source.images]
    assert len(set(images)) == 6
    again = load(spec(root, val_fraction=0.34))
    assert torch.equal(splits.val.source.images, again.val.source.images)


def test_images_and_masks_may_lie_directly_in_the_root(root):
    flat = root / "train"
    splits = load(spec(flat, val_fraction=0.5))
    assert (len(splits.train), len(splits.val)) == (3, 3)
    assert splits.test is None


def test_classes_and_folders_may_have_names(root):
    for split in ("train", "val"):
        (root / split / "images").rename(root / split / "photos")
        (root / split / "masks").rename(root / split / "labels")
    (root / "val").rename(root / "valid")
    shutil.rmtree(root / "test")
    names = ["soil", "crop", "weed"]
    splits = load(spec(root, classes=names, images="photos", masks="labels", val="valid"))
    assert splits.class_names == ("soil", "crop", "weed")
    assert (len(splits.train), len(splits.val)) == (6, 3)


def test_a_split_asked_for_by_name_must_be_there(root):
    assert complaint(spec(root, val="vald")).startswith(f"{root / 'vald' / 'images'}: does not exist")


def test_resizing_stretches_images_and_keeps_whole_classes_in_masks(root):
    splits = load(spec(root, image_size=[24, 40]))
    images, masks = splits.train.tensors(range(6))
    assert images.shape == (6, 3, 24, 40)
    assert set(masks.unique().tolist()) == {0, 1, 2}


def test_cropping_cuts_the_middle_at_its_own_scale(root):
    whole, cut = load(spec(root)).train.source, load(spec(root, image_size=[8, 10], fit="crop")).train.source
    assert torch.equal(cut.images, whole.images[..., 2:10, 3:13])
    assert torch.equal(cut.masks, whole.masks[..., 2:10, 3:13])


def test_ignored_pixels_are_kept_as_they_are(root):
    file = root / "train" / "masks" / "train0.png"
    mask = np.array(Image.open(file))
    mask[:3] = 255
    Image.fromarray(mask).save(file)
    splits = load(spec(root, ignore_index=255))
    assert splits.ignore_index == 255
    assert splits.train.tensors([0])[1][0, :3].eq(255).all()


def test_a_large_data_set_is_decoded_when_it_is_read(root, monkeypatch):
    kept = load(spec(root))
    monkeypatch.setattr(reading, "MEMORY_BOUND", 11 * 4 * 12 * 16 - 1)
    lazy = load(spec(root))
    assert isinstance(lazy.train.source, reading.OnDisk)
    assert len(lazy.train) == 6
    for expected, read in zip(kept.train.tensors([5, 1]), lazy.train.tensors([5, 1]), strict=True):
        assert torch.equal(expected, read)


def test_a_large_data_set_is_checked_as_a_whole_too(root, monkeypatch):
    monkeypatch.setattr(reading, "MEMORY_BOUND", 0)
    file = root / "test" / "images" / "test1.png"
    file.write_bytes(b"no picture")
    assert str(file) in complaint(spec(root))


def test_a_missing_root_names_the_path_and_the_layout(tmp_path):
    message = complaint(spec(tmp_path / "nowhere"))
    assert message.startswith(f"{tmp_path / 'nowhere'}: does not exist; expected ")
    assert message.endswith("in data.root: {train,val}/{images,masks} or {images,masks}")


def test_a_root_that_is_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    assert "is no folder" in complaint(spec(tmp_path / "file"))


def test_an_empty_root_names_the_folder_that_is_missing(tmp_path):
    message = complaint(spec(tmp_path))
    assert message.startswith(f"{tmp_path / 'train' / 'images'}: does not exist; expected in data.root: {{train,val}}/")


def test_a_split_without_images_names_its_folder(root):
    for file in [*(root / "val").glob("*/*")]:
        file.unlink()
    assert complaint(spec(root)).startswith(f"{root / 'val' / 'images'}: holds no image")


def test_an_image_without_a_mask_is_named_with_the_file_expected(root):
    (root / "val" / "masks" / "val1.png").unlink()
    assert complaint(spec(root)) == (
        f"{root / 'val' / 'images' / 'val1.png'}: has no mask; expected {root / 'val' / 'masks' / 'val1.png'}"
    )


def test_a_mask_without_an_image_is_named(root):
    (root / "train" / "images" / "train4.png").unlink()
    assert complaint(spec(root)).startswith(f"{root / 'train' / 'masks' / 'train4.png'}: has no image")


def test_a_jpeg_mask_is_refused_with_the_repair(root):
    mask = root / "train" / "masks" / "train4.png"
    Image.open(mask).save(mask.with_suffix(".jpg"))
    mask.unlink()
    message = complaint(spec(root))
    assert message.startswith(f"{root / 'train' / 'images' / 'train4.png'}: has no mask")
    assert message.endswith("train4.jpg is no PNG: save masks as 8-bit PNG")


def test_two_images_of_one_stem_are_named(root):
    image = root / "train" / "images" / "train4.png"
    Image.open(image).save(image.with_suffix(".jpg"))
    assert complaint(spec(root)) == f"{image}: has the same stem as train4.jpg; keep one of them"


def test_files_that_are_no_pictures_do_not_matter(root):
    (root / "train" / "images" / "notes.txt").write_text("")
    (root / "train" / "images" / "._train0.png").write_text("")
    (root / "train" / "masks" / "Thumbs.db").write_text("")
    assert len(load(spec(root)).train) == 6


def test_one_image_cannot_be_split(tmp_path, write_pair):
    write_pair(tmp_path / "images", tmp_path / "masks")
    assert "one image cannot be split into training and validation" in complaint(spec(tmp_path))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "root: this key is required"),
        ({"root": "x", "classes": 1}, "classes: a count from 2 to 255, or a list of as many different names (got 1)"),
        ({"root": "x", "classes": "three"}, "classes: a count from 2 to 255"),
        ({"root": "x", "classes": True}, "classes: a count from 2 to 255"),
        ({"root": "x", "classes": [0, 1]}, "classes: a count from 2 to 255"),
        ({"root": "x", "classes": ["a"]}, "classes: a count from 2 to 255"),
        ({"root": "x", "classes": ["a", "a"]}, "classes: a count from 2 to 255"),
        ({"root": "x", "classes": 3, "ignore_index": 256}, "ignore_index: must be less than or equal to 255, got 256"),
        ({"root": "x", "classes": 3, "fit": "squeeze"}, "fit: must be 'resize' or 'crop', got 'squeeze'"),
        ({"root": "x", "classes": 3, "val_fraction": 0}, "val_fraction: must be greater than 0, got 0"),
        ({"root": "x", "classes": 3, "image_size": [0, 8]}, "image_size.0: must be greater than or equal to 1, got 0"),
    ],
)
def test_an_illegal_value_is_one_line_that_names_the_field(values, message):
    with pytest.raises(InputError) as error:
        parse(FolderData, {"image_size": 32, **values}, "study.yaml: data")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
