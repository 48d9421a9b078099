"""ImageNet in the layouts of its archives and of Kaggle, and the odd cases that people have on disk."""

import shutil
from pathlib import Path

import pytest

from autorf.data import ImageNetData, load
from autorf.data.names import shown
from autorf.errors import InputError
from tests.data.classes import SYNSETS, VAL_LABELS, label_of, write_devkit, write_imagenet, write_solution


def _load(root: Path, **keys: object):
    return load(ImageNetData(root=root, image_size=16, **{"classes": 4, **keys}))


def _fails(root: Path, **keys: object) -> str:
    with pytest.raises(InputError) as error:
        _load(root, **keys)
    text = str(error.value)
    assert "\n" not in text
    assert len(text) <= 290
    return text


def _check(splits, names):
    assert splits.class_names == names
    assert len(splits.train) == 8
    pixels, masks = splits.val.unchanged(range(3))
    assert sorted(masks.flatten().tolist()) == sorted(VAL_LABELS)
    assert [label_of(image) for image in pixels] == masks.flatten().tolist()


NAMES = ("tench", "goldfish", "crane (n02012849)", "crane (n03126707)")


def test_flat_validation_pictures_have_the_devkits_truth(tmp_path):
    write_devkit(write_imagenet(tmp_path))
    splits = _load(tmp_path)
    _check(splits, NAMES)
    assert splits.val.source.labels.tolist() == list(VAL_LABELS)


@pytest.mark.parametrize("kaggle", [False, True])
def test_flat_validation_pictures_have_kaggles_solution(tmp_path, kaggle):
    write_solution(write_imagenet(tmp_path, kaggle=kaggle))
    _check(_load(tmp_path), NAMES)


def test_validation_pictures_in_folders_need_no_list(tmp_path):
    write_imagenet(tmp_path, flat=False)
    _check(_load(tmp_path), SYNSETS)


def test_what_is_missing_or_foreign_is_named(tmp_path):
    root = write_imagenet(tmp_path / "imagenet")
    assert "is flat, and its classes are in no file of" in _fails(root)
    write_solution(root)
    assert (
        "holds 4 folders of synsets, and data.classes says 1000; unpack the others, or set data.classes: 4"
        in _fails(root, classes=1000)
    )
    shutil.move(root / "train" / SYNSETS[3], root / "train" / "n99999999")
    assert "gives 'ILSVRC2012_val_00000001' the synset 'n03126707', of which train has no folder" in _fails(root)
    shutil.move(root / "train" / "n99999999", root / "train" / "cats")
    assert "cats: is no synset, such as n01440764" in _fails(root)
    assert _fails(root / "train").endswith(f"give {shown(root, 70)}")


def test_lists_of_other_pictures_are_refused(tmp_path):
    write_devkit(write_imagenet(tmp_path))
    truth = tmp_path / "ILSVRC2012_devkit_t12" / "data" / "ILSVRC2012_validation_ground_truth.txt"
    truth.write_text("1\n3\n")
    assert "lists 2 pictures, and" in _fails(tmp_path)
    truth.write_text("1\n3\n99\n")
    assert "names the class 99, which meta.mat does not have" in _fails(tmp_path)
    truth.write_text("one\n")
    assert "is no list of numbers" in _fails(tmp_path)
    (truth.parent / "meta.mat").write_bytes(b"damaged")
    assert "cannot be read as MATLAB's synsets" in _fails(tmp_path)
    truth.unlink()
    (truth.parent / "meta.mat").unlink()
    (tmp_path / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n")
    assert "names no picture" in _fails(tmp_path)
    (tmp_path / "LOC_val_solution.csv").write_text("ImageId,PredictionString\nother,n01440764 1 2 3 4\n")
    assert "ILSVRC2012_val_00000001.JPEG: is not in" in _fails(tmp_path)
