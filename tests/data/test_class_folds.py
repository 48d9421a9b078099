"""Folds of pictures with one class each: every fold has the classes of the whole."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from autorf.data import ImageFolderData, load
from autorf.data.class_pairs import ClassPair
from autorf.data.folds import fold_numbers
from autorf.data.loading import pairs_of
from autorf.data.pairs import Pair
from autorf.errors import InputError
from autorf.study.spec import parse_study
from tests.data.classes import write_shade
from tests.study.classified import CLASSIFIED

COUNTS = {"ant": 7, "bee": 5, "cow": 3, "dog": 4}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Nineteen pictures of four classes in uneven numbers, named alike from class to class."""
    folder = tmp_path / "pictures"
    for label, (name, count) in enumerate(COUNTS.items()):
        for number in range(count):
            write_shade(folder / name / f"plant{number // 2}_{number}.png", label)
    return folder


def data(root: Path, **keys: object) -> ImageFolderData:
    return ImageFolderData.model_validate({"root": root, "image_size": 16, "folds": 3, **keys})


def held_out(root: Path, fold: int, **keys: object) -> list[str]:
    pairs = pairs_of(data(root, fold=fold, **keys))["val"]
    return [f"{pair.image.parent.name}/{pair.image.name}" for pair in pairs]


def test_every_picture_validates_once_and_every_fold_has_all_classes_in_about_equal_numbers(root: Path) -> None:
    folds = [held_out(root, fold) for fold in range(3)]
    assert len({name for fold in folds for name in fold}) == sum(map(len, folds)) == 19
    assert sorted(map(len, folds)) == [6, 6, 7]
    by_class = [Counter(name.split("/")[0] for name in fold) for fold in folds]
    for name, count in COUNTS.items():
        numbers = [of_fold[name] for of_fold in by_class]
        assert sum(numbers) == count
        assert max(numbers) - min(numbers) <= 1, name
    for fold, names in enumerate(folds):
        train = {f"{pair.image.parent.name}/{pair.image.name}" for pair in pairs_of(data(root, fold=fold))["train"]}
        assert not train & set(names)
        assert len(train) == 19 - len(names)


def test_folds_are_of_the_names_alone(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "on" / "another" / "machine")
    elsewhere = tmp_path / "on" / "another" / "machine"
    assert [held_out(elsewhere, fold) for fold in range(3)] == [held_out(root, fold) for fold in range(3)]
    both = load(data(root))
    assert (len(both.train), len(both.val)) == (19, 19)


def test_a_group_of_several_classes_lies_in_one_fold(tmp_path: Path) -> None:
    for label, name in enumerate(("sick", "sound")):
        for plant in range(6):
            for leaf in range(1 + (plant + label) % 2):
                write_shade(tmp_path / name / f"plant{plant}_{leaf}.png", label)
    folds = [held_out(tmp_path, fold, group_by="(plant[0-9]+)_") for fold in range(3)]
    plants = [{name.split("/")[1].split("_")[0] for name in fold} for fold in folds]
    assert sum(map(len, plants)) == len(set.union(*plants)) == 6
    by_class = [Counter(name.split("/")[0] for name in fold) for fold in folds]
    assert all(of_fold == {"sick": 3, "sound": 3} for of_fold in by_class)


def test_folds_of_masks_are_what_they_were() -> None:
    """Drawn by an earlier version, which knew no classes of pictures: stored trials are of these."""
    pairs = [Pair(Path(f"a/patient{n // 3}_{n}.png"), Path("m.png")) for n in range(14)]
    assert fold_numbers(pairs, data(Path("a"), folds=4), Path("a")) == EARLIER
    assert fold_numbers(pairs, data(Path("a"), group_by="(patient[0-9]+)_"), Path("a")) == EARLIER_GROUPS
    alike = [ClassPair(pair.image, pair.image, label=1) for pair in pairs]
    assert fold_numbers(alike, data(Path("a"), folds=4), Path("a")) == EARLIER


EARLIER: list[int] = [1, 3, 1, 3, 0, 0, 2, 1, 2, 3, 1, 2, 0, 0]
EARLIER_GROUPS: list[int] = [1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"folds": 4},
            "data.folds: fold [0-3] of 4 has none of the 3 pictures of class 'cow', and each fold validates all "
            "classes; add pictures, or give at most 3 folds",
        ),
        ({"folds": 20}, "data.folds: 20 folds of 19 images"),
        ({"group_by": "(plant)"}, "data.folds: 3 folds of 1 group "),
        (
            {"folds": 4, "group_by": "(plant[0-9]+)_"},
            "fold [0-3] of 4 has none of the [0-9] pictures of class '[a-z]+', and each fold validates all classes; "
            "add pictures, or give",
        ),
        ({"group_by": "(weed[0-9]+)"}, "data.group_by: .* names no group in"),
    ],
)
def test_folds_that_would_lack_a_class_are_refused(root: Path, keys: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        load(data(root, **keys))
    assert len(str(error.value)) <= 290


def test_a_class_of_one_picture_is_taken_away(root: Path) -> None:
    write_shade(root / "emu" / "only.png", 1)
    with pytest.raises(InputError, match=r"none of the 1 pictures of class 'emu'.*take the class away"):
        load(data(root))


def test_a_validation_split_of_its_own_and_folds_contradict_each_other(root: Path) -> None:
    for split in ("train", "val"):
        shutil.copytree(root, root.parent / "split" / split)
    with pytest.raises(InputError, match=r"has a validation split \(data.val: val, 19 images\); folds are for data"):
        load(data(root.parent / "split"))


@pytest.mark.parametrize("name", ["stanford_cars", "imagenet", "fgvc_aircraft", "digit_classes", "voc", "helen"])
def test_data_with_a_validation_split_have_no_folds(name: str) -> None:
    with pytest.raises(
        InputError, match=rf"data.folds: {name} has a validation split; .*\(folder, fasseg, image_folder\)"
    ):
        parse_study({**CLASSIFIED, "data": {"name": name, "root": "pictures", "folds": 3}}, "study.yaml")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"group_by": "folder"}, "group_by: a folder is a class here"),
        ({"half": "a"}, "half: folds train on all images"),
        ({"val_fraction": 0.5}, "val_fraction: with folds every image validates once"),
        ({"folds": None, "fold": 1}, "fold: goes with folds"),
    ],
)
def test_keys_that_folds_contradict_are_refused(root: Path, keys: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_study(
            {**CLASSIFIED, "data": {"name": "image_folder", "root": str(root), "image_size": 16, "folds": 3, **keys}},
            "s",
        )
