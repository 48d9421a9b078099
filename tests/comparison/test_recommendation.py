"""What to use: words and numbers of the recommendation."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autorf.comparison import Recommendation, StudyResults, compare, compare_studies
from autorf.errors import InputError
from autorf.store.record import Record
from autorf.study.control import Control
from tests.comparison.builder import leave_evidence, record, spec
from tests.reports import changed, with_result


def grid(means: Sequence[float], n_seeds: int = 5, noise: float = 0.002, **params: Any) -> list[Record]:
    """Dilations 1, 2, ..., fields of 19, 27, 35, ... pixels."""
    draw = random.Random(1)
    return [
        record("dilation", mean + draw.gauss(0, noise), seed, rate=rate, **params)
        for rate, mean in enumerate(means, 1)
        for seed in range(n_seeds)
    ]


def recommended(trials: Sequence[Record], margin: float | None = None) -> Recommendation:
    answer = compare_studies([StudyResults("s", tuple(trials), tuple(trials))], margin=margin).recommendation
    assert answer is not None
    return answer


def test_a_peak_names_its_fields_and_what_both_neighbours_lose() -> None:
    answer = recommended(grid([0.60, 0.75, 0.751, 0.63]))
    assert answer.text.startswith("Use a field of 27 to 35 px (dilation 2 or 3); 19 px loses .150, 43 px loses .119.")
    assert "A peak: nothing is lost there (margin .010, 95 %), and larger fields lose." in answer.text
    assert (answer.shape, answer.rf_low, answer.rf_high) == ("peak", 27, 35)


def test_a_plateau_says_from_where_on_nothing_is_lost() -> None:
    answer = recommended(grid([0.60, 0.75, 0.751, 0.75]))
    assert answer.text.startswith("Use a field of 27 to 43 px (dilation 2, 3 or 4); 19 px loses .151.")
    assert "From 27 px on nothing is lost (margin .010, 95 %)." in answer.text
    assert answer.shape == "plateau"
    assert answer.loses_above is None


def test_a_rise_asks_for_larger_fields() -> None:
    answer = recommended(grid([0.5, 0.6, 0.7, 0.8]))
    assert answer.text.startswith("Use a field of 43 px (dilation 4); 35 px loses .10")
    assert "the grid ends before the plateau, add larger fields." in answer.text
    assert answer.shape == "rise"


def test_noise_is_undecided_and_says_how_many_seeds_would_do() -> None:
    answer = recommended(grid([0.60, 0.75, 0.751, 0.63], noise=0.02))
    assert answer.seeds_needed is not None
    assert answer.text == (
        f"For now use 35 px (dilation 3), the highest mean; undecided is whether a smaller field would do: "
        f"{answer.seeds_needed} seeds a configuration would tell."
    )
    assert (answer.shape, answer.smallest_sufficient) == ("undecided", None)


def test_one_seed_says_what_is_missing() -> None:
    answer = recommended(grid([0.60, 0.75, 0.70], n_seeds=1))
    assert answer.text.startswith("For now use 27 px (dilation 2), the highest mean; undecided is ")
    assert answer.text.endswith("missing is a second seed: one does not tell what another would change.")
    assert answer.highest == 27
    assert answer.seeds_needed is None


def test_one_configuration_or_none_is_no_grid() -> None:
    assert "For now use 19 px (dilation 1), the only field;" in recommended(grid([0.6])).text
    assert "no manual configuration is complete" in recommended([record("learned_dilation", 0.5)]).text
    assert "no manual configuration is complete" in recommended([]).text


def test_a_wider_margin_accepts_a_smaller_field() -> None:
    trials = grid([0.60, 0.73, 0.751, 0.75])
    assert recommended(trials).rf_low == 35
    wide = recommended(trials, margin=0.03)
    assert (wide.rf_low, wide.margin) == (27, 0.03)
    assert "margin .030" in wide.text
    stored = StudyResults("s", tuple(trials), tuple(trials), spec(search={"margin": 0.03}))
    assert compare_studies([stored]).recommendation == wide
    with pytest.raises(InputError, match="margin: 0 is not above 0"):
        recommended(trials, margin=0)


def test_several_knobs_are_ordered_by_field_and_ties_are_named() -> None:
    low, high = (grid([0.60, mean, 0.70], **{"training.lr": lr}) for mean, lr in ((0.75, 0.001), (0.749, 0.003)))
    answer = recommended([*high, *low])
    assert answer.smallest_sufficient is not None
    assert answer.smallest_sufficient["params"] == {"rate": 2, "training.lr": 0.001}
    assert answer.rf_low == answer.rf_high == 27
    assert "Of the same field: dilation rate 2, lr 0.003." in answer.text


def test_what_the_smaller_field_saves_is_told_where_it_was_measured_and_differs() -> None:
    trials = [
        with_result(trial, latency_ms=4.0 + trial.configuration["rate"], parameters=1000)
        for trial in grid([0.60, 0.75, 0.755, 0.751])
    ]
    answer = recommended(trials)
    assert answer.saves == {"halo": (13, 17), "latency_ms": (6, 7)}
    assert "it takes a halo of 13 instead of 17 px, 6 instead of 7 ms latency." in answer.text


def test_only_trials_of_the_grid_and_of_its_common_length_count() -> None:
    trials = [replace(one, result=changed(one.result, steps=80)) for one in grid([0.60, 0.75, 0.751, 0.63])]
    alone = recommended(trials)
    longer = [replace(one, result=changed(one.result, steps=200)) for one in grid([0, 0, 0, 0, 0.9])[-5:]]
    control = [replace(one, control=Control("steps", {"method": "inflation"})) for one in longer]
    learned = [record("learned_dilation", 0.9, seed) for seed in range(5)]
    assert recommended([*trials, *longer, *learned]) == alone
    assert recommended([*trials, *control, *learned]) == alone


def test_infeasible_configurations_are_not_recommended() -> None:
    trials = [with_result(one, latency_ms=float(one.configuration["rate"])) for one in grid([0.5, 0.6, 0.7, 0.8])]
    limited = StudyResults("s", tuple(trials), tuple(trials), spec(search={"constraints": ["latency_ms <= 3"]}))
    answer = compare_studies([limited]).recommendation
    assert answer is not None
    assert answer.rf_low == 35


def test_images_that_disagree_make_the_field_harder_to_name(tmp_path: Path) -> None:
    trials = grid([0.60, 0.75, 0.751, 0.63])
    draw = random.Random(0)
    for trial in trials:
        leave_evidence(tmp_path, trial, [draw.random() for _ in range(4)])
    seeing = compare_studies([StudyResults("s", tuple(trials), tuple(trials), spec(), tmp_path)]).recommendation
    assert seeing is not None
    assert (recommended(trials).shape, seeing.shape) == ("peak", "undecided")
    assert "images" in seeing.text or "seeds" in seeing.text


def test_a_cost_is_no_ground_for_a_field() -> None:
    trials = [with_result(one, latency_ms=5.0) for one in grid([0.6, 0.7])]
    study = StudyResults("s", tuple(trials), tuple(trials), spec(search={"objectives": ["latency_ms"]}))
    answer = compare_studies([study]).recommendation
    assert answer is not None
    assert answer.text == "No field is recommended: latency_ms, the first objective, is a cost."


CONTRACT = {
    "row": {
        "key", "method", "params", "seed", "state", "rf", "rnorm", "f", "dilation", "miou", "f1", "pixel_accuracy",
        "train_seconds", "own_seconds", "steps", "device", "control", "epochs", "reason",
    },
    "verdict": {
        "best_manual", "best_learned", "difference", "difference_ci95", "cost_ratio", "equal_steps", "equal_cost",
    },
    "equal": {
        "manual", "learned", "difference", "difference_low", "difference_high", "outcome", "same_field", "sentence",
    },
    "recommendation": {
        "text", "rf_low", "rf_high", "shape", "loses_below", "loses_above", "margin", "confidence",
        "smallest_sufficient", "seeds_needed",
    },
}  # fmt: skip
"""Names that people's scripts read: more may come, none may go."""


def test_the_names_of_the_contract_are_frozen() -> None:
    trials = [*grid([0.60, 0.75, 0.751, 0.63]), *(record("learned_dilation", 0.7, seed) for seed in range(5))]
    data = json.loads(compare("s", trials).to_json())
    assert data["rows"][0].keys() >= CONTRACT["row"]
    assert data["rows"][0]["control"] is None
    assert data["verdict"].keys() >= CONTRACT["verdict"]
    for budget in ("equal_steps", "equal_cost"):
        assert data["verdict"][budget].keys() >= CONTRACT["equal"]
        assert data["verdict"][budget]["learned"].keys() >= {"method", "params", "keys"}
        assert data["verdict"][budget]["manual"].keys() >= {"method", "params", "keys"}
    assert data["recommendation"].keys() >= CONTRACT["recommendation"]
    assert data["recommendation"]["smallest_sufficient"].keys() >= {"method", "params", "keys", "rf"}
