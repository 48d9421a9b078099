"""Results of earlier versions, whose means let the predictions say over which classes they are."""

from dataclasses import replace

import pytest

from autorf.training.rescoring import rescored
from autorf.training.results import LABELLED, OLD_RULE, TrialResult
from tests.reports import trial_result


def old(**iou: float | None) -> TrialResult:
    known = [value for value in iou.values() if value is not None]
    return trial_result(miou=sum(known) / len(known), f1=0.5, iou_per_class=iou, f1_per_class=iou)


def test_a_class_without_a_label_is_taken_out_of_the_means() -> None:
    result = rescored(old(a=0.6, b=0.3, rare=0.0), {"a", "b"})
    assert (result.miou, result.metrics["f1"], result.mean_over) == (pytest.approx(0.45), pytest.approx(0.45), LABELLED)
    assert result.iou_per_class == {"a": 0.6, "b": 0.3, "rare": None}


def test_a_class_that_is_labelled_and_always_missed_stays_nothing() -> None:
    before = old(a=0.6, b=0.0)
    assert rescored(before, {"a", "b"}) == replace(before, mean_over=LABELLED)


def test_without_a_class_that_scores_nothing_both_rules_agree() -> None:
    before = old(a=0.6, b=0.3, rare=None)
    assert rescored(before, None) == replace(before, mean_over=LABELLED)


def test_where_nobody_knows_what_is_labelled_the_result_says_old_rule() -> None:
    before = old(a=0.6, rare=0.0)
    assert rescored(before, None) == replace(before, mean_over=OLD_RULE)


def test_a_result_of_today_is_left_as_it_is() -> None:
    today = replace(old(a=0.6, b=0.0), mean_over=LABELLED)
    assert rescored(today, {"a"}) is today
