"""Data sets of the user's own code whose pictures have one class each."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from autorf.data import PythonClassData, load
from autorf.data import python_class_sets as sets
from autorf.data.normalisation import IMAGENET
from autorf.data.python_data import PythonData
from autorf.errors import InputError
from autorf.own_code.code import read_code
from autorf.own_code.importing import importable
from autorf.own_code.reference import parse_reference
from autorf.store.data_digest import digest_of
from autorf.study.spec import parse_study
from autorf.training.class_weights import class_weights
from tests.study.classified import CLASSIFIED

FACTORY = "python:./own_pictures.py:build"
ITEM: list[Callable[[int], Any]] = []


@pytest.fixture(autouse=True)
def _own_code(tmp_path: Path) -> Iterator[None]:
    """Six training, four validation and two test pictures, which this file's functions give."""
    (tmp_path / "own_pictures.py").write_text(
        "from tests.data.test_python_classes import ITEM\n"
        "class Items:\n"
        "    def __init__(self, n): self.n = n\n"
        "    def __len__(self): return self.n\n"
        "    def __getitem__(self, i): return ITEM[0](i)\n"
        "def build(): return Items(6), Items(4), Items(2)\n"
    )
    with importable(read_code([parse_reference(FACTORY)], tmp_path)):
        yield
    ITEM.clear()


def spec(**changes: Any) -> PythonClassData:
    return PythonClassData.model_validate({"factory": FACTORY, "classes": 3, "image_size": [6, 8], **changes})


def image(channels: int = 3) -> Tensor:
    return torch.arange(channels * 6 * 8, dtype=torch.float32).reshape(channels, 6, 8) / 7


def items(picture: Any, label: Callable[[int], Any] = lambda index: index % 3) -> None:
    ITEM[:] = [lambda index: (picture, label(index))]


@pytest.mark.parametrize(
    "label", [int, np.int64, torch.tensor, float, lambda n: np.array([n]), lambda n: torch.tensor([[n]])]
)
@pytest.mark.parametrize(
    "picture", [image(), image().numpy().transpose(1, 2, 0), image().double()], ids=["tensor", "array", "double"]
)
def test_every_habit_gives_the_same_picture_and_class(picture: Any, label: Callable[[int], Any]) -> None:
    items(picture, lambda index: label(index % 3))
    splits = load(spec(normalise="none"))
    assert (len(splits.train), len(splits.val), len(splits.test or ())) == (6, 4, 2)
    assert splits.task.name == "classification"
    pixels, masks = splits.val.tensors(range(4))
    torch.testing.assert_close(pixels[0], image())
    assert (masks.dtype, masks.flatten().tolist()) == (torch.int64, [0, 1, 2, 0])


def test_items_may_be_mappings_and_pictures_of_pillow() -> None:
    picture = Image.fromarray(np.full((12, 16, 3), 90, np.uint8))
    ITEM[:] = [lambda index: {"image": picture, "label": index % 3, "name": "x"}]
    splits = load(spec())
    assert splits.val.normalisation == IMAGENET
    assert splits.val.unchanged([1])[0].unique().tolist() == [90]
    assert splits.val.unchanged([1])[0].shape == (1, 3, 6, 8)


def test_any_number_of_channels_and_of_classes_reaches_the_network() -> None:
    items(image(7), lambda index: 299 if index == 5 else index % 3)
    ITEM[:] = [lambda index: (image(7), index)]
    with pytest.raises(InputError, match=r"no training item is of class 6 \('6'\); add some or correct data.classes"):
        load(spec(channels=7, classes=300))
    splits = load(spec(channels=7, classes=[*"abcdef"]))
    assert splits.train[0][0].shape == (7, 6, 8)
    assert splits.class_names == tuple("abcdef")
    assert len(splits.val.normalisation.mean) == 7


def test_balanced_weights_count_the_labels_without_reading_pictures() -> None:
    items(image(), lambda index: (0, 0, 0, 1, 1, 2)[index])
    splits = load(spec())
    ITEM[:] = [lambda index: {}["read"]]
    weights = 1 / np.sqrt([3, 2, 1])
    assert class_weights(splits).tolist() == pytest.approx((3 * weights / weights.sum()).tolist())


def test_what_a_training_split_draws_depends_on_seed_epoch_and_picture_only() -> None:
    items(image())
    train = load(spec(normalise="none")).train
    ITEM[:] = [lambda index: (image() + random.random() + np.random.rand() + torch.rand(()), index % 3)]

    def epoch(seed: int, number: int, order: list[int]) -> dict[int, float]:
        split = train.with_augmentation(spec().augmentation, seed)
        split.set_epoch(number)
        return {i: float(p[0, 0, 0]) for i, p in zip(order, split.tensors(order)[0], strict=True)}

    once = epoch(0, 3, [0, 1, 2])
    assert epoch(0, 3, [2, 0, 1]) == once
    assert len({*once.values(), *epoch(0, 4, [0, 1, 2]).values(), *epoch(1, 3, [0, 1, 2]).values()}) == 9
    state = torch.get_rng_state()
    train.mask(0)
    assert torch.equal(state, torch.get_rng_state())


def test_a_resized_crop_is_a_random_part_of_training_pictures_alone() -> None:
    items((image() * 3).byte())
    splits = load(spec(augmentation={"resized_crop": [0.2, 0.4], "flip": True}))
    whole = load(spec())
    assert torch.equal(splits.val.tensors([0])[0], whole.val.tensors([0])[0])
    first = splits.train.tensors([0])[0]
    assert first.shape == (1, 3, 6, 8)
    assert torch.equal(first, splits.train.tensors([0])[0])
    assert not torch.equal(first, whole.train.tensors([0])[0])
    half = load(spec(half="a", augmentation={"resized_crop": [0.2, 0.4]})).train
    assert len(half) == 3
    assert not torch.equal(half.tensors([0])[0], whole.train.tensors([0])[0])


def test_splits_that_do_not_fit_into_memory_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    items(image())
    held = load(spec()).val
    monkeypatch.setattr(sets, "MEMORY_BOUND", 0)
    read = load(spec()).val
    assert (held.decoded_bytes is None, read.decoded_bytes) == (False, None)
    assert torch.equal(held.tensors([3])[0], read.tensors([3])[0])
    assert read.mask(1).item() == 1


def test_a_study_knows_its_scored_items_by_content_and_class(tmp_path: Path) -> None:
    items(image())
    before = digest_of(spec(), tmp_path)
    assert before is not None
    assert {split: parts["n"] for split, parts in before.summary()["splits"].items()} == {
        "train": 6, "val": 4, "test": 2
    }  # fmt: skip
    items(image(), lambda index: 0 if index == 3 else (index + (index == 2)) % 3)
    after = digest_of(spec(), tmp_path)
    assert after is not None
    assert after.summary()["splits"]["val"]["masks"] != before.summary()["splits"]["val"]["masks"]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ((image(),), r"training item 0 is a tuple of 1|validation item 0 is a tuple of 1"),
        ({"image": image(), "mask": 1}, r"a mapping with image, mask; an item is \(image, label\), or a mapping with"),
        (image(), r"is a Tensor; an item is \(image, label\)"),
        ((image(), 3), "its label is 3; legal are 0 to 2; correct data.classes or the labels"),
        ((image(), -1), "its label is -1; legal are 0 to 2"),
        ((image(), 1.5), "its label is 1.5; it is one whole number, 0 to 2"),
        ((image(), True), "its label is True; it is one whole number"),
        ((image(), float("nan")), "its label is nan; it is one whole number"),
        ((image(), torch.eye(3)[1]), r"its label has the shape \(3,\); it is one whole number"),
        ((image(), "ant"), "its label is a str; a tensor, an array or a picture is wanted|its label is a str"),
        ((image(4), 1), "its image is 4 x 6 x 8; data.channels says 3, which are first or last in every item"),
        ((image()[0], 1), "its image is 1 x 6 x 8; data.channels says 3"),
        ((image()[None], 1), r"its image has the shape \(1, 3, 6, 8\)"),
        ((image()[:, :0], 1), r"its image has the shape \(3, 0, 8\)"),
        ((image().int(), 1), r"its image holds int32; give bytes \(uint8\)"),
        ((image() / 0, 1), "its image holds nan or infinite numbers"),
        (("a.png", 1), "its image is a str"),
    ],
)
def test_an_item_that_cannot_be_used_is_named_with_what_is_wanted(item: Any, message: str) -> None:
    ITEM[:] = [lambda index: item]
    with pytest.raises(InputError, match=message) as error:
        load(spec())
    assert len(str(error.value)) <= 290


def test_items_of_two_kinds_of_numbers_and_splits_that_draw_are_refused() -> None:
    ITEM[:] = [lambda index: ((image() * 3).byte() if index else image(), index % 3)]
    with pytest.raises(InputError, match="validation items are bytes here and floating-point there"):
        load(spec())
    ITEM[:] = [lambda index: (image() + random.random(), index % 3)]
    with pytest.raises(InputError, match="item 0 is another each time it is read"):
        load(spec())
    items(image())
    with pytest.raises(InputError, match="colour: is for bytes; these images are floating-point numbers"):
        load(spec(augmentation={"colour": {"hue": 0.1}}))


def test_a_classification_reads_python_as_pictures_with_one_class_each_and_a_segmentation_as_masks() -> None:
    data = {"name": "python", "factory": FACTORY, "classes": 3, "image_size": 32}
    study = parse_study({**CLASSIFIED, "data": data}, "study.yaml")
    assert isinstance(study.data, PythonClassData)
    assert parse_study(study.model_dump(mode="json"), "dumped").data == study.data
    segmentation = {**CLASSIFIED, "data": data, "task": "segmentation", "model": {"name": "largefov:test_byobnet"}}
    assert isinstance(parse_study(segmentation, "study.yaml").data, PythonData)
    with pytest.raises(InputError, match="python_classes has one class a picture, and the study segments"):
        parse_study({**segmentation, "data": {**data, "name": "python_classes"}}, "study.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 4, "normalise": "imagenet"}, "imagenet is for red, green and blue, not for 4 channels"),
        ({"channels": 4, "augmentation": {"colour": {"hue": 0.1}}}, "colour is for red, green and blue, not for 4"),
        ({"ignore_index": 255}, "ignore_index: unknown key"),
        ({"groups": {"a": [0]}}, "groups: unknown key"),
        ({"score_at": "mask"}, "score_at: unknown key"),
        ({"classes": 1}, "a count from 2 to 32767"),
        ({"classes": ["a", "a"]}, "a count from 2 to 32767"),
        ({"folds": 3}, "python has a validation split; folds are for data without one|data.folds: python"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    data = {"name": "python", "factory": FACTORY, "classes": 3, "image_size": 32, **changes}
    with pytest.raises(InputError, match=message):
        parse_study({**CLASSIFIED, "data": data}, "study.yaml")
