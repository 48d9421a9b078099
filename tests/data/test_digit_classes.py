"""Drawn digits with one class a picture."""

import pytest
import torch

from autorf.data import DigitClassesData, load
from autorf.errors import InputError

SMALL = {"image_size": 40, "object_size": [12, 28], "n_train": 20, "n_val": 12, "n_test": 0}


def test_pictures_are_drawn_alike_by_the_same_seed_and_their_class_is_a_digit():
    splits = load(DigitClassesData(**SMALL))
    images, masks = splits.train.unchanged(range(20))
    assert images.shape == (20, 3, 40, 40)
    assert masks.shape == (20, 1, 1)
    assert set(masks.flatten().tolist()) <= set(range(10))
    assert splits.class_names == tuple("0123456789")
    assert splits.test is None
    again = load(DigitClassesData(**{**SMALL, "n_train": 5})).train.unchanged(range(5))
    assert torch.equal(again[0], images[:5])
    other = load(DigitClassesData(**{**SMALL, "seed": 1})).train.unchanged(range(5))
    assert not torch.equal(other[0], images[:5])


def test_a_canvas_is_the_same_picture_at_several_sizes():
    large, small = (
        load(DigitClassesData(**{**SMALL, "canvas": 40, "image_size": side})).val.unchanged([0]) for side in (40, 20)
    )
    assert torch.equal(large[1], small[1])
    halved = torch.nn.functional.avg_pool2d(large[0].float(), 2)
    assert (halved - small[0].float()).abs().mean() < 6


def test_more_digits_have_more_ink():
    one, several = (
        load(DigitClassesData(**{**SMALL, "per_image": count, "noise": 0, "texture": 0})).train.unchanged(range(20))[0]
        for count in (1, 3)
    )
    assert (several.float().std((1, 2, 3)) > one.float().std((1, 2, 3))).float().mean() > 0.7


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"object_size": [12, 44]}, "object_size must be at most the image's smaller side, 40"),
        ({"augmentation": {"resized_crop": [0.5, 1]}}, "would cut digits off their pictures"),
    ],
)
def test_digits_that_do_not_fit_are_refused(keys, said):
    with pytest.raises(InputError, match=said):
        DigitClassesData(**{**SMALL, **keys})
