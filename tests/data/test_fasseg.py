import pytest

from autorf.data import FassegData, load
from autorf.errors import InputError


@pytest.fixture
def root(tmp_path, write_pair):
    """The original layout; the images differ in size."""
    for split, count in (("train", 8), ("test", 3)):
        for i in range(count):
            folder = tmp_path / split
            write_pair(folder / "images", folder / "labels", f"{i}.jpg", (50 + i, 37 + 2 * i), classes=6)
    return tmp_path


def test_the_layout_is_read_and_part_of_training_validates(root):
    splits = load(FassegData(root=root, image_size=(32, 24)))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (6, 2, 3)
    assert splits.class_names == ("background", "hair", "skin", "eyes", "nose", "mouth")
    assert splits.ignore_index is None
    assert splits.train.tensors(range(6))[0].shape == (6, 3, 32, 24)


def test_the_inner_parts_are_one_label_group(root):
    splits = load(FassegData(root=root))
    assert splits.label_groups == {"overall": (3, 4, 5)}


def test_the_share_that_validates_can_be_chosen(root):
    assert len(load(FassegData(root=root, val_fraction=0.5)).val) == 4


@pytest.mark.parametrize("missing", ["train/images", "train/labels", "test/labels"])
def test_a_missing_folder_is_named_with_the_layout(root, missing):
    (root / missing).rename(root / "elsewhere")
    with pytest.raises(InputError) as error:
        load(FassegData(root=root))
    layout = "{train,test}/{images,labels}"
    assert str(error.value) == f"{root / missing}: does not exist; expected in data.root: {layout}"


def test_a_class_out_of_range_names_the_file(root, write_pair):
    write_pair(root / "test" / "images", root / "test" / "labels", "bad.jpg", (50, 37), classes=7)
    with pytest.raises(InputError) as error:
        load(FassegData(root=root))
    assert str(error.value).startswith(f"{root / 'test' / 'labels' / 'bad.png'}: holds class 6; legal are 0 to 5;")


def test_the_real_data_set_is_read(real_data):
    splits = load(FassegData(root=real_data / "fasseg", image_size=(64, 48)))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (15, 5, 50)
    for part in (splits.train, splits.val, splits.test):
        assert set(part.source.masks.unique().tolist()) == set(range(6))
    centre = splits.test.source.masks[:, 28:36, 20:28]
    assert centre.eq(4).float().mean() > 0.15, "the nose is in the middle"
