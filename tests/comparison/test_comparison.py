import csv
import io
import json
import random
import time

import pytest

from autorf.cli.comparison_lines import lines_of_groups
from autorf.comparison import compare, half_width
from autorf.comparison.rows import learned
from tests.comparison.builder import record
from tests.reports import with_result

FIELDS = [
    "key", "method", "params", "seed", "state", "rf", "rnorm", "f", "dilation", "miou", "f1", "pixel_accuracy",
    "train_seconds", "epochs", "reason",
]  # fmt: skip


def test_the_json_has_the_fields_of_the_contract() -> None:
    found = json.loads(compare("s", [record("dilation", 0.4, rate=2), record("learned_dilation", 0.5)]).to_json())
    assert list(found)[:5] == ["study", "metric", "rows", "groups", "verdict"]
    assert list(found["rows"][0])[: len(FIELDS)] == FIELDS
    assert {"method", "params", "n", "miou_mean", "miou_ci95"} <= set(found["groups"][0])
    assert {"best_manual", "best_learned", "difference", "difference_ci95", "cost_ratio"} <= set(found["verdict"])
    assert found["rows"][0]["f"] is None
    assert found["rows"][0]["dilation"] == 2
    assert found["rows"][1]["dilation"] == 3.0


def test_the_csv_has_one_line_a_trial_under_the_same_names() -> None:
    rows = list(csv.DictReader(io.StringIO(compare("s", [record("dilation", 0.4, rate=2)]).to_csv())))
    assert list(rows[0])[: len(FIELDS)] == FIELDS
    assert json.loads(rows[0]["params"]) == {"rate": 2}
    assert json.loads(rows[0]["rf"]) == [27, 27]


def test_the_verdict_pairs_seeds_and_does_not_claim_what_noise_explains() -> None:
    noise = [0.0, 0.05, -0.05]
    same = [record("dilation", 0.5 + noise[seed], seed, rate=2) for seed in range(3)]
    same += [record("learned_dilation", 0.51 - noise[seed], seed) for seed in range(3)]
    verdict = compare("s", same).verdict
    assert verdict.difference == pytest.approx(0.01)
    assert "no difference at this number of seeds" in verdict.sentence
    better = [record("dilation", 0.5 + noise[seed], seed, rate=2) for seed in range(3)]
    better += [record("learned_dilation", 0.6 + noise[seed] + 0.001 * seed, seed) for seed in range(3)]
    assert "learning is better" in compare("s", better).verdict.sentence


def test_one_seed_is_said_not_to_be_enough() -> None:
    verdict = compare("s", [record("dilation", 0.4, rate=2), record("learned_dilation", 0.5)]).verdict
    assert verdict.difference_ci95 is None
    assert "one seed cannot tell" in verdict.sentence


def test_the_cost_is_that_of_the_learned_configuration_over_the_whole_manual_grid() -> None:
    grid = [record("dilation", 0.1 * rate, rate=rate) for rate in (1, 2, 3, 4)]
    assert compare("s", [*grid, record("learned_dilation", 0.5)]).verdict.cost_ratio == pytest.approx(0.25)


def test_the_best_is_chosen_by_the_mean_over_seeds() -> None:
    lucky = [record("dilation", 0.9, 0, rate=1), record("dilation", 0.1, 1, rate=1)]
    steady = [record("dilation", 0.6, 0, rate=2), record("dilation", 0.6, 1, rate=2)]
    best = compare("s", [*lucky, *steady]).verdict.best_manual
    assert best is not None
    assert best["params"] == {"rate": 2}


def test_failed_trials_are_rows_with_their_reason_and_never_count() -> None:
    found = compare("s", [record("dilation", None, rate=2), record("learned_dilation", 0.5)])
    assert [row.state for row in found.rows] == ["failed", "complete"]
    assert found.rows[0].reason == "out of memory"
    assert len(found.groups) == 1
    assert "No verdict yet: no manual trial" in found.verdict.sentence


def test_an_empty_study_has_no_verdict() -> None:
    assert compare("s", []).verdict.best_manual is None


def test_the_interval_is_students() -> None:
    assert half_width([1.0]) is None
    assert half_width([0.0, 1.0, 2.0]) == pytest.approx(4.302653 / 3**0.5, rel=1e-5)


def test_a_thousand_trials_are_compared_within_two_seconds_of_work() -> None:
    rng = random.Random(0)
    settings = [("dilation", {"rate": rate}) for rate in range(1, 41)]
    settings += [("learned_dilation", {"training.lr": lr / 1e5}) for lr in range(1, 294)]
    records = [record(method, rng.gauss(0.5, 0.01), seed, **params) for method, params in settings for seed in range(3)]
    began = time.process_time()
    found = compare("s", records)
    text = found.to_json()
    assert time.process_time() - began < 2
    assert len(json.loads(text)["rows"]) == 999
    assert found.verdict.difference_low is not None
    assert found.verdict.difference_high is not None
    assert found.verdict.difference_high - found.verdict.difference_low < 0.12


def test_what_branches_learned_is_listed_and_averaged_over_seeds() -> None:
    trials = [record("inflation", 0.5, seed) for seed in (0, 1)]
    trials = [
        with_result(trial, values={"f": sum(factors) / 2, "f.1": factors[0], "f.2": factors[1]})
        for trial, factors in zip(trials, ((1.0, 3.0), (2.0, 4.0)), strict=True)
    ]
    found = compare("s", trials)
    assert [row.each for row in found.rows] == [{"f": [1.0, 3.0]}, {"f": [2.0, 4.0]}]
    assert learned(found.rows, "f") == [1.5, 3.5]
    assert learned(found.rows, "dilation") == []
    (line,) = lines_of_groups(found)
    assert line["f"] == "1.50, 3.50"
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert json.loads(rows[0]["each"]) == {"f": [1.0, 3.0]}
