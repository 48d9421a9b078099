"""CamVid and FASSEG as they are handed around: read as their own loaders read them, without a word about them."""

from pathlib import Path

import pytest

from autorf.data import camvid
from autorf.data.camvid import camvid_pairs
from autorf.data.fasseg import fasseg_pairs
from autorf.data.folder import folder_pairs
from autorf.data.spec import CamVidData, FassegData
from autorf.survey.folder_survey import survey_folder


def test_fasseg_is_found_and_what_is_odd_about_it_is_told(real_data: Path) -> None:
    root = (real_data / "fasseg").resolve()
    result = survey_folder(root)
    read, own = folder_pairs(result.spec()), fasseg_pairs(FassegData(root=root))
    assert read["test"] == own["test"]
    assert sorted([*read["train"], *read["val"]]) == sorted([*own["train"], *own["val"]])
    assert (result.keys["classes"], result.keys["masks"], result.lists) == (6, "labels", {})
    twins = [pair for problem in result.survey.problems if problem.kind == "in_two_splits" for pair in problem.files]
    assert "train/images/16.jpg = test/images/17.jpg" in twins
    for pair in twins:
        first, second = (root / name for name in pair.split(" = "))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.slow
def test_camvid_is_known_by_its_file_names_and_read_as_its_loader_reads_it(real_data: Path) -> None:
    root = (real_data / "camvid").resolve()
    result = survey_folder(root)
    assert folder_pairs(result.spec()) == camvid_pairs(CamVidData(root=root))
    assert tuple(result.keys["classes"]) == camvid.CLASS_NAMES
    assert (result.keys["ignore_index"], result.survey.problems) == (camvid.IGNORE_INDEX, ())
    assert result.keys["image_size"] == [352, 480]
