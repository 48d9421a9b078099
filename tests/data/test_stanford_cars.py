"""Stanford Cars in the layout of its archives and kit, and the odd cases that people have on disk."""

from pathlib import Path

import pytest
from scipy.io import savemat

from autorf.data import StanfordCarsData, load
from autorf.data.names import shown
from autorf.errors import InputError
from autorf.store.data_digest import digest_of
from tests.data.classes import CARS, label_of, write_annotations, write_cars


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_cars(tmp_path / "stanford_cars")


def _fails(root: Path, **keys: object) -> str:
    with pytest.raises(InputError) as error:
        load(StanfordCarsData(root=root, image_size=16, **keys))
    text = str(error.value)
    assert "\n" not in text
    assert len(text) <= 290
    return text


def test_the_official_protocol_validates_on_the_test_pictures(root):
    splits = load(StanfordCarsData(root=root, image_size=16))
    assert splits.class_names == CARS
    assert (len(splits.train), len(splits.val), splits.test) == (6, 3, None)
    for images in (splits.train, splits.val):
        pixels, masks = images.unchanged(range(len(images)))
        assert [label_of(image) for image in pixels] == masks.flatten().tolist()


def test_the_held_out_protocol_keeps_the_test_pictures_for_the_end(root):
    splits = load(StanfordCarsData(root=root, image_size=16, protocol="held_out", val_fraction=0.5))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (3, 3, 3)
    assert sorted(splits.val.source.labels.tolist()) == [0, 1, 2]


def test_classes_are_part_of_the_digest(root, tmp_path):
    spec = StanfordCarsData(root=root, image_size=16)
    before = digest_of(spec, tmp_path / "cache").summary()
    write_annotations(root / "cars_test_annos_withlabels.mat", [("00001.jpg", 1), ("00002.jpg", 1), ("00003.jpg", 2)])
    assert digest_of(spec, tmp_path / "cache").summary() != before


def test_the_level_that_is_meant_and_the_file_that_is_missing_are_named(root):
    assert _fails(root / "devkit").endswith(f"give {shown(root, 70)}")
    assert _fails(root.parent).endswith(f"give {shown(root, 70)}")
    (root / "cars_test_annos_withlabels.mat").rename(root / "devkit" / "cars_test_annos_withlabels.mat")
    assert len(load(StanfordCarsData(root=root, image_size=16)).val) == 3
    (root / "devkit" / "cars_test_annos_withlabels.mat").unlink()
    assert "holds no cars_test_annos_withlabels.mat, which alone has the classes" in _fails(root)


def test_annotations_that_do_not_fit_are_named(root):
    path = root / "devkit" / "cars_train_annos.mat"
    write_annotations(path, [("00001.jpg", 0), ("00099.jpg", 1)])
    assert "names '00099.jpg', of which there is no cars_train/00099.jpg" in _fails(root)
    write_annotations(path, [("00001.jpg", 3), ("00002.jpg", 1)])
    assert "gives '00001.jpg' the class 4; cars_meta.mat has the classes 1 to 3" in _fails(root)
    write_annotations(path, [("00001.jpg", 0), ("00001.jpg", 1)])
    assert "names '00001.jpg' twice" in _fails(root)
    savemat(path, {"other": [1]})
    assert "cannot be read as MATLAB's annotations" in _fails(root)
    (root / "devkit" / "cars_meta.mat").write_bytes(b"damaged")
    assert "cars_meta.mat: holds no class_names" in _fails(root)
