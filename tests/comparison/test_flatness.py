import json

import pytest

from autorf.comparison import compare_studies
from autorf.comparison.flatness import flat_notes
from autorf.comparison.results import StudyResults
from autorf.comparison.rows import Row, rows_of
from tests.comparison.builder import SPEC, record
from tests.reports import with_trace


def study(*alike: list[list[float]] | None) -> StudyResults:
    """A learned dilation from start 4 under as many seeds, and what each of its searches could not tell apart."""
    records = []
    for seed, untold in enumerate(alike):
        trial = record("learned_dilation", 0.5 + seed / 100, seed, start=4.0)
        records.append(trial if untold is None else with_trace(trial, {"step": [0], "alike": untold}))
    return StudyResults("flat", tuple(records), tuple(records), SPEC)


def test_it_is_said_how_flat_the_profile_was_seed_by_seed() -> None:
    results = study([[2.0, 3.0, 4.0, 6.0]], [[3.0]], [[3.0, 4.0]])
    (note,) = flat_notes(rows_of(results))
    assert note == (
        "learned_dilation (start 4): its search could not tell some options apart, their losses being within two "
        "standard errors: dilation 2 to 6 (seed 0); 3 to 4 (seed 2)."
    )
    comparison = compare_studies([results])
    assert note in comparison.notes
    assert comparison.rows[0].alike == [[2.0, 3.0, 4.0, 6.0]]
    assert json.loads(comparison.to_json())["rows"][0]["alike"] == [[2.0, 3.0, 4.0, 6.0]]


def test_layers_that_search_their_own_are_told_by_their_numbers() -> None:
    (note,) = flat_notes(rows_of(study([[1.0, 2.0], [4.0], [6.0, 8.0]])))
    assert "dilation 1 to 2 in layer 1, 6 to 8 in layer 3 (seed 0)" in note


@pytest.mark.parametrize("alike", [None, [[3.0]], [[]]])
def test_nothing_is_said_of_a_search_that_told_all_apart_or_kept_nothing(alike: list[list[float]] | None) -> None:
    rows: tuple[Row, ...] = rows_of(study(alike))
    assert list(flat_notes(rows)) == []
