"""Pictures in a folder a class: what is read, how it is cut, and what is said of folders that are not so."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autorf.data import ImageFolderData, load
from autorf.data.loading import class_names
from autorf.errors import InputError
from autorf.store.data_digest import digest_of
from tests.data.classes import label_of, write_folders, write_shade


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folders(tmp_path / "pictures", {"train": 4, "val": 2})


def _fails(root: Path, **keys: object) -> str:
    with pytest.raises(InputError) as error:
        load(ImageFolderData(root=root, image_size=16, **keys))
    text = str(error.value)
    assert "\n" not in text
    assert len(text) <= 290
    return text


def test_every_picture_has_the_class_of_its_folder(root):
    splits = load(ImageFolderData(root=root, image_size=16))
    assert splits.class_names == ("ant", "bee", "cöw")
    assert (len(splits.train), len(splits.val), splits.test) == (12, 6, None)
    for images in (splits.train, splits.val):
        pixels, masks = images.unchanged(range(len(images)))
        assert pixels.shape[1:] == (3, 16, 16)
        assert masks.shape[1:] == (1, 1)
        assert [label_of(image) for image in pixels] == masks.flatten().tolist()
    image, mask = splits.val[0]
    assert (image.dtype, mask.dtype, mask.shape) == (torch.float32, torch.int64, (1, 1))


def test_a_part_of_every_class_is_held_out_where_nothing_validates(root):
    shutil.rmtree(root / "val")
    splits = load(ImageFolderData(root=root, image_size=16, val_fraction=0.25))
    assert splits.val.source.labels.tolist() == [0, 1, 2]
    assert not set(splits.val.source.files) & set(splits.train.source.files)
    flat = load(ImageFolderData(root=root / "train", image_size=16, val_fraction=0.25, train="none"))
    assert [file.name for file in flat.val.source.files] == [file.name for file in splits.val.source.files]


def test_the_shorter_side_is_brought_down_and_the_middle_cut_out(tmp_path):
    # Black, a white square in the middle of 8 of 16 rows, black.
    pixels = np.zeros((64, 160, 3), np.uint8)
    pixels[16:48, 64:96] = 255
    for split in ("train", "val"):
        for name in ("a", "b"):
            file = tmp_path / split / name / f"{split}.png"
            file.parent.mkdir(parents=True)
            Image.fromarray(pixels).save(file)
    cut = load(ImageFolderData(root=tmp_path, image_size=16, shorter_side=32)).val.unchanged([0])[0]
    assert (cut[0, :, 2:14, 2:14] == 255).all(), "the square is 16 of 32 rows"
    stretched = load(ImageFolderData(root=tmp_path, image_size=16, fit="resize")).val.unchanged([0])[0][0, 0].float()
    assert stretched[:, :5].max() < 2
    assert stretched[6:10, 7:9].min() > 250
    assert ImageFolderData(root=tmp_path, image_size=224).side == 256
    assert ImageFolderData(root=tmp_path, image_size=448).side == 512


def test_a_resized_crop_is_drawn_by_seed_epoch_and_picture(root):
    rng = np.random.default_rng(0)
    for file in (root / "train").rglob("*.png"):
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).save(file)
    spec = ImageFolderData(root=root, image_size=16, augmentation={"resized_crop": [0.1, 0.5], "flip": True})
    train = load(spec).train
    first = train.tensors([0, 1])[0]
    assert torch.equal(first, load(spec).train.tensors([0, 1])[0])
    assert not torch.equal(first[0], first[1])
    train.set_epoch(1)
    assert not torch.equal(first, train.tensors([0, 1])[0])
    assert not torch.equal(first, load(spec, seed=1).train.tensors([0, 1])[0])
    whole = load(spec.model_copy(update={"augmentation": ImageFolderData.model_fields["augmentation"].default}))
    assert torch.equal(whole.train.tensors([0])[0], whole.train.tensors([0])[0])
    assert train.decoded_bytes is None
    assert whole.train.decoded_bytes == 12 * 3 * 16 * 16


def test_validation_pictures_that_train_too_are_cropped_as_the_others(root):
    spec = ImageFolderData(root=root, image_size=16, augmentation={"resized_crop": [0.1, 0.5]})
    both = load(spec).val_joined().train.with_augmentation(spec.augmentation, 0)
    assert len(both) == 18
    assert both.tensors([17])[1].shape == (1, 1, 1)
    assert load(spec).val.source.decoder.crop is None
    assert both.source.sources[1].decoder.crop == ((0.1, 0.5), (3 / 4, 4 / 3))


def test_a_half_of_the_pictures_is_cropped_too(root):
    spec = ImageFolderData(root=root, image_size=16, half="a", augmentation={"resized_crop": [0.1, 0.5]})
    train = load(spec).train
    assert len(train) == 6
    assert train.source.source.decoder.crop is not None


def test_pictures_are_read_as_they_are_shown(tmp_path):
    for split in ("train", "val"):
        for label, name in enumerate(("a", "b")):
            write_shade(tmp_path / split / name / f"{split}.jpg", label)
    grey = tmp_path / "val" / "b" / "grey.png"
    Image.new("L", (20, 20), 60).save(grey)
    clear = Image.new("RGBA", (20, 20), (60, 60, 60, 0))
    clear.save(tmp_path / "val" / "b" / "clear.png")
    turned = Image.fromarray(np.concatenate([np.full((10, 40), 255), np.zeros((10, 40))]).astype(np.uint8))
    exif = Image.Exif()
    exif[274] = 6
    turned.save(tmp_path / "val" / "b" / "turned.jpg", exif=exif)
    val = load(ImageFolderData(root=tmp_path, image_size=(20, 10), fit="resize")).val
    names = [file.name for file in val.source.files]
    pixels = dict(zip(names, val.unchanged(range(len(val)))[0], strict=True))
    assert label_of(pixels["grey.png"]) == label_of(pixels["clear.png"]) == 1
    assert pixels["turned.jpg"][0, :, :4].float().mean() < 10 < 240 < pixels["turned.jpg"][0, :, 6:].float().mean()


def test_the_digest_knows_files_and_the_folders_they_are_in(root, tmp_path):
    spec = ImageFolderData(root=root, image_size=16)
    before = digest_of(spec, tmp_path / "cache")
    assert before.summary()["splits"]["train"]["n"] == 12
    (root / "train" / "ant" / "train0.png").rename(root / "train" / "bee" / "moved.png")
    assert digest_of(spec, tmp_path / "cache").summary() != before.summary()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"root": "train"}, r"train: is one split's folder; .* give .*pictures$"),
        ({"root": ".."}, r"holds no train; data.root is the folder of train and val: give .*pictures$"),
        ({"root": "nowhere"}, "nowhere: does not exist; expected in data.root"),
        ({"classes": 4}, "data.classes: 4, and .*train holds 3 folders of classes; correct either"),
        ({"classes": ["ant", "bea", "cöw"]}, "data.classes: 'bea' has no folder in .*did you mean bee"),
        ({"classes": ["ant", "bee"]}, "train holds a folder 'cöw' too; list it, or take it away"),
    ],
)
def test_the_wrong_level_and_other_classes_are_refused(root, change, said):
    place = root / change.pop("root", "")
    with pytest.raises(InputError, match=said):
        load(ImageFolderData(root=place.resolve(), image_size=16, **change))


def test_foreign_classes_empty_ones_and_broken_files_are_named(root):
    write_shade(root / "val" / "dog" / "a.png", 1)
    assert "dog: is a class that" in _fails(root)
    shutil.rmtree(root / "val" / "dog")
    for file in (root / "train" / "bee").iterdir():
        file.unlink()
    assert "bee: holds no picture" in _fails(root)
    broken = root / "train" / "bee" / "broken.jpg"
    broken.write_bytes(b"no picture")
    assert "broken.jpg: cannot be read as a picture" in _fails(root)


def test_one_class_is_nothing_to_tell_apart(tmp_path):
    write_folders(tmp_path, {"train": 2}, ("only",))
    assert "holds 1 folders of classes, and two or more are told apart" in _fails(tmp_path)
    with pytest.raises(InputError, match="one class is nothing to tell apart"):
        ImageFolderData(root=tmp_path, image_size=16, classes=["only"])


def test_a_class_of_a_single_picture_cannot_be_split(tmp_path):
    write_folders(tmp_path, {"train": 1})
    assert "is the only picture of its class" in _fails(tmp_path)


def test_classes_are_told_without_reading_a_picture(root):
    for file in (root / "train").rglob("*.png"):
        file.write_bytes(b"no picture")
    assert class_names(ImageFolderData(root=root, image_size=16)) == ("ant", "bee", "cöw")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"shorter_side": 8}, "shorter_side: 8 is less than image_size needs, 16"),
        ({"shorter_side": 20, "fit": "resize"}, "shorter_side goes with fit: crop"),
        ({"augmentation": {"resized_crop": [0.5, 2]}}, "resized_crop must be .*low, high"),
        ({"augmentation": {"scale": [1, 2]}}, "scale: unknown key|scale.*Extra inputs"),
        ({"patches": {"size": 8}}, "patches"),
        ({"landmarks": {"root": "x"}}, "landmarks"),
    ],
)
def test_keys_that_pictures_with_one_class_do_not_have_are_refused(tmp_path, keys, said):
    with pytest.raises(InputError, match=said):
        ImageFolderData(root=tmp_path, image_size=16, **keys)
