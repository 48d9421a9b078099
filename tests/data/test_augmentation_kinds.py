"""Every kind of random change: what it does to the image, to the mask, and that its draw is the image's own."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from autorf.data import Augmentation
from autorf.data.normalisation import IMAGENET
from autorf.data.segmentation_set import FILL_INDEX, SegmentationSet
from autorf.data.sources import InMemory
from autorf.errors import InputError
from autorf.training.batches import loader
from tests.data.test_augmentation import a_set, red

KINDS: list[dict[str, Any]] = [
    {"flip_vertical": True},
    {"rotation": 40},
    {"colour": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}},
    {"blur": [0.5, 2]},
    {"elastic": {"alpha": 60, "sigma": 3}},
    {"rotation": 20, "elastic": {"alpha": 40}, "scale": [0.7, 1.4], "crop": [20, 28], "flip": True, "blur": [1, 1]},
]


def square(side: int = 64) -> SegmentationSet:
    """A square of class 3 in the middle, whose red is 60 and the rest's 0."""
    masks = torch.zeros(1, side, side, dtype=torch.uint8)
    masks[:, side // 4 : -side // 4, side // 4 : -side // 4] = 3
    return SegmentationSet(InMemory((masks * 20)[:, None].repeat(1, 3, 1, 1), masks), (side, side), None)


def changed(images: SegmentationSet, index: int = 0, **kinds: Any) -> tuple[Tensor, Tensor]:
    return images.with_augmentation(Augmentation.model_validate(kinds), seed=0).tensors([index])


def test_a_vertical_flip_turns_image_and_mask_over_together() -> None:
    images = a_set(n=40)
    plain, _ = images.tensors(range(40))
    flipped, masks = images.with_augmentation(Augmentation(flip_vertical=True), seed=0).tensors(range(40))
    over = sum(torch.equal(new, old.flip(-2)) for new, old in zip(flipped, plain, strict=True))
    assert over + sum(torch.equal(new, old) for new, old in zip(flipped, plain, strict=True)) == 40
    assert 8 < over < 32
    assert torch.equal(red(flipped), masks * 20.0)


@pytest.mark.parametrize("kinds", [{"rotation": 40}, {"elastic": {"alpha": 60, "sigma": 6}}])
def test_the_edge_of_the_mask_stays_on_that_of_the_image(kinds: dict[str, Any]) -> None:
    images, masks = changed(square(), **kinds)
    # Beside what was filled the image is partly the fill's colour.
    void = torch.nn.functional.max_pool2d((masks == FILL_INDEX).float(), 3, 1, 1)[0] == 1
    assert not torch.equal(masks[0], square().tensors([0])[1][0])
    # Half-way along the image's bilinear edge is where the nearest pixel changes.
    differ = (red(images)[0] > 30) != (masks[0] == 3)
    assert (differ & ~void).float().mean() < 0.003
    assert set(masks.unique().tolist()) <= {0, 3, FILL_INDEX}


def test_a_rotation_fills_its_corners_with_the_mean_colour_and_void() -> None:
    images, masks = changed(a_set(n=1, size=(64, 64)), rotation=45)
    void = masks[0] == FILL_INDEX
    assert void.any()
    inner = torch.nn.functional.avg_pool2d(void[None].float(), 3, 1, 1)[0] == 1
    assert (images[0][:, inner].abs() < 0.01).all()


@pytest.mark.parametrize("kinds", [{"colour": {"brightness": 0.5, "hue": 0.2}}, {"blur": [1, 2]}])
def test_colours_and_blur_leave_the_mask_as_it_is(kinds: dict[str, Any]) -> None:
    images = a_set(n=8)
    plain, truth = images.tensors(range(8))
    new, masks = images.with_augmentation(Augmentation.model_validate(kinds), seed=0).tensors(range(8))
    assert torch.equal(masks, truth)
    assert not torch.equal(new, plain)
    assert new.isfinite().all()


def test_a_blur_reaches_no_further_than_the_image() -> None:
    assert changed(a_set(n=1, size=(8, 8)), blur=[10, 20])[0].shape == (1, 3, 8, 8)


@pytest.mark.parametrize("kinds", KINDS)
def test_the_draw_is_the_images_and_epochs_own_whoever_makes_it(kinds: dict[str, Any]) -> None:
    images = a_set().with_augmentation(Augmentation.model_validate(kinds), seed=3)
    images.set_epoch(5)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    whole = images.tensors(range(6))
    assert torch.equal(state, torch.get_rng_state())
    again = a_set().with_augmentation(Augmentation.model_validate(kinds), seed=3)
    again.set_epoch(5)
    for index in (4, 0, 5):
        assert torch.equal(again[index][0], whole[0][index])
        assert torch.equal(again[index][1], whole[1][index])
    again.set_epoch(6)
    assert not torch.equal(again.tensors(range(6))[0], whole[0])


def test_worker_processes_draw_what_this_one_draws() -> None:
    images = a_set().with_augmentation(Augmentation.model_validate(KINDS[-1]), seed=3)
    here = list(loader(images, 2, 0, shuffle=True))
    batches = loader(images, 2, 0, shuffle=True)
    there = list(DataLoader(batches.dataset, sampler=batches.sampler, batch_size=None, num_workers=2))
    pairs = zip(here, there, strict=True)
    assert all(torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1]) for mine, theirs in pairs)


@pytest.mark.parametrize("kinds", [{"rotation": 10}, {"elastic": {"alpha": 30}}])
def test_it_is_known_beforehand_that_a_border_may_be_filled(kinds: dict[str, Any]) -> None:
    augmentation = Augmentation.model_validate(kinds)
    assert augmentation.fills((24, 32))
    assert not Augmentation(flip_vertical=True, blur=(1, 2)).fills((24, 32))
    assert not augmentation.is_identity


def test_what_changes_nothing_is_known_to() -> None:
    assert Augmentation.model_validate({"elastic": {"sigma": 3}}).is_identity
    assert Augmentation(crop=None, rotation=0).is_identity


def test_earlier_kinds_draw_as_they_did() -> None:
    # Recorded before there were more kinds.
    augmentation = Augmentation(flip=True, scale=(0.5, 2.0), crop=(20, 28))
    images, masks = a_set().with_augmentation(augmentation, seed=3).tensors(range(6))
    assert masks.sum().item() == 87588
    assert images.double().sum().item() == pytest.approx(-13431.339850366116, rel=1e-5)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ({"rotation": 200}, "rotation: must be less than or equal to 180, got 200"),
        ({"blur": [3, 1]}, "blur must be \\[low, high\\] with low <= high <= 20, got \\[3, 1\\]"),
        ({"colour": {"hue": 0.7}}, "colour.hue: must be less than or equal to 0.5"),
        ({"elastic": {"sigma": 0}}, "elastic.sigma: must be greater than 0"),
        ({"color": {}}, "color: unknown key; did you mean colour"),
    ],
)
def test_what_is_no_change_is_refused_in_one_line(kinds: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Augmentation(**kinds)


def test_the_mean_colour_is_that_of_the_fill() -> None:
    images, masks = changed(square(), rotation=30)
    corner = images[0, :, 0, 0] * torch.tensor([0.229, 0.224, 0.225]) + torch.tensor(IMAGENET.mean)
    assert masks[0, 0, 0] == FILL_INDEX
    assert torch.allclose(corner, torch.tensor(IMAGENET.mean), atol=0.01)
