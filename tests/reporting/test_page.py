import html
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import torch
import yaml

from autorf.reporting import ReportData, report_page
from autorf.running.evidence import write_evidence
from autorf.store.store import Record
from autorf.study.control import Control
from autorf.study.spec import parse_study
from tests.reporting.conftest import CONFIGURATIONS, make_evidence, make_record, make_results
from tests.reports import with_result

HOSTILE = '<script>alert("x")</script>'


def sections_of(page: str) -> list[str]:
    return re.findall(r'<section id="([a-z]+)"', page)


def test_a_whole_study_shows_every_section_in_reading_order(page: str, whole: ReportData) -> None:
    assert sections_of(page) == [
        "field", "learning", "sizes", "samples", "pareto", "cost", "classes", "trials", "reproduce", "next", "words",
    ]  # fmt: skip
    assert page.index("<h1>") < page.index('class="facts"') < page.index('<section id="field"')
    assert whole.comparison.verdict.sentence in html.unescape(page)
    for title in ("Best manual", "Best learned", "Difference", "Cost of the best learned", "Trials", "Split"):
        assert f"<dt>{title}" in page


def test_every_figure_has_an_alternative_in_words_and_its_data_as_a_table(page: str) -> None:
    drawings = re.findall(r"<svg [^>]*>", page)
    assert len(drawings) >= 9
    assert all(
        'role="img"' in drawing and len(re.findall(r'aria-label="([^"]+)"', drawing)[0]) > 20 for drawing in drawings
    )
    assert all(re.search(r'alt="[^"]{10,}"', image) for image in re.findall(r"<img [^>]*>", page))
    charts = re.findall(r'<figure class="block chart".*?</figure>', page, re.DOTALL)
    assert charts
    assert all("<details>" in chart and "<tbody" in chart and "<figcaption" in chart for chart in charts)


def test_nothing_is_loaded_from_anywhere_and_nothing_runs(page: str) -> None:
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert not re.search(r"url\((?!#)", page)
    assert not re.search(r"https?://", page)
    assert "default-src 'none'" in page


def test_the_drawings_are_well_formed_and_share_no_identifier(page: str) -> None:
    for drawing in re.findall(r'<svg [^>]*class="drawing.*?</svg>', page, re.DOTALL):
        root = ElementTree.fromstring(drawing)
        own = {element.get("id") for element in root.iter() if element.get("id")}
        used = re.findall(r'(?:url\(|href=")#([^)"]+)', drawing)
        assert set(used) <= own
    identifiers = re.findall(r' id="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))


def test_the_drawings_take_their_colours_from_the_style_sheet(page: str) -> None:
    for drawing in re.findall(r'<svg [^>]*class="drawing.*?</svg>', page, re.DOTALL):
        assert "var(--" in drawing
        if "object size" not in drawing:
            assert set(re.findall(r"#[0-9a-f]{6}", drawing)) == set()


def test_names_and_reasons_are_text_and_never_markup(tmp_path: Path) -> None:
    records = [make_record(row, configuration) for row, configuration in enumerate(CONFIGURATIONS)]
    records.append(make_record(99, {"method": "dilation", "rate": 9}, state="failed", reason=HOSTILE))
    for record in records:
        evidence = make_evidence(classes=("background", HOSTILE, "two"))
        write_evidence(tmp_path / "trials" / record.key, evidence)
    page = report_page([make_results(tmp_path, records)])
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3


def test_fifty_trials_with_large_images_stay_below_six_megabytes(tmp_path: Path) -> None:
    records = [
        make_record(seed * 10 + at, configuration, seed)
        for seed in range(7)
        for at, configuration in enumerate(CONFIGURATIONS)
    ]
    assert len(records) >= 50
    for record in records[: len(CONFIGURATIONS)]:
        extra = {"maps": torch.rand(3, 256, 256).half(), "map_name": "scale"}
        write_evidence(tmp_path / "trials" / record.key, make_evidence(256, **extra))
    assert len(report_page([make_results(tmp_path, records)]).encode()) < 6e6


def test_a_study_with_only_failed_trials_shows_them_and_their_reasons(tmp_path: Path) -> None:
    failed = [make_record(1, {"method": "dilation", "rate": 8}, state="failed", reason="out of memory")]
    page = report_page([make_results(tmp_path, failed)])
    assert sections_of(page) == ["cost", "trials", "reproduce"]
    assert "No verdict yet" in page
    assert "out of memory" in page


def test_a_running_study_says_so(page: str) -> None:
    assert "1 of 18 trials are still to come" in page


def test_a_study_without_trials_has_a_page(tmp_path: Path) -> None:
    assert sections_of(report_page([make_results(tmp_path, [])])) == ["reproduce"]


def test_trials_without_evidence_leave_the_pictures_out(tmp_path: Path, records: list[Record]) -> None:
    page = report_page([make_results(tmp_path, records)])
    assert sections_of(page) == ["field", "learning", "cost", "classes", "trials", "reproduce", "next", "words"]
    assert 'class="picture"' not in page


def test_the_study_file_on_the_page_is_the_study(page: str, whole: ReportData) -> None:
    text = html.unescape(re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)[0])
    assert parse_study(yaml.safe_load(text), "page").model_dump(mode="json") == whole.studies[0].spec


def test_how_the_search_ended_and_what_it_ran_with_are_told(tmp_path: Path) -> None:
    ended = {"end": {"reason": "the budget of 2 trials is spent", "saved": "The prior saved 3 trials."}}
    study = replace(make_results(tmp_path, []), notes={**ended, "versions": [{"autorf": "0.0.7"}]})
    page = report_page([study])
    assert "The search ended: the budget of 2 trials is spent." in page
    assert "The prior saved 3 trials." in page
    assert "Versions the study ran with" in page
    assert "autorf 0.0.7" in page


def test_the_head_is_what_to_use_and_then_the_verdict(page: str, whole: ReportData) -> None:
    answer = whole.comparison.recommendation
    assert answer is not None
    text = html.unescape(page)
    head = text[text.index("<h1>") : text.index("</header>")]
    assert head.index("<h1>") < head.index(answer.text) < head.index(whole.comparison.verdict.sentence)


def test_a_named_field_is_the_headline(tmp_path: Path) -> None:
    done = [
        make_record(10 * rate + seed, {"method": "dilation", "rate": rate}, seed)
        for rate in (1, 2, 3)
        for seed in (0, 1)
    ]
    page = report_page([make_results(tmp_path, done)])
    assert "<h1>Use a field of 27 pixels</h1>" in page
    assert "19 px loses .013, 35 px loses .013" in page


def test_equal_training_is_a_fact_and_unequal_training_is_said(tmp_path: Path, records: list[Record]) -> None:
    def of_steps(steps: int) -> str:
        counted = [with_result(one, steps=80 if one.configuration["method"] == "dilation" else steps)
                   if one.result else one for one in records]  # fmt: skip
        return report_page([make_results(tmp_path, counted)])

    assert "<dt>Difference at equal steps, 80" in of_steps(80)
    unequal = of_steps(100)
    assert "<dt>Difference, training not equal" in unequal
    assert "Training was not equal: the best learned configuration trained 100 steps" in unequal


def test_controls_are_marked_in_the_tables_and_hollow_in_the_figure(tmp_path: Path, records: list[Record]) -> None:
    winner = {"method": "inflation", "dilation": 2}
    longer = make_record(
        500, {"method": "dilation", "rate": 2, "training.steps": 100}, control=Control("steps", winner)
    )
    page = report_page([make_results(tmp_path, [*records, longer])])
    assert "control, equal steps" in page
    assert "hollow ones are controls" in page


def test_the_page_says_how_to_go_on_and_what_its_words_mean(page: str, whole: ReportData) -> None:
    assert f"autorf retrain {whole.studies[0].name}" in page
    assert f"autorf export {whole.studies[0].name}" in page
    words = page[page.index('<section id="words"') :]
    for word in ("rnorm", "control", "sufficient field", "CPU-seconds", "margin"):
        assert word in words


def test_a_line_has_one_unit_of_time(page: str) -> None:
    assert "CPU-seconds each" in page
    assert not re.search(r"\d s each", page)
