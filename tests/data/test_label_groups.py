"""Label groups, classes left out of the means, and splits without a label."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autorf.data import FassegData, FolderData, Labels, labels_in, load
from autorf.data.label_groups import check_labels
from autorf.errors import InputError
from autorf.specification import parse
from tests.data.conftest import WritePair

FACE = ("background", "hair", "skin", "left eye", "right eye", "mouth")
GROUPS = {"eyes": ["left eye", 4], "overall": ["left eye", "right eye", "mouth"]}


def values(**more: Any) -> dict[str, Any]:
    return {"name": "folder", "root": "x", "classes": list(FACE), "image_size": [12, 16], **more}


def test_groups_and_left_out_classes_are_read_by_name_and_number_and_survive_a_round_trip() -> None:
    spec = parse(FolderData, values(groups=GROUPS, left_out=["hair", 0]), "s.yaml")
    assert spec.label_groups == {"eyes": (3, 4), "overall": (3, 4, 5)}
    assert spec.left_out_numbers == (1, 0)
    again = parse(FolderData, spec.model_dump(mode="json"), "s.yaml")
    assert (again, hash(again)) == (spec, hash(spec))
    assert labels_in(spec.model_dump(mode="json")) == Labels(FACE, None, spec.label_groups, (1, 0))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"groups": {"eyes": ["left ey"]}}, "groups.eyes: names no class 'left ey'; did you mean left eye"),
        ({"groups": {"eyes": [6]}}, "groups.eyes: names no class 6; legal are 0 to 5"),
        ({"groups": {"eyes": []}}, "groups.eyes: holds no class; list one or more"),
        ({"groups": {"inner parts": ["mouth"]}}, "'inner parts' is no name of a group"),
        ({"left_out": ["beard"]}, "left_out: names no class 'beard'"),
        ({"left_out": list(FACE)}, "left_out: names every class"),
        ({"classes": 3, "groups": {"a": ["3"]}}, "groups.a: names no class '3'"),
    ],
)
def test_what_names_no_class_is_refused_in_one_line(more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        parse(FolderData, values(**more), "s.yaml")
    assert message in str(error.value)
    assert len(str(error.value)) < 300
    assert "\n" not in str(error.value)


def test_what_a_data_set_of_another_package_says_is_checked_when_it_is_read() -> None:
    with pytest.raises(InputError, match=r"groups\.g: names no class 9; legal are 0 to 5"):
        check_labels(FACE, {"g": (9,)}, ())
    with pytest.raises(InputError, match="left_out: names every class"):
        check_labels(("a", "b"), None, (0, 1))


def test_faces_have_the_union_of_the_inner_parts() -> None:
    labels = labels_in(FassegData(root=Path("x")).model_dump(mode="json"))
    assert labels is not None
    assert labels.groups == {"overall": (3, 4, 5)}
    assert labels_in({"name": "of a package that is not here"}) is None


def labelled(root: Path, write_pair: WritePair, *ignored: str) -> FolderData:
    """Two images a split; in those of ``ignored`` every pixel is."""
    for split in ("train", "val", "test"):
        for name in ("a.png", "b.png"):
            write_pair(root / split / "images", root / split / "masks", name)
            if split in ignored:
                mask = root / split / "masks" / name
                Image.fromarray(np.full((12, 16), 255, np.uint8)).save(mask)
    return FolderData(root=root, classes=3, image_size=(12, 16), ignore_index=255)


@pytest.mark.parametrize(("split", "name"), [("train", "training"), ("val", "validation")])
def test_a_split_without_a_labelled_pixel_is_refused_before_training(
    tmp_path: Path, write_pair: WritePair, split: str, name: str
) -> None:
    with pytest.raises(InputError, match=f"none of the 2 masks of the {name} split has a labelled pixel, all are 255"):
        load(labelled(tmp_path, write_pair, split))


def test_a_test_split_whose_labels_are_held_back_is_none(tmp_path: Path, write_pair: WritePair) -> None:
    assert load(labelled(tmp_path, write_pair, "test")).test is None


def test_one_labelled_image_is_enough(tmp_path: Path, write_pair: WritePair) -> None:
    spec = labelled(tmp_path, write_pair)
    Image.fromarray(np.full((12, 16), 255, np.uint8)).save(tmp_path / "val" / "masks" / "a.png")
    assert len(load(spec).val) == 2
