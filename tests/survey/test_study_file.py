"""The study file that is written is commented, can be read by people and by the study's own reader, and holds what was
found."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from autorf.survey.first_search import FirstSearch, first_search
from autorf.survey.folder_survey import survey_folder
from autorf.survey.image_size import chosen_size
from autorf.survey.study_file import checked_study, study_name, study_text
from tests.survey.folders import coloured, save, split_places, write_pairs

PLACES = split_places("{split}/images/{n}.png", "{split}/masks/{n}.png", splits=["train", "val"])


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> FirstSearch:
    root = tmp_path_factory.mktemp("small")
    write_pairs(root, PLACES)
    return first_search(survey_folder(root).survey, 3)


def text_of(root: Path, search: FirstSearch) -> str:
    result = survey_folder(root)
    assert not result.lists
    return study_text(result, search, Path("mine.yaml"), None)


def test_every_key_has_a_comment_above_it_that_says_why(tmp_path: Path, search: FirstSearch) -> None:
    write_pairs(tmp_path, PLACES, mask_of=coloured)
    lines = text_of(tmp_path, search).splitlines()
    for key in ("image_size", "classes", "model", "search_space", "training"):
        at = next(number for number, line in enumerate(lines) if line.strip().startswith(f"{key}:"))
        assert lines[at - 1].strip().startswith("# "), key
    assert max(map(len, lines)) <= 120


def test_the_study_holds_what_was_found_and_nothing_that_yaml_calls_by_another_name(
    tmp_path: Path, search: FirstSearch
) -> None:
    write_pairs(tmp_path, PLACES, mask_of=coloured)
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nno,128,64,128\n12e3,0,0,142\n'a: b',220,20,60\n")
    text = text_of(tmp_path, search)
    assert "&id" not in text, "people do not read anchors"
    spec = checked_study(text, Path("mine.yaml"))
    assert spec.data.class_names[0] == "no"
    assert spec.data.class_names[1] == "12e3"
    assert (spec.name, spec.data.root, spec.training.batch_size) == ("mine", tmp_path.resolve(), 2)


def test_fields_to_search_are_those_that_the_objects_ask_for(tmp_path: Path, search: FirstSearch) -> None:
    large = np.zeros((512, 512), np.uint8)
    large[20:420, 30:330] = 1
    for image, mask in PLACES[:4]:
        save(tmp_path / "large" / mask, large)
        save(tmp_path / "large" / image, large)
    of_large = first_search(survey_folder(tmp_path / "large").survey, 3)
    assert of_large.sufficient is not None
    # The class around the object is as large as the picture, the object 400 pixels high.
    assert 400 < of_large.sufficient.rf <= 512
    assert max(of_large.rates) > max(search.rates)
    assert all(rate < 512 // 8 for rate in of_large.rates)
    assert search.rates[0] == of_large.rates[0] == 1
    # Of small pictures a network is taken that does not see all of them before anything is turned.
    assert (search.model["stage"], of_large.model["stage"]) == (1, 2)
    assert search.field <= 64 < of_large.field


def test_without_a_validation_split_the_comment_says_what_validates_and_how_it_was_chosen(
    tmp_path: Path, search: FirstSearch
) -> None:
    write_pairs(tmp_path, split_places("images/{n}.png", "masks/{n}.png"))
    lines = text_of(tmp_path, search)
    text = " ".join(lines.replace("#", " ").split())
    assert "The folder has no validation split: this share of the training images validates (2 of them)" in text
    assert "chosen by the hash of their file names, the same every time" in text
    assert yaml.safe_load(lines)["data"]["val_fraction"] == 0.2


def test_paths_and_names_that_could_end_a_comment_do_not(tmp_path: Path, search: FirstSearch) -> None:
    root = tmp_path / "a\nb: c"
    write_pairs(root, PLACES)
    lines = text_of(root, search).splitlines()
    assert sum(line.startswith("b") for line in lines) == 0
    assert study_name("a\nb: c") == "a_b__c"


@pytest.mark.parametrize("sizes", [[(20, 30)], [(4000, 3000)], [(333, 1000)], [(100, 100), (200, 220), (310, 300)]])
def test_sizes_are_steps_of_32_within_bounds_and_of_the_pictures_shape(sizes: list[tuple[int, int]]) -> None:
    height, width = chosen_size(sizes)
    assert height % 32 == width % 32 == 0
    assert 32 <= max(height, width) <= 512
    shape = sorted(h / w for h, w in sizes)[len(sizes) // 2]
    # A step of 32 is coarse for small sides, and none is shorter than one.
    smallest = 32 if min(height, width) > 32 else 64
    assert abs(height - shape * width) <= smallest
