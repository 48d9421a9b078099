"""Folds: which images validate together, and that nothing else reaches what trains."""

import shutil
from pathlib import Path

import pytest
import torch

from autorf.data import FassegData, FolderData, Splits, load
from autorf.data.loading import pairs_of
from autorf.data.pairs import split_off
from autorf.errors import InputError
from autorf.training.class_weights import class_weights
from tests.data.conftest import WritePair

NAMES = [f"patient{patient}_{scan}.png" for patient, n in enumerate((5, 3, 2, 1, 1, 1)) for scan in range(n)]


@pytest.fixture
def root(tmp_path: Path, write_pair: WritePair) -> Path:
    """Thirteen images of six patients, of classes 0 to 2; two more test."""
    folder = tmp_path / "scans"
    for split, names in (("train", NAMES), ("test", ["a.png", "b.png"])):
        for name in names:
            write_pair(folder / split / "images", folder / split / "masks", name)
    return folder


def data(root: Path, **keys: object) -> FolderData:
    return FolderData.model_validate({"root": root, "image_size": 16, "classes": 3, "folds": 4, **keys})


def stems(root: Path, fold: int | None, split: str = "val", **keys: object) -> list[str]:
    return [pair.image.stem for pair in pairs_of(data(root, fold=fold, **keys))[split]]


def test_every_image_validates_once_and_trains_otherwise(root: Path) -> None:
    everything = sorted(Path(name).stem for name in NAMES)
    held_out = [stems(root, fold) for fold in range(4)]
    assert sorted(stem for fold in held_out for stem in fold) == everything
    assert sorted(map(len, held_out)) == [3, 3, 3, 4]
    for fold, val in enumerate(held_out):
        train = stems(root, fold, "train")
        assert not set(val) & set(train)
        assert sorted([*val, *train]) == everything
        assert stems(root, fold, "test") == ["a", "b"]


def test_a_study_knows_all_images_before_any_trial(root: Path) -> None:
    splits = load(data(root))
    assert (len(splits.train), len(splits.val)) == (13, 13)
    assert splits.test is not None
    assert len(splits.test) == 2


def test_folds_are_drawn_by_the_images_names_wherever_they_lie_and_whatever_seed_trains(
    root: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "on" / "another" / "machine"
    shutil.copytree(root, elsewhere)
    assert [stems(elsewhere, fold) for fold in range(4)] == [stems(root, fold) for fold in range(4)]
    first, second = (load(data(root, fold=1), seed=seed) for seed in (0, 1))
    assert torch.equal(_images(first), _images(second))
    assert stems(root, 0) != stems(root, 0, folds=3)


def _images(splits: Splits) -> torch.Tensor:
    return splits.val.tensors(range(len(splits.val)))[0]


def test_neither_names_nor_their_order_say_which_fold(root: Path) -> None:
    folds = {stem: fold for fold in range(4) for stem in stems(root, fold)}
    in_order = [folds[Path(name).stem] for name in NAMES]
    assert in_order != sorted(in_order)
    assert in_order != [index % 4 for index in range(13)]


@pytest.mark.parametrize("rule", ["(patient[0-9]+)_", "images/(.*)_"])
def test_a_group_lies_in_one_fold_and_folds_are_as_equal_as_groups_allow(root: Path, rule: str) -> None:
    held_out = [stems(root, fold, group_by=rule) for fold in range(4)]
    patients = [{stem.split("_")[0] for stem in fold} for fold in held_out]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 6
    assert sorted(map(len, held_out)) == [2, 3, 3, 5]


def test_the_images_of_one_folder_are_a_group(tmp_path: Path, write_pair: WritePair) -> None:
    for city, n in (("aachen", 3), ("bonn", 1), ("celle", 2)):
        for scene in range(n):
            name = f"{city}_{scene}.png"
            write_pair(tmp_path / "left" / "train" / city, tmp_path / "fine" / "train" / city, name)
    keys = {"images": "left/{split}/{stem}", "masks": "fine/{split}/{stem}", "folds": 3, "group_by": "folder"}
    cities = [{stem.split("_")[0] for stem in stems(tmp_path, fold, **keys)} for fold in range(3)]
    assert sorted(map(sorted, cities)) == [["aachen"], ["bonn"], ["celle"]]


def test_without_folds_the_same_images_validate_as_ever(root: Path) -> None:
    spec = data(root, folds=None)
    everything = [pair for split in ("train", "val") for pair in pairs_of(spec)[split]]
    train, val = split_off(sorted(everything), spec.val_fraction)
    assert (pairs_of(spec)["train"], pairs_of(spec)["val"]) == (train, val)


def test_normalisation_and_class_weights_are_of_the_training_part_alone(root: Path) -> None:
    """An image of its own brightness and class is in one fold: only the models that train on it may know."""
    odd = root / "train" / "masks" / "patient5_0.png"
    _fill(odd, 2)
    _fill(root / "train" / "images" / "patient5_0.png", 255)
    fold_of_odd = next(fold for fold in range(4) if "patient5_0" in stems(root, fold))
    for fold in range(4):
        splits = load(data(root, fold=fold, normalise="training"))
        pixels = splits.train.source.read(range(len(splits.train)))[0].double() / 255
        mean = pixels.mean((0, 2, 3)).tolist()
        assert splits.train.normalisation.mean == pytest.approx(mean)
        assert splits.val.normalisation == splits.train.normalisation
        counts = torch.bincount(splits.train.source.read(range(len(splits.train)))[1].flatten().long(), minlength=3)
        weights = counts.double().rsqrt()
        assert class_weights(splits).tolist() == pytest.approx((3 * weights / weights.sum()).tolist())
        whole = load(data(root, normalise="training"))
        assert splits.train.normalisation != whole.train.normalisation
        assert (255 in splits.train.source.read(range(len(splits.train)))[0]) == (fold != fold_of_odd)


def _fill(file: Path, value: int) -> None:
    from PIL import Image

    with Image.open(file) as picture:
        filled = Image.new(picture.mode, picture.size, value if picture.mode == "L" else (value,) * 3)
    filled.save(file)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"folds": 14}, "data.folds: 14 folds of 13 images (ROOT/train/images); give at most 13"),
        (
            {"folds": 7, "group_by": "(patient[0-9])"},
            "data.folds: 7 folds of 6 groups (data.group_by; 13 images of ROOT/train/images): a group lies in one "
            "fold; give at most 6",
        ),
        (
            {"group_by": "folder"},
            "data.folds: 4 folds of 1 group (data.group_by; 13 images of ROOT/train/images): a group lies in one fold; "
            "give another group_by",
        ),
        (
            {"group_by": "(subject[0-9])"},
            "data.group_by: '(subject[0-9])' names no group in train/images/patient0_0.png; every training image is in "
            "one",
        ),
    ],
)
def test_folds_that_cannot_be_drawn_are_refused_in_a_line(root: Path, keys: dict[str, object], line: str) -> None:
    with pytest.raises(InputError) as error:
        load(data(root, **keys))
    assert str(error.value).replace(str(root), "ROOT") == line


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"folds": 1}, "folds: must be greater than or equal to 2, got 1"),
        ({"folds": 101}, "folds: must be less than or equal to 100, got 101"),
        ({"fold": 4}, "fold: 4 of 4 folds; legal are 0 to 3"),
        ({"folds": None, "fold": 1}, "fold: goes with folds; give folds: 5, or leave fold out"),
        ({"folds": None, "group_by": "folder"}, "group_by: goes with folds; give folds: 5, or leave group_by out"),
        ({"half": "a"}, "half: folds train on all images but those that validate; leave half or folds out"),
        (
            {"val_fraction": 0.5},
            "val_fraction: with folds every image validates once; leave val_fraction or folds out",
        ),
        (
            {"group_by": "(patient"},
            "group_by: '(patient' is no regular expression (missing ), unterminated subpattern at position 0); give "
            "folder, or such as (patient[0-9]+)_",
        ),
        (
            {"group_by": "patient"},
            "group_by: 'patient' has no group in parentheses that names what belongs together; give folder, or such as "
            "(patient[0-9]+)_",
        ),
        ({"group_by": "(a)" * 67}, "group_by: 201 characters; a regular expression of at most 200 is read"),
    ],
)
def test_what_a_study_file_cannot_say_of_folds(root: Path, keys: dict[str, object], line: str) -> None:
    with pytest.raises(InputError) as error:
        FolderData(**{"root": root, "image_size": 16, "classes": 3, "folds": 4, **keys})
    assert str(error.value).removeprefix("FolderData: ") == line


def test_data_with_a_validation_split_has_no_folds(root: Path, write_pair: WritePair) -> None:
    write_pair(root / "val" / "images", root / "val" / "masks", "c.png")
    with pytest.raises(InputError, match=r"has a validation split \(data.val: val, 1 images\); folds are for data"):
        load(data(root))
    assert len(str(_refused(root))) <= 290


def _refused(root: Path) -> InputError:
    with pytest.raises(InputError) as error:
        load(data(root))
    return error.value


def test_fasseg_is_folded_and_its_test_split_left_alone(real_data: Path) -> None:
    folded = [pairs_of(FassegData(root=real_data / "fasseg", folds=5, fold=fold)) for fold in range(5)]
    assert [(len(p["train"]), len(p["val"]), len(p["test"])) for p in folded] == [(16, 4, 50)] * 5
    assert len({pair.image for p in folded for pair in p["val"]}) == 20
