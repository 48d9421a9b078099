import time

import numpy as np
import pytest
import torch

from autorf.data import DigitsData, load
from autorf.data.digits import _places, source_digits
from autorf.errors import InputError
from autorf.specification import parse

SMALL = DigitsData(n_train=12, n_val=6, n_test=4)


def test_images_and_masks_have_the_size_and_classes_promised():
    splits = load(SMALL)
    images, masks = splits.train.tensors(range(12))
    assert images.shape == (12, 3, 96, 96)
    assert images.dtype == torch.float32
    assert masks.shape == (12, 96, 96)
    assert masks.dtype == torch.int64
    assert 0 <= masks.min() <= masks.max() <= 10
    assert splits.n_classes == len(splits.class_names) == 11
    assert (len(splits.train), len(splits.val), len(splits.test)) == (12, 6, 4)
    assert splits.ignore_index is None
    assert splits.image_size == (96, 96)


def test_every_class_occurs_about_equally_often():
    masks = load(DigitsData(n_train=200, n_val=1, n_test=0)).train.source.masks
    share = torch.bincount(masks.flatten().long(), minlength=11) / masks.numel()
    assert 0.5 < share[0] < 0.9
    assert share[1:].min() > 0.5 * share[1:].max()


def test_the_same_seed_gives_the_same_images_and_another_gives_others():
    first, again, other = load(SMALL), load(SMALL), load(SMALL.model_copy(update={"seed": 1}))
    for split in ("train", "val", "test"):
        assert torch.equal(getattr(first, split).source.images, getattr(again, split).source.images)
        assert torch.equal(getattr(first, split).source.masks, getattr(again, split).source.masks)
        assert not torch.equal(getattr(first, split).source.images, getattr(other, split).source.images)


def test_more_training_images_leave_the_first_ones_and_the_other_splits_as_they_were():
    small, large = load(SMALL), load(SMALL.model_copy(update={"n_train": 20}))
    assert torch.equal(small.train.source.images, large.train.source.images[:12])
    assert torch.equal(small.val.source.images, large.val.source.images)


def test_no_source_digit_is_in_two_splits():
    parts = source_digits(seed=0)
    seen = [{image.tobytes() for image in part.images} for part in parts.values()]
    assert sum(len(part.labels) for part in parts.values()) == 1797
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    assert all(set(part.labels) == set(range(10)) for part in parts.values())


def sides(places):
    return {side for _, _, side in places}


@pytest.mark.parametrize("size", [8, 20, 32, 48, 96])
def test_the_objects_have_the_size_asked_for_or_are_a_little_smaller(size):
    rng = np.random.default_rng(0)
    drawn = {side for _ in range(20) for side in sides(_places(DigitsData(object_size=size), rng))}
    assert max(drawn) <= size
    assert min(drawn) >= max(round(0.9 * size), 8)
    assert len(drawn) > 1 or size == 8


def test_a_digit_without_jitter_is_as_tall_on_the_canvas_as_its_object_size():
    spec = DigitsData(object_size=64, size_jitter=0, n_train=20, n_val=1, n_test=0)
    heights = [int(mask.any(dim=1).sum()) for mask in load(spec).train.source.masks]
    assert max(heights) == 64
    assert min(heights) > 50


def test_sizes_are_mixed_in_every_image():
    rng = np.random.default_rng(0)
    spec = DigitsData(object_size=[16, 32, 56], size_jitter=0)
    assert all(sides(_places(spec, rng)) == {16, 32, 56} for _ in range(20))


@pytest.mark.parametrize("size", [[16, 24], [30], [64]])
def test_objects_lie_inside_the_image_and_do_not_overlap(size):
    rng = np.random.default_rng(0)
    spec = DigitsData(object_size=size, image_size=[64, 96])
    for _ in range(20):
        covered = np.zeros((64, 96), int)
        for top, left, side in _places(spec, rng):
            assert top >= 0
            assert left >= 0
            assert top + side <= 64
            assert left + side <= 96
            covered[top : top + side, left : left + side] += 1
        assert covered.max() == 1


def test_objects_lie_anywhere_in_the_image():
    rng = np.random.default_rng(0)
    spec = DigitsData(object_size=32)
    centres = np.array(
        [(top + side / 2, left + side / 2) for _ in range(200) for top, left, side in _places(spec, rng)]
    )
    assert abs(centres.mean(axis=0) - 48).max() < 4
    assert len({tuple(centre) for centre in centres.tolist()}) > 200
    assert np.histogram(centres[:, 0], bins=6, range=(12, 84))[0].min() > 20


def test_strokes_are_brighter_than_the_canvas():
    train = load(DigitsData(noise=0, n_train=20, n_val=1, n_test=0)).train.source
    bright = train.images.float().mean(dim=1)
    assert bright[train.masks > 0].mean() > bright[train.masks == 0].mean() + 60


def test_noise_changes_the_pixels_but_not_the_masks():
    quiet, noisy = (load(SMALL.model_copy(update={"noise": noise})).val.source for noise in (0.0, 0.2))
    difference = (quiet.images.float() - noisy.images.float()) / 255
    # An image's own generator places its digits before it draws any noise.
    assert torch.equal(quiet.masks, noisy.masks)
    assert 0.1 < difference.std() < 0.2


def test_the_test_split_is_optional():
    assert load(SMALL.model_copy(update={"n_test": 0})).test is None


def test_the_quickstarts_images_take_seconds():
    start = time.process_time()
    load(DigitsData())
    assert time.process_time() - start < 15


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"object_size": 7}, "object_size.0: must be greater than or equal to 8, got 7"),
        ({"object_size": []}, "object_size"),
        ({"object_size": 97}, "object_size must be at most the image's smaller side, 96"),
        ({"object_size": [16, 200]}, "object_size must be at most the image's smaller side, 96"),
        ({"noise": -0.1}, "noise: must be greater than or equal to 0, got -0.1"),
        ({"n_train": 0}, "n_train: must be greater than or equal to 1, got 0"),
        ({"image_size": -96}, "image_size"),
        ({"objekt_size": 32}, "did you mean object_size"),
        ({"augmentation": {"scale": [2, 1]}}, "scale must be [low, high] with 0.1 <= low <= high <= 10"),
    ],
)
def test_an_illegal_value_is_one_line_that_names_the_field(values, message):
    with pytest.raises(InputError) as error:
        parse(DigitsData, values, "study.yaml: data")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
