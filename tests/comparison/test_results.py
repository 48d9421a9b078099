from typing import Any

import pytest

from autorf.comparison import StudyResults, compare_studies
from autorf.errors import InputError
from autorf.store.store import Record
from tests.comparison.builder import record, spec
from tests.reports import with_result


def study(name: str, records: list[Record], **parts: dict[str, Any]) -> StudyResults:
    return StudyResults(name, tuple(records), tuple(records), spec(**parts))


MANUAL = [record("dilation", 0.5 + seed / 100, seed, rate=rate) for rate in (1, 2) for seed in range(3)]
LEARNED = [record("learned_dilation", 0.7 + seed / 90, seed) for seed in range(3)]


def test_a_manual_and_a_learned_study_give_one_verdict_and_labelled_rows() -> None:
    found = compare_studies([study("grid", MANUAL), study("ours", LEARNED)])
    assert found.study == "grid + ours"
    assert [row.study for row in found.rows] == ["grid"] * 6 + ["ours"] * 3
    assert found.verdict.outcome == "better"
    (between,) = found.between
    assert (between["study"], between["against"], between["outcome"]) == ("ours", "grid", "better")
    assert "Best of ours against best of grid: ours is better" in between["sentence"]
    assert [cost.ratio for cost in found.costs] == pytest.approx([1.0, 0.5])


def test_one_configuration_in_two_studies_stays_two_groups() -> None:
    found = compare_studies([study("a", MANUAL), study("b", MANUAL)])
    assert [group.study for group in found.groups] == ["a", "a", "b", "b"]
    assert "a is" not in found.between[0]["sentence"]
    assert found.between[0]["difference"] == 0


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"search": {"objectives": ["f1"]}}, "their metrics differ: miou and f1"),
        (
            {"data": {"image_size": [64, 64]}},
            "images differ: data.image_size ([96, 96] against [64, 64])",
        ),
        ({"data": {"n_val": 9, "seed": 3}}, "data.n_val (4 against 9); data.seed (None against 3)"),
    ],
)
def test_studies_that_measure_something_else_are_refused_naming_the_difference(
    parts: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        compare_studies([study("a", MANUAL), study("b", LEARNED, **parts)])
    assert said in str(caught.value)
    assert "'a' and 'b' cannot be compared" in str(caught.value)


def test_studies_with_other_classes_are_refused_by_their_names() -> None:
    other = [with_result(one, iou_per_class={"background": 0.9, "c": 0.5}) for one in LEARNED]
    with pytest.raises(InputError, match=r"classes differ: 3 classes with a, b and 2 classes with c"):
        compare_studies([study("a", MANUAL), study("b", other)])


def test_what_else_differs_is_a_note() -> None:
    parts = {"training": {"epochs": 9}, "data": {"n_train": 16}, "model": {"dilation": 2}}
    notes = compare_studies([study("a", MANUAL), study("b", LEARNED, **parts)]).notes
    assert sorted(notes) == [
        "a and b differ in data.n_train (8 against 16)",
        "a and b differ in model.dilation (1 against 2)",
        "a and b differ in training.epochs (2 against 9)",
    ]


def test_a_study_without_a_finished_trial_says_so_beside_another() -> None:
    found = compare_studies([study("a", MANUAL), study("b", [record("learned_dilation", None)])])
    assert found.between[0]["sentence"] == "No trial of b is complete yet."
