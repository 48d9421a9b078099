"""Label groups, F1 by class, the classes of the means, and rows by the old rule, as a comparison tells them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autorf.comparison import StudyResults, compare_studies
from autorf.errors import InputError
from autorf.store.record import Record
from autorf.study.spec import parse_study
from tests.comparison.builder import leave_evidence, record, spec
from tests.tiny import TINY

DATA: dict[str, Any] = {
    "name": "folder", "root": "x", "classes": ["background", "a", "b"], "image_size": [96, 96],
    "groups": {"overall": ["a", "b"]},
}  # fmt: skip


def scored(method: str, overall: float, seed: int, **params: Any) -> Record:
    trial = record(method, 0.5, seed, **params)
    assert trial.result is not None
    result = replace(
        trial.result, groups={"overall": overall}, f1_per_class={"background": 0.95, "a": 0.6, "b": None},
        mean_over="labelled",
    )  # fmt: skip
    return replace(trial, result=result)


def study(records: list[Record], folder: Path | None = None, name: str = "faces", **parts: Any) -> StudyResults:
    given = {**spec(**parts), "data": {**DATA, **parts.get("data", {})}}
    return StudyResults(name, tuple(records), tuple(records), given, folder)


@pytest.fixture
def trials() -> list[Record]:
    found = [scored("dilation", 0.6 + seed / 50, seed, rate=2) for seed in (0, 1, 2)]
    return found + [scored("learned_dilation", 0.8 + seed / 40, seed) for seed in (0, 1, 2)]


def test_overall_reaches_rows_groups_and_their_table_and_f1_every_class(trials: list[Record]) -> None:
    told = json.loads(compare_studies([study(trials)]).to_json())
    assert told["rows"][0]["f1_groups"] == {"overall": 0.6}
    assert [group["f1_groups"]["overall"] for group in told["groups"]] == pytest.approx([0.62, 0.825])
    (overall,) = told["label_groups"]
    assert (overall["name"], overall["difference"]) == ("overall", pytest.approx(0.205))
    assert (overall["f1"]["best manual"], overall["f1"]["best learned"]) == pytest.approx((0.62, 0.825))
    assert told["classes"][1]["f1"]["best manual"] == 0.6


def test_a_search_may_aim_at_a_group_whose_interval_is_over_images_too(trials: list[Record], tmp_path: Path) -> None:
    for trial in trials:
        assert trial.result is not None
        leave_evidence(tmp_path, trial, [0.4, 0.9, trial.result.groups["overall"]])
    comparison = compare_studies([study(trials, tmp_path, search={"objectives": ["f1_overall"]})])
    assert comparison.metric == "f1_overall"
    assert [row.score for row in comparison.rows] == pytest.approx([0.6, 0.62, 0.64, 0.8, 0.825, 0.85])
    (manual, _) = comparison.groups
    assert manual.ci95_images is not None
    assert manual.ci95 is not None
    assert manual.ci95_images > manual.ci95
    assert "F1 overall 0.825" in comparison.verdict.sentence


def test_the_classes_of_the_means_are_told_with_those_that_are_absent_or_left_out(trials: list[Record]) -> None:
    means = compare_studies([study(trials, data={"left_out": ["background"]})]).means
    assert means is not None
    assert (means.classes, means.absent, means.left_out) == (("a",), ("b",), ("background",))
    assert means.sentence == (
        "mIoU and F1 are means over the one class with a labelled pixel in the split; without one here, and without a "
        "score: b; left out by data.left_out: background."
    )


def test_studies_whose_means_are_over_different_classes_are_not_compared(trials: list[Record]) -> None:
    other = study(trials, name="other", data={"left_out": ["a"]})
    with pytest.raises(InputError, match=r"their means are over different classes: data\.left_out"):
        compare_studies([study(trials), other])


def test_other_label_groups_are_a_note_unless_the_metric_is_one_of_them(trials: list[Record]) -> None:
    other = {"groups": {"overall": ["a"]}}
    comparison = compare_studies([study(trials), study(trials, name="other", data=other)])
    assert any("data.groups" in note for note in comparison.notes)
    aimed = {"objectives": ["f1_overall"]}
    with pytest.raises(InputError, match="their label groups differ, of which the metric is one"):
        compare_studies([study(trials, search=aimed), study(trials, name="other", data=other, search=aimed)])


def test_a_row_by_the_old_rule_says_so_and_is_in_no_group_with_new_ones(trials: list[Record]) -> None:
    first = trials[0]
    assert first.result is not None
    old = replace(first, result=replace(first.result, mean_over="old rule"))
    comparison = compare_studies([study([old, *trials[1:]])])
    assert [row.rule for row in comparison.rows] == ["old rule", *["labelled"] * 5]
    assert "old rule" in str(comparison.rows[0].reason)
    assert comparison.groups[0].n == 2


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"objectives": ["f1_overal"]}, "search: f1_overal: the data set fasseg has f1_overall; did you mean overall"),
        ({"constraints": ["f1_eyes >= 0.5"]}, "search: f1_eyes: the data set fasseg has f1_overall"),
    ],
)
def test_a_group_that_the_data_set_does_not_have_is_no_objective(search: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_study({**TINY, "data": {"name": "fasseg", "root": "x"}, "search": search}, "s.yaml")
    with pytest.raises(InputError, match=r"digits has no label groups \(data\.groups\)"):
        parse_study({**TINY, "search": search}, "s.yaml")


def test_overall_may_be_an_objective_and_a_limit() -> None:
    search = {"objectives": ["f1_overall", "latency_ms"], "constraints": ["f1_overall >= 0.2"]}
    parsed = parse_study({**TINY, "data": {"name": "fasseg", "root": "x"}, "search": search}, "s.yaml")
    assert parsed.search.objectives == ("f1_overall", "latency_ms")
