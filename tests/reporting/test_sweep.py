from pathlib import Path

import pytest

from autorf.comparison import StudyResults
from autorf.errors import InputError
from autorf.reporting import report_page
from autorf.reporting.sweep import Sweep, is_sweep
from tests.reporting.conftest import CONFIGURATIONS, make_record, make_results
from tests.reporting.test_page import sections_of
from tests.tiny import TINY


def study(folder: Path, image: int, best: float, **changes: object) -> StudyResults:
    """A study on images of ``image`` pixels, whose best manual field is ``best`` pixels."""
    records = [
        make_record(row, configuration, image=image, best=best) for row, configuration in enumerate(CONFIGURATIONS)
    ]
    data = {**TINY["data"], "image_size": image}
    return make_results(folder, records, **{"name": f"side{image}", "data": data, **changes})


@pytest.fixture
def studies(tmp_path: Path) -> list[StudyResults]:
    return [study(tmp_path, image, best) for image, best in ((48, 19), (68, 27), (88, 35))]


def test_studies_that_differ_in_image_size_are_a_sweep_and_others_are_not(
    studies: list[StudyResults], tmp_path: Path
) -> None:
    assert is_sweep(studies)
    assert not is_sweep(studies[:1])
    assert not is_sweep([studies[0], study(tmp_path, 48, 19, name="again")])
    other_model = study(tmp_path, 68, 27, model={"name": "timm:resnet18"})
    assert not is_sweep([studies[0], other_model])


def test_the_ratio_of_the_best_fields_to_the_sizes_is_found(studies: list[StudyResults]) -> None:
    found = Sweep(studies)
    assert found.map is not None
    assert [found.map.fields[at] for at in found.map.best] == [19, 27, 35]
    assert found.headline() == "One rnorm for all sizes: 0.40"


def test_best_fields_that_are_all_the_grids_largest_are_no_rnorm_but_a_caution(tmp_path: Path) -> None:
    found = Sweep([study(tmp_path, image, 43) for image in (48, 64, 80)])
    assert found.map is not None
    assert [found.map.fields[at] for at in found.map.best] == [43, 43, 43]
    assert found.headline() == "No ratio fits yet"
    assert "Caution: at 48, 64, 80 px the best field (43 px) is the largest of the grid" in found.sentence()


def test_the_page_shows_the_map_and_every_study(studies: list[StudyResults]) -> None:
    page = report_page(studies)
    assert sections_of(page) == ["sizes", "studies", "trials", "reproduce"]
    assert 'id="figure-heat"' in page
    assert "side48, 48 px" in page
    assert "autorf report side48 side68 side88 --output report.html" in page


def test_without_complete_trials_there_is_no_ratio(tmp_path: Path) -> None:
    empty = [
        make_results(tmp_path, [], name=f"side{side}", data={**TINY["data"], "image_size": side}) for side in (48, 64)
    ]
    assert "No ratio fits yet" in report_page(empty)


def test_studies_of_different_metrics_cannot_be_set_side_by_side(tmp_path: Path) -> None:
    studies = [study(tmp_path, 48, 19), study(tmp_path, 68, 27, search={"objectives": ["f1"]})]
    with pytest.raises(InputError, match="their metrics differ: miou and f1"):
        report_page(studies)


def test_two_studies_on_the_same_images_are_compared_with_each_other(tmp_path: Path) -> None:
    page = report_page([study(tmp_path, 48, 19), study(tmp_path, 48, 27, name="other")])
    assert "between" in sections_of(page)
    assert "Best of other against best of side48" in page
