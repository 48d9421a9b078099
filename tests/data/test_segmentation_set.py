import copy
import pickle
import subprocess
import sys

import pytest
import torch
from torch.utils.data import DataLoader

from autorf.data import Augmentation, DigitsData, load
from autorf.data.normalisation import IMAGENET
from autorf.data.segmentation_set import FILL_INDEX, SegmentationSet
from autorf.data.sources import InMemory
from autorf.data.splits import Splits

SPEC = DigitsData(n_train=5, n_val=3, n_test=0)


def test_an_item_equals_its_place_in_a_batch():
    train = load(SPEC).train
    images, masks = train.tensors([4, 2])
    image, mask = train[2]
    assert torch.equal(image, images[1])
    assert torch.equal(mask, masks[1])
    assert torch.equal(train[-1][0], images[0])


def test_indices_may_be_a_tensor():
    train = load(SPEC).train
    assert torch.equal(train.tensors(torch.tensor([3, 1]))[0], train.tensors([3, 1])[0])


def test_iterating_ends_after_the_last_image():
    assert len(list(load(SPEC).train)) == 5


def test_an_index_past_the_end_is_an_index_error():
    with pytest.raises(IndexError, match="image 5 of 5"):
        load(SPEC).train[5]


def test_images_are_normalised_by_the_mean_and_deviation_of_imagenet():
    images = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    expected = (images / 255 - torch.tensor(IMAGENET.mean).view(3, 1, 1)) / torch.tensor(IMAGENET.std).view(3, 1, 1)
    torch.testing.assert_close(IMAGENET(images), expected)


def test_reading_a_batch_does_not_change_the_set():
    train = load(SPEC).train
    before = copy.deepcopy(train.source)
    images, masks = train.tensors(range(5))
    images.zero_()
    masks.fill_(9)
    assert torch.equal(before.images, train.source.images)
    assert torch.equal(before.masks, train.source.masks)


def test_augmentation_makes_another_set_of_the_same_images():
    train = load(SPEC).train
    flipped = train.with_augmentation(Augmentation(flip=True), seed=0)
    assert flipped.source is train.source
    assert torch.equal(train.tensors(range(5))[0], load(SPEC).train.tensors(range(5))[0])


def test_a_set_works_in_a_data_loader_and_survives_pickling():
    train = load(SPEC.model_copy(update={"augmentation": Augmentation(flip=True, scale=(0.8, 1.2))})).train
    images, masks = next(iter(DataLoader(pickle.loads(pickle.dumps(train)), batch_size=5)))
    assert torch.equal(images, train.tensors(range(5))[0])
    assert torch.equal(masks, train.tensors(range(5))[1])


def test_filled_borders_are_ignored_where_the_data_set_itself_ignores_nothing():
    zoomed = load(SPEC.model_copy(update={"augmentation": Augmentation(scale=(0.5, 0.5))}))
    assert zoomed.ignore_index == FILL_INDEX
    assert (zoomed.train.tensors(range(5))[1] == FILL_INDEX).any()
    assert not (zoomed.val.tensors(range(3))[1] == FILL_INDEX).any()


def test_the_seed_of_loading_is_that_of_the_augmentation():
    spec = SPEC.model_copy(update={"augmentation": Augmentation(flip=True, scale=(0.5, 1.5))})
    first, again, other = (load(spec, seed=seed).train.tensors(range(5))[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_set_needs_no_more_than_eight_bits_a_value():
    source = load(SPEC).train.source
    assert isinstance(source, InMemory)
    assert source.images.dtype == source.masks.dtype == torch.uint8
    assert SegmentationSet(source, (96, 96), None).tensors([0])[1].dtype == torch.int64


def test_describing_data_loads_no_heavy_library():
    heavy = "torch", "torchvision", "numpy", "PIL", "sklearn"
    code = f"import sys, autorf.data; autorf.data.DataSpec; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_joined_splits_hold_the_images_of_both_in_order() -> None:
    def split(*values: int) -> SegmentationSet:
        images = torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
        return SegmentationSet(InMemory(images, images[:, 0]), (2, 2), None)

    whole = Splits(split(1, 2, 3), split(4, 5), split(6), 7, None, tuple("abcdefg"), (2, 2))
    joined = whole.val_joined()
    assert joined.train.tensors([4, 0, 3])[1][:, 0, 0].tolist() == [5, 1, 4]
    assert (len(joined.train), len(joined.val), len(whole.train)) == (5, 2, 3)
    assert whole.tested().val is whole.test
