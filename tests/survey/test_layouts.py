"""Whatever a folder's layout, the study that is written reads exactly its pairs, each in its split."""

from pathlib import Path

import pytest

from autorf.data import load
from autorf.data.folder import folder_pairs
from autorf.data.spec import FolderData
from autorf.errors import InputError
from autorf.survey.folder_survey import FolderSurvey, survey_folder
from autorf.survey.layout import find_layout
from tests.survey.folders import photograph, save, scene, split_places, write_pairs

LAYOUTS = {
    "split_folders": ("{split}/images/{n}.jpg", "{split}/masks/{n}.png"),
    "camvid": ("{split}/{n}.jpg", "{split}annot/{n}.png"),
    "fasseg": ("{split}/images/{n}.jpg", "{split}/labels/{n}.png"),
    "roles_first": ("images/{split}/{n}.jpg", "labels/{split}/{n}.png"),
    "split_in_a_name": ("images_{split}/{n}.jpg", "masks_{split}/{n}.png"),
    "split_before_a_role": ("{split}_images/{n}.jpg", "{split}_masks/{n}.png"),
    "cityscapes": ("leftImg8bit/{split}/ulm/{n}_leftImg8bit.png", "gtFine/{split}/ulm/{n}_gtFine_labelIds.png"),
    "side_by_side": ("{split}/{n}.jpg", "{split}/{n}_mask.png"),
    "one_suffix": ("{split}/{n}.png", "{split}/{n}_mask.png"),
    "one_name": ("{split}/{n}.jpg", "{split}/{n}.png"),
    "a_folder_above": ("faces/v2/{split}/images/{n}.jpg", "faces/v2/{split}/masks/{n}.png"),
    "spaces": ("{split}/my images/p {n}.jpg", "{split}/my masks/p {n}.png"),
}

IN_ONE = {
    "flat": ("images/{n}.jpg", "masks/{n}.png"),
    "flat_side_by_side": ("{n}.jpg", "{n}_mask.png"),
    "flat_tails": ("pictures/{n}.jpg", "truth/{n}_gt.png"),
    "nested": ("images/berlin/{n}.jpg", "masks/berlin/{n}.png"),
    "a_folder_a_picture": ("scene_{n}/images/{n}.jpg", "scene_{n}/masks/{n}.png"),
    "names_that_say_nothing": ("Fotos/{n}.png", "Zeichnung/{n}.png"),
}


def written(result: FolderSurvey, folder: Path) -> FolderData:
    """The data set as the study names it, its lists written."""
    folder.mkdir(exist_ok=True)
    for split, text in result.lists.items():
        (folder / f"{split}.txt").write_text(text, encoding="utf-8")
    return result.spec(folder if result.lists else None)


def names(root: Path, spec: FolderData) -> dict[str, set[tuple[str, str]]]:
    return {
        split: {(pair.image.relative_to(root).as_posix(), pair.mask.relative_to(root).as_posix()) for pair in pairs}
        for split, pairs in folder_pairs(spec).items()
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_with_splits_is_read_split_by_split(layout: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_pairs(root, split_places(*LAYOUTS[layout]))
    result = survey_folder(root)
    spec = written(result, tmp_path / "lists")
    wanted = {split: set(split_places(*LAYOUTS[layout], splits=[split])) for split in ("train", "val", "test")}
    assert names(root, spec) == wanted
    assert (spec.class_names, result.survey.counts) == (("0", "1", "2"), {"train": 3, "val": 3, "test": 3})
    assert result.splits_are_given
    # Of names alone a suffix cannot tell images from masks here; everywhere else patterns say it all.
    assert bool(result.lists) == (layout == "one_suffix")


@pytest.mark.parametrize("layout", IN_ONE)
def test_a_layout_without_splits_has_some_of_its_images_validate(layout: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    places = split_places(*IN_ONE[layout], splits=["a", "b", "c"])
    write_pairs(root, places)
    result = survey_folder(root)
    read = names(root, written(result, tmp_path / "lists"))
    assert read["train"] | read["val"] == set(places)
    assert not read["train"] & read["val"]
    assert len(read["val"]) == 2
    assert not result.splits_are_given
    again = survey_folder(root)
    assert {split: set(pairs) for split, pairs in again.pairs.items()} == {s: set(p) for s, p in result.pairs.items()}


def test_without_a_validation_split_part_of_the_training_images_validates_and_the_test_split_stays(
    tmp_path: Path,
) -> None:
    places = split_places("{split}/images/{n}.jpg", "{split}/labels/{n}.png", splits=["train", "test"])
    write_pairs(tmp_path, places)
    result = survey_folder(tmp_path)
    assert (result.survey.counts, result.keys["val_fraction"]) == ({"train": 2, "val": 1, "test": 3}, 0.2)
    assert names(tmp_path, result.spec())["test"] == set(places[3:])


def test_lists_that_a_folder_has_tell_its_splits(tmp_path: Path) -> None:
    places = split_places("JPEGImages/{n}.jpg", "SegmentationClass/{n}.png")
    write_pairs(tmp_path, places)
    write_pairs(tmp_path, [(image, mask.replace("Class", "Object")) for image, mask in places])
    for number in range(5):
        save(tmp_path / f"JPEGImages/unlabelled{number}.jpg", photograph(scene(number), number))
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split in ("train", "val"):
        (lists / f"{split}.txt").write_text("".join(f"{split}{n}\n" for n in range(3)))
    result = survey_folder(tmp_path)
    read = names(tmp_path, result.spec())
    assert read == {"train": set(places[:3]), "val": set(places[3:6])}
    assert result.keys["train"] == "ImageSets/Segmentation/train.txt"
    # What no list names is not meant.
    assert result.survey.problems == ()


def test_a_line_of_a_list_that_names_nothing_is_told_and_left_out(tmp_path: Path) -> None:
    write_pairs(tmp_path, split_places("images/{n}.jpg", "masks/{n}.png", splits=["a", "b"]))
    (tmp_path / "train.txt").write_text("a0\na1\nb0\nb1\ngone\n")
    (tmp_path / "val.txt").write_text("a2\nb2\n")
    result = survey_folder(tmp_path)
    (problem,) = result.survey.problems
    assert (problem.kind, problem.files) == ("listed_but_missing", ("train.txt: gone",))
    assert {split: len(pairs) for split, pairs in names(tmp_path, written(result, tmp_path / "l")).items()} == {
        "train": 4,
        "val": 2,
    }


def test_what_has_no_partner_is_named_and_the_study_reads_the_others(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_pairs(root, split_places("{split}/images/{n}.jpg", "{split}/masks/{n}.png"))
    save(root / "train" / "images" / "alone.jpg", photograph(scene(0), 0))
    save(root / "val" / "masks" / "lonely.png", scene(0))
    result = survey_folder(root)
    told = {problem.kind: problem.files for problem in result.survey.problems}
    assert told["image_without_mask"] == ("train/images/alone.jpg",)
    assert told["mask_without_image"] == ("val/masks/lonely.png",)
    spec = written(result, tmp_path / "lists")
    assert {split: len(pairs) for split, pairs in names(root, spec).items()} == {"train": 3, "val": 3, "test": 3}
    splits = load(spec)
    assert (len(splits.train), len(splits.val)) == (3, 3)


def test_names_that_two_images_have_are_no_names_of_a_list(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_pairs(
        root, [(f"images/{city}/{n}.jpg", f"masks/{city}/{n}.png") for city in ("ulm", "bonn") for n in range(3)]
    )
    (root / "train.txt").write_text("images/ulm/0.jpg\nimages/bonn/1.jpg\nimages/ulm/2.jpg\n0\n")
    (root / "val.txt").write_text("images/bonn/2.jpg\n")
    result = survey_folder(root)
    read = names(root, written(result, tmp_path / "lists"))
    assert read["train"] == {(f"images/{at}.jpg", f"masks/{at}.png") for at in ("ulm/0", "bonn/1", "ulm/2")}
    assert read["val"] == {("images/bonn/2.jpg", "masks/bonn/2.png")}
    assert [problem.files for problem in result.survey.problems] == [("train.txt: 0",)]


def test_images_and_masks_of_one_name_beside_each_other_may_have_an_odd_file_among_them(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_pairs(root, split_places("{split}/{n}.jpg", "{split}/{n}.png", splits=["train", "val"]))
    save(root / "train" / "alone.jpg", photograph(scene(0), 0))
    result = survey_folder(root)
    assert result.lists
    assert {split: len(pairs) for split, pairs in names(root, written(result, tmp_path / "l")).items()} == {
        "train": 3,
        "val": 3,
    }


def test_a_folder_that_no_key_can_name_is_refused_where_one_is_needed(tmp_path: Path) -> None:
    write_pairs(
        tmp_path, split_places("{split}/{{a}} images/{n}.jpg", "{split}/masks/{n}.png", splits=["train", "val"])
    )
    with pytest.raises(InputError, match=r"braces cannot stand in data.images; rename the folder"):
        survey_folder(tmp_path)


def test_test_images_that_are_published_without_masks_are_no_obstacle(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_pairs(root, split_places("{split}/{n}.jpg", "{split}_masks/{n}.png", splits=["train"]))
    save(root / "test" / "t.jpg", photograph(scene(1), 1))
    result = survey_folder(root)
    assert set(names(root, written(result, tmp_path / "lists"))) == {"train", "val"}
    assert result.survey.problems[0].text == "1 image of test without a mask (left out)"


def test_of_several_kinds_of_masks_the_one_of_class_numbers_is_taken(tmp_path: Path) -> None:
    image, mask = LAYOUTS["cityscapes"]
    for other in ("_gtFine_color", "_gtFine_instanceIds", "_gtFine_labelIds"):
        write_pairs(tmp_path, split_places(image, mask.replace("_gtFine_labelIds", other)))
    assert find_layout(tmp_path).masks.tail == "_gtFine_labelIds"


REFUSED = {
    "missing": ("does not exist", lambda root: None),
    "a_file": ("is no folder", lambda root: root.write_text("x")),
    "empty": ("is empty", lambda root: root.mkdir()),
    "no_picture": ("holds no picture", lambda root: (root / "notes").mkdir(parents=True)),
    "no_pair": ("looked for train/images with train/masks", lambda root: save(root / "a.jpg", photograph(scene(0), 0))),
    "lossy_masks": (
        "keep no exact classes",
        lambda root: write_pairs(root, split_places("{split}/images/{n}.jpg", "{split}/masks/{n}.jpg")),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_without_pairs_is_refused_with_what_was_looked_for(case: str, tmp_path: Path) -> None:
    fragment, make = REFUSED[case]
    make(tmp_path / "data")
    with pytest.raises(InputError, match=fragment) as refused:
        survey_folder(tmp_path / "data")
    assert f"{tmp_path.name}/data" in str(refused.value)
