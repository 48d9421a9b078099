"""A small share of the fuzz of ``benchmarks/fuzz.py``: an answer in a short line to whatever people give."""

import fuzz
import pytest


@pytest.mark.parametrize(("kind", "count"), [("study files", 30), ("option values", 12), ("damaged stores", 8)])
def test_whatever_is_given_is_answered_in_one_short_line(kind: str, count: int) -> None:
    answers = list(fuzz.answers(count / fuzz.COUNTS[kind], seed=7, kinds=[kind]))
    assert len(answers) == count
    assert [answer for answer in answers if not answer.ok] == []


def test_an_answer_that_is_wrong_is_seen_to_be() -> None:
    line = "autorf: tiny.yaml: name: this key is required"
    assert fuzz._problem(2, line, []) == ""
    assert fuzz._problem(1, line, []) == "exit code 1"
    assert fuzz._problem(2, f"{line}\n{line}", []) == "not one line"
    assert fuzz._problem(2, line + "x" * 300, []).endswith("characters")
    assert fuzz._problem(0, "a \x1b[31m", []) == "control characters"
    assert fuzz._problem(0, "", ["runs/tiny"]) == "left runs/tiny"
    assert "defect" in fuzz._problem(2, "Traceback (most recent call last)", [])
