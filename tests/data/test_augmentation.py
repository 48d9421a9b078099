import pytest
import torch

from autorf.data import Augmentation
from autorf.data.normalisation import IMAGENET
from autorf.data.segmentation_set import FILL_INDEX, SegmentationSet
from autorf.data.sources import InMemory

EVERYTHING = Augmentation(flip=True, scale=(0.5, 2.0), crop=(20, 28))


def a_set(n=6, size=(24, 32), ignore_index=None):
    """Images whose first channel is 20 times the mask, so that both can be compared after any joint change."""
    masks = torch.randint(0, 4, (n, *size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return SegmentationSet(InMemory((masks * 20)[:, None].repeat(1, 3, 1, 1), masks), size, ignore_index)


def red(images):
    """The uint8 red channel again."""
    return (images[:, 0] * 0.229 * 255 + IMAGENET.mean[0] * 255).round()


def test_nothing_changes_by_default():
    images = a_set()
    changed = images.with_augmentation(Augmentation(), seed=0)
    for plain, same in zip(images.tensors(range(6)), changed.tensors(range(6)), strict=True):
        assert torch.equal(plain, same)


def test_a_scale_of_one_changes_nothing_on_an_oblong_image():
    images = a_set()
    changed = images.with_augmentation(Augmentation(scale=(1.0, 1.0), crop=(24, 32), flip=False), seed=0)
    assert torch.equal(images.tensors([0, 3])[0], changed.tensors([0, 3])[0])
    assert torch.equal(images.tensors([0, 3])[1], changed.tensors([0, 3])[1])


def test_image_and_mask_are_flipped_together():
    images = a_set(n=40)
    plain, _ = images.tensors(range(40))
    changed, masks = images.with_augmentation(Augmentation(flip=True), seed=0).tensors(range(40))
    flipped = [torch.equal(new, old.flip(-1)) for new, old in zip(changed, plain, strict=True)]
    kept = [torch.equal(new, old) for new, old in zip(changed, plain, strict=True)]
    assert all(a != b for a, b in zip(flipped, kept, strict=True))
    assert 8 < sum(flipped) < 32
    assert torch.equal(red(changed), masks * 20.0)


def test_image_and_mask_are_cropped_together():
    images, masks = a_set().with_augmentation(Augmentation(crop=(10, 14)), seed=0).tensors(range(6))
    assert images.shape == (6, 3, 10, 14)
    assert masks.shape == (6, 10, 14)
    assert torch.equal(red(images), masks * 20.0)


def test_a_zoom_in_enlarges_image_and_mask_alike():
    size = (24, 32)
    masks = torch.zeros(1, *size, dtype=torch.uint8)
    masks[:, 8:16, 12:20] = 3
    images = SegmentationSet(InMemory((masks * 20)[:, None].repeat(1, 3, 1, 1), masks), size, None)
    changed, zoomed = images.with_augmentation(Augmentation(scale=(2.0, 2.0), crop=(48, 64)), seed=0).tensors([0])
    assert int((zoomed == 3).sum()) == 4 * 64
    assert zoomed[0, 16:32, 24:40].eq(3).all()
    # Bilinear edges: the image's half-way contour is the mask's edge.
    assert torch.equal(red(changed)[0] > 30, zoomed[0] == 3)


@pytest.mark.parametrize(("ignore_index", "fill"), [(None, FILL_INDEX), (7, 7)])
def test_a_zoom_out_is_filled_with_the_mean_colour_and_ignored(ignore_index, fill):
    images = a_set(ignore_index=ignore_index).with_augmentation(Augmentation(scale=(0.5, 0.5)), seed=0)
    changed, masks = images.tensors(range(6))
    filled = masks == fill
    assert (filled.sum(dim=(1, 2)) == 24 * 32 * 3 // 4).all()
    assert changed.permute(0, 2, 3, 1)[filled].abs().max() < 0.01
    assert set(masks[~filled].tolist()) == {0, 1, 2, 3}


def test_masks_keep_whole_classes_under_every_zoom():
    images = a_set(n=20).with_augmentation(Augmentation(scale=(0.6, 1.7)), seed=0)
    assert set(images.tensors(range(20))[1].unique().tolist()) <= {0, 1, 2, 3, FILL_INDEX}


def test_a_draw_depends_on_seed_epoch_and_index_only():
    first = a_set().with_augmentation(EVERYTHING, seed=3)
    first.set_epoch(5)
    torch.manual_seed(1)
    whole = first.tensors(range(6))
    resumed = a_set().with_augmentation(EVERYTHING, seed=3)
    resumed.set_epoch(5)
    torch.manual_seed(2)
    for index in (4, 0, 5):
        image, mask = resumed[index]
        assert torch.equal(image, whole[0][index])
        assert torch.equal(mask, whole[1][index])


def test_seed_epoch_and_index_each_change_the_draw():
    size = (24, 32)
    same = a_set(n=1).source
    twice = InMemory(same.images.repeat(2, 1, 1, 1), same.masks.repeat(2, 1, 1))
    base = SegmentationSet(twice, size, None).with_augmentation(EVERYTHING, seed=3)
    other_seed = SegmentationSet(twice, size, None).with_augmentation(EVERYTHING, seed=4)
    image = base[0][0]
    assert not torch.equal(image, base[1][0])
    assert not torch.equal(image, other_seed[0][0])
    base.set_epoch(1)
    assert not torch.equal(image, base[0][0])


def test_the_global_generator_is_left_as_it_was():
    images = a_set().with_augmentation(EVERYTHING, seed=0)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    images.tensors(range(6))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("augmentation", "fills"),
    [
        (Augmentation(), False),
        (Augmentation(flip=True, scale=(1.0, 2.0)), False),
        (Augmentation(scale=(0.9, 1.1)), True),
        (Augmentation(scale=(0.5, 1.0), crop=(12, 16)), False),
        (Augmentation(scale=(0.5, 1.0), crop=(18, 16)), True),
        (Augmentation(crop=(48, 64)), True),
    ],
)
def test_it_is_known_beforehand_whether_a_border_may_be_filled(augmentation, fills):
    assert augmentation.fills((24, 32)) is fills
    masks = a_set(n=30).with_augmentation(augmentation, seed=0).tensors(range(30))[1]
    assert bool((masks == FILL_INDEX).any()) is fills
