from dataclasses import replace

import pytest

from autorf.errors import InputError
from autorf.store.ranking import ranked, trial_named, winner
from autorf.store.record import Record
from autorf.study.search_spec import SearchSpec
from tests.reports import trial_result

SEARCH = SearchSpec()


def trial(key: str, rate: int, seed: int, miou: float, **result: float) -> Record:
    configuration = {"method": "dilation", "rate": rate}
    return Record(1, key, configuration, seed, "complete", 1, result=trial_result(miou=miou, **result))


TRIALS = [trial("aa1", 1, 0, 0.9), trial("aa2", 1, 1, 0.1), trial("bb1", 2, 0, 0.6), trial("bb2", 2, 1, 0.7)]


def test_the_winner_is_the_best_seed_of_the_best_mean() -> None:
    assert winner("tiny", TRIALS, SEARCH).key == "bb2"
    assert [[one.key for one in group] for group in ranked(TRIALS, SEARCH)] == [["bb2", "bb1"], ["aa1", "aa2"]]


def test_a_cost_is_minimised_and_what_breaks_a_limit_is_never_best() -> None:
    slow = trial("slow", 3, 0, 0.99, latency_ms=30.0)
    fast = trial("fast", 4, 0, 0.5, latency_ms=10.0)
    limited = SearchSpec(constraints=("latency_ms <= 20",))
    assert winner("tiny", [slow, fast], limited).key == "fast"
    assert winner("tiny", [slow, fast], SearchSpec(objectives=("latency_ms",))).key == "fast"
    assert winner("tiny", [slow, fast], SearchSpec(objectives=("latency_ms", "miou"))).key == "slow"
    with pytest.raises(InputError, match="no complete trial keeps latency_ms <= 20"):
        winner("tiny", [slow], limited)


def test_a_study_without_a_complete_trial_says_what_it_has() -> None:
    failed = [replace(one, state="failed") for one in TRIALS]
    with pytest.raises(InputError, match=r"has no complete trial \(4 failed\); finish it first: autorf search tiny"):
        winner("tiny", failed, SEARCH)


def test_a_key_is_found_by_its_beginning_and_an_ambiguous_one_names_the_candidates() -> None:
    assert trial_named("tiny", TRIALS, "bb1").key == "bb1"
    with pytest.raises(InputError, match=r"--trial aa: 2 trials begin so: aa1 dilation .rate 1. seed 0, aa2"):
        trial_named("tiny", TRIALS, "aa")
