from pathlib import Path

import pytest

from autorf.comparison import compare_studies
from autorf.reporting import report_page
from autorf.reporting.report_data import ReportData
from autorf.reporting.rnorm_section import rnorm_section
from tests.comparison.test_rnorm import RATES, study, trial, whole
from tests.reporting.test_page import sections_of


@pytest.fixture(scope="module")
def halves() -> ReportData:
    results = study([*whole(**{"data.half": "a"}), *whole(**{"data.half": "b"})])
    return ReportData((results,), compare_studies([results]))


def test_a_study_of_several_sizes_has_the_papers_figures(halves: ReportData) -> None:
    (section,) = rnorm_section(halves)
    assert [block.name for block in section.blocks] == ["rnorm-heat", "rnorm-lines", "rnorm-curves"]
    heat, lines, curves = section.blocks
    assert [view.title for view in heat.views] == ["half a", "half b"]
    assert [view.title for view in curves.views][:2] == ["half a, rnorm", "half a, rf in pixels"]
    assert len(lines.data.lines) == 6
    assert section.lead.startswith("half a: Fitted rnorm of 3 sizes: 0.45")


def test_the_page_holds_the_section_and_a_study_of_one_size_has_none(halves: ReportData) -> None:
    page = report_page(halves.studies)
    assert "rnorm" in sections_of(page)
    assert "digits at 64 x 64 to 128 x 128" in page
    assert "rnorm of 3 image sizes (half a)" in page
    assert "rnorm" not in sections_of(report_page([study([trial(96, rate) for rate in RATES])]))


def test_a_grid_that_ends_too_early_is_a_caution_on_the_page(tmp_path: Path) -> None:
    # The best of each size lies beyond a grid of two rates less.
    records = [at for at in whole() if at.configuration["rate"] <= 2]
    records += [trial(size, 3, loss=-0.05) for size in (64, 96, 128)]
    page = report_page([study(records)])
    assert "No rnorm fits yet" in page
    assert "is the largest of the grid; a larger one may be better still" in page
