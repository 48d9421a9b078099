import pytest
import torch

from autorf.data import CamVidData, load
from autorf.errors import InputError


@pytest.fixture
def root(tmp_path, write_pair):
    """The official layout with a few small images and all classes, the ignored one included."""
    for split, count in (("train", 4), ("val", 2), ("test", 3)):
        for i in range(count):
            write_pair(tmp_path / split, tmp_path / f"{split}annot", f"0001TP_{i:06}.jpg", (36, 48), classes=12)
    return tmp_path


def test_the_official_layout_is_read(root):
    splits = load(CamVidData(root=root, image_size=(18, 24)))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (4, 2, 3)
    assert splits.n_classes == 11
    assert splits.ignore_index == 11
    assert splits.class_names[0] == "sky"
    assert splits.class_names[10] == "bicyclist"
    images, masks = splits.train.tensors(range(4))
    assert images.shape == (4, 3, 18, 24)
    assert masks.shape == (4, 18, 24)


def test_unlabelled_pixels_are_ignored(root):
    masks = load(CamVidData(root=root, image_size=(36, 48))).val.tensors(range(2))[1]
    assert set(masks.unique().tolist()) == set(range(12))


def test_the_images_have_their_own_size_unless_told(root):
    assert load(CamVidData(root=root)).image_size == (360, 480)


@pytest.mark.parametrize("missing", ["train", "valannot", "test"])
def test_a_missing_folder_is_named_with_the_layout(root, missing):
    (root / missing).rename(root / "elsewhere")
    with pytest.raises(InputError) as error:
        load(CamVidData(root=root))
    assert str(error.value).startswith(f"{root / missing}: does not exist; expected in data.root: {{train,val,")


def test_a_missing_root_is_named_with_the_layout(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: does not exist; expected .*\{train,val,test\}annot"):
        load(CamVidData(root=tmp_path / "nowhere"))


def test_a_class_out_of_range_names_the_file(root, write_pair):
    write_pair(root / "val", root / "valannot", "bad.jpg", (36, 48), classes=13)
    with pytest.raises(InputError) as error:
        load(CamVidData(root=root))
    assert str(error.value).startswith(
        f"{root / 'valannot' / 'bad.png'}: holds class 12; legal are 0 to 10, and 11 for ignored pixels"
    )


def test_the_real_data_set_is_read(real_data):
    splits = load(CamVidData(root=real_data / "camvid", image_size=(60, 80)))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (367, 101, 233)
    masks = splits.train.source.masks
    assert masks.unique().tolist() == list(range(12))
    share = torch.bincount(masks.flatten().long()) / masks.numel()
    assert share[3] > 0.2, "road is the largest class of the lower half"
    assert share[11] < 0.1
    assert masks[:, :5].eq(0).float().mean() > masks[:, -5:].eq(0).float().mean(), "the sky is above"
