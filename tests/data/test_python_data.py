import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from autorf.data import PythonData, load
from autorf.data.normalisation import IMAGENET, normalisation_of
from autorf.data.sources import InMemory
from autorf.errors import InputError
from autorf.own_code.code import read_code
from autorf.own_code.importing import importable
from autorf.own_code.reference import parse_reference
from autorf.specification import parse
from autorf.store.data_digest import digest_of

FACTORY = "python:./own_items.py:build"
MASK = np.arange(6 * 8).reshape(6, 8) % 3
ITEM: list[Callable[[int], Any]] = []


@pytest.fixture(autouse=True)
def _own_code(tmp_path: Path) -> Iterator[None]:
    """A data set whose items this file's functions give."""
    (tmp_path / "own_items.py").write_text(
        "from tests.data.test_python_data import ITEM\n"
        "class Items:\n"
        "    def __init__(self, n): self.n = n\n"
        "    def __len__(self): return self.n\n"
        "    def __getitem__(self, i): return ITEM[0](i)\n"
        "def build(returned='three', n=4):\n"
        "    three = Items(n), Items(n), Items(2)\n"
        "    return {'three': three, 'two': three[:2], 'none': (*three[:2], None), 'one': three[0],\n"
        "            'named': {'train': three[0], 'val': three[1]}, 'unnamed': {'training': 1, 'val': 2},\n"
        "            'stream': (iter([]), three[1]), 'empty': (Items(0), three[1])}[returned]\n"
    )
    with importable(read_code([parse_reference(FACTORY)], tmp_path)):
        yield
    ITEM.clear()


def spec(**changes: Any) -> PythonData:
    return PythonData(**{"factory": FACTORY, "classes": 3, "image_size": (6, 8), **changes})


def image(channels: int = 3) -> Tensor:
    return torch.arange(channels * 6 * 8, dtype=torch.float32).reshape(channels, 6, 8) / 7


def bytes_of(channels: int = 3) -> Tensor:
    return (image(channels) * 3).byte()


def validation(item: Any, **changes: Any) -> tuple[Tensor, Tensor]:
    """The first validation image and mask of a data set all of whose items are ``item``, as a network gets them."""
    ITEM[:] = [lambda index: item]
    first: tuple[Tensor, Tensor] = load(spec(normalise="none", **changes)).val[0]
    return first


@pytest.mark.parametrize(
    "item",
    [
        (image(), torch.from_numpy(MASK)),
        [image().numpy().transpose(1, 2, 0), MASK],
        {"image": image().double(), "mask": torch.from_numpy(MASK)[None], "crs": "EPSG:4326"},
        {"image": image().numpy(), "mask": MASK.astype(np.uint8)},
        (image(), Image.fromarray(MASK.astype(np.uint8))),
        (image(), MASK.astype(np.float32)),
        (image(), MASK[..., None]),
    ],
)
def test_every_habit_gives_the_same_image_and_mask(item: Any) -> None:
    pixels, mask = validation(item)
    torch.testing.assert_close(pixels, image())
    assert torch.equal(mask, torch.from_numpy(MASK))


def test_bytes_are_colours_from_0_to_1_and_pictures_too() -> None:
    picture = Image.fromarray(bytes_of().permute(1, 2, 0).numpy())
    for pixels in (bytes_of(), picture):
        torch.testing.assert_close(validation((pixels, MASK))[0], bytes_of() / 255)


def test_where_both_ends_could_be_the_channels_arrays_have_them_last_and_tensors_first() -> None:
    cube = np.random.default_rng(0).normal(size=(3, 3, 3)).astype(np.float32)
    mask = np.zeros((3, 3), int)
    first, _ = validation((torch.from_numpy(cube), mask), image_size=(3, 3))
    last, _ = validation((cube, mask), image_size=(3, 3))
    torch.testing.assert_close(first, torch.from_numpy(cube))
    torch.testing.assert_close(last, torch.from_numpy(cube).movedim(2, 0))


@pytest.mark.parametrize("channels", [1, 2, 7])
def test_any_number_of_channels_reaches_the_network(channels: int) -> None:
    pixels = image(channels)[0] if channels == 1 else image(channels)
    torch.testing.assert_close(validation((pixels, MASK), channels=channels)[0], image(channels))


@pytest.mark.parametrize("ignored", [-100, -1, 255, 7])
def test_an_ignored_value_of_any_kind_is_left_out(ignored: int) -> None:
    mask = MASK.copy()
    mask[0] = ignored
    ITEM[:] = [lambda index: (image(), mask)]
    splits = load(spec(ignore_index=ignored))
    assert splits.ignore_index is not None
    assert 0 <= splits.ignore_index <= 255
    assert torch.equal(splits.val[0][1] == splits.ignore_index, torch.from_numpy(mask == ignored))


def test_items_of_another_size_are_brought_to_the_image_size_masks_by_the_nearest_pixel() -> None:
    pixels, mask = validation((image(), MASK), image_size=(12, 16))
    assert torch.equal(mask, torch.from_numpy(MASK).repeat_interleave(2, 0).repeat_interleave(2, 1))
    torch.testing.assert_close(pixels.mean((1, 2)), image().mean((1, 2)), rtol=0.02, atol=0.02)


def test_masks_keep_their_size_where_scores_are_taken_there() -> None:
    ITEM[:] = [lambda index: (image(), MASK)]
    splits = load(spec(normalise="none", score_at="mask", image_size=(12, 16)))
    assert splits.val.mask_sizes == [(6, 8)] * 4
    assert (splits.val[0][0].shape, splits.val[0][1].shape) == ((3, 12, 16), (6, 8))
    assert splits.train[0][1].shape == (12, 16)


@pytest.mark.parametrize("returned", ["two", "three", "none", "named"])
def test_splits_come_as_a_tuple_or_by_name(returned: str) -> None:
    ITEM[:] = [lambda index: (image(), MASK)]
    splits = load(spec(args={"returned": returned}))
    assert (len(splits.train), len(splits.val), splits.test is None) == (4, 4, returned != "three")


def drawn(index: int) -> tuple[Tensor, Any]:
    """An item that draws from all three generators."""
    return image() + random.random() + np.random.rand() + torch.rand(()), MASK


def test_what_a_training_split_draws_depends_on_seed_epoch_and_image_only() -> None:
    ITEM[:] = [lambda index: drawn(index) if NOW["train"] else (image(), MASK)]
    NOW["train"] = False
    train = load(spec(normalise="none")).train
    NOW["train"] = True

    def epoch(seed: int, number: int, order: list[int]) -> dict[int, float]:
        split = train.with_augmentation(spec().augmentation, seed)
        split.set_epoch(number)
        random.random()
        images, _ = split.tensors(order)
        return {index: float(pixels[0, 0, 0]) for index, pixels in zip(order, images, strict=True)}

    once = epoch(0, 3, [0, 1, 2])
    assert epoch(0, 3, [2, 0, 1]) == once
    assert len({*once.values(), *epoch(0, 4, [0, 1, 2]).values(), *epoch(1, 3, [0, 1, 2]).values()}) == 9
    state = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    train.tensors([0])
    assert state == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


NOW = {"train": False}


def test_a_split_that_is_scored_must_not_draw() -> None:
    ITEM[:] = [drawn]
    with pytest.raises(InputError, match="item 0 is another each time it is read; draw augmentation for the"):
        load(spec())


def test_normalisation_is_imagenets_for_colours_in_bytes_and_the_training_splits_own_otherwise() -> None:
    ITEM[:] = [lambda index: (bytes_of(), MASK)]
    assert load(spec()).val.normalisation == IMAGENET
    assert load(spec(normalise="training")).val.normalisation != IMAGENET
    ITEM[:] = [lambda index: (image(5) + index, MASK)]
    splits = load(spec(channels=5))
    pixels = torch.stack([splits.train[index][0] for index in range(4)])
    torch.testing.assert_close(pixels.mean((0, 2, 3)), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(pixels.std((0, 2, 3), unbiased=False), torch.ones(5), atol=1e-5, rtol=0)
    assert splits.val.normalisation == splits.train.normalisation


def test_a_channel_that_never_changes_is_only_shifted_and_large_offsets_cost_no_digits() -> None:
    images = torch.randn(4, 2, 6, 8) * 0.01 + 1e3
    images[:, 1] = 5
    own = normalisation_of(InMemory(images, torch.zeros(4, 6, 8, dtype=torch.uint8)), 2)
    assert own.std[1] == 1
    assert own.std[0] == pytest.approx(float(images[:, 0].double().std(unbiased=False)), rel=1e-4)


def test_augmentation_reaches_images_of_many_channels_and_fills_with_their_mean() -> None:
    ITEM[:] = [lambda index: (image(5), MASK)]
    data = parse(
        PythonData,
        {**spec(channels=5).model_dump(), "augmentation": {"scale": [0.5, 0.5], "flip": True}},
        "study",
    )
    train = load(data).train
    pixels, mask = train[0]
    assert pixels.shape == (5, 6, 8)
    torch.testing.assert_close(pixels[:, mask == 255], torch.zeros(5, int((mask == 255).sum())), atol=1e-5, rtol=0)


def test_a_study_knows_its_items_by_content_and_its_training_items_by_their_number(tmp_path: Path) -> None:
    ITEM[:] = [lambda index: (image() + index, MASK)]
    before = digest_of(spec(), tmp_path)
    assert before is not None
    assert {split: parts["n"] for split, parts in before.summary()["splits"].items()} == {
        "train": 4,
        "val": 4,
        "test": 2,
    }
    again = digest_of(spec(), tmp_path)
    assert again is not None
    assert again.summary() == before.summary()
    ITEM[:] = [lambda index: (image() + index + (index == 2), MASK)]
    after = digest_of(spec(), tmp_path)
    assert after is not None
    changed = [
        split for split, parts in after.summary()["splits"].items() if parts != before.summary()["splits"][split]
    ]
    assert changed == ["val"]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ((image(),), r"item 0 is a tuple of 1; an item is \(image, mask\)"),
        ({"image": image(), "label": 1}, "item 0 is a mapping with image, label; an item is"),
        (image(), "item 0 is a Tensor; an item is"),
        ((image(), MASK[:4]), "its mask is 4 x 8 and its image 3 x 6 x 8: they must have the same height and width"),
        ((image(4), MASK), "its image has 4 channels, data.channels says 3"),
        ((image().int(), MASK), r"its image holds int32; give bytes \(uint8\) or floating-point numbers"),
        ((image() / 0, MASK), "its image holds nan or infinite numbers"),
        ((image(), MASK + 1), r"its mask holds 3; legal are 0 to 2; correct data\.classes"),
        ((image(), MASK - 1), "its mask holds -1; legal are 0 to 2"),
        ((image(), MASK + 0.5), r"its mask holds numbers that are not whole, such as 0\.5"),
        ((image(), np.zeros((3, 6, 8), int)), r"its mask has the shape \(3, 6, 8\); it is \(H, W\)"),
        ((image()[None], MASK), r"its image has the shape \(1, 3, 6, 8\)"),
        (("picture.png", MASK), "its image is a str; a tensor, an array or a picture is wanted"),
        ((np.array([[None]]), MASK), "its image holds object; convert it to numbers"),
    ],
)
def test_an_item_that_cannot_be_used_is_named_with_what_is_wanted(item: Any, message: str) -> None:
    ITEM[:] = [lambda index: item]
    with pytest.raises(InputError, match=message):
        load(spec())


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("one", "build returned an Items; wanted: training, validation and, where there is one, test data sets"),
        ("unnamed", "build returned training, val; wanted"),
        ("stream", "for the training split; a data set has a length and items by number"),
        ("empty", "returned a training split without an item"),
    ],
)
def test_a_factory_that_returns_something_else_is_told_what_is_wanted(returned: str, message: str) -> None:
    ITEM[:] = [lambda index: (image(), MASK)]
    with pytest.raises(InputError, match=message):
        load(spec(args={"returned": returned}))


def test_an_error_inside_an_item_is_said_with_the_item_and_the_line() -> None:
    ITEM[:] = [lambda index: {}["gone"]]
    with pytest.raises(InputError, match=r"item 0 cannot be read: KeyError: 'gone' \(.*own_items\.py, line 5\)"):
        load(spec())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"channels": 4, "normalise": "imagenet"},
            "normalise: imagenet is for red, green and blue, not for 4 channels",
        ),
        ({"channels": 4, "augmentation": {"colour": {"hue": 0.1}}}, "colour is for red, green and blue, not for 4"),
        ({"factory": "data.py:build"}, r"own code is named python:\./FILE\.py:NAME"),
        ({"classes": ["a"]}, "a count from 2 to 255"),
        ({"groups": {"both": [0, 9]}}, "9"),
        ({"left_out": [0, 1, 2]}, "left_out: names every class"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    values = {"name": "python", "factory": FACTORY, "classes": 3, "image_size": [6, 8], **changes}
    with pytest.raises(InputError, match=message):
        parse(PythonData, values, "study.yaml: data")


def test_colour_changes_are_for_bytes() -> None:
    ITEM[:] = [lambda index: (image(), MASK)]
    values = {**spec().model_dump(), "augmentation": {"colour": {"hue": 0.1}}}
    with pytest.raises(InputError, match="colour: is for bytes; these images are floating-point numbers"):
        load(parse(PythonData, values, "study"))
