from pathlib import Path

import numpy as np
import pytest

from autorf.comparison import Comparison, StudyResults, compare, compare_studies
from autorf.statistics import difference_of_best
from autorf.store.store import Record
from tests.comparison.builder import leave_evidence, record, spec
from tests.reports import with_result

T2 = 4.302653


def seeds(method: str, scores: list[float], **params: object) -> list[Record]:
    return [record(method, score, seed, **params) for seed, score in enumerate(scores)]


def of(records: list[Record], folder: Path | None = None, **parts: dict[str, object]) -> Comparison:
    return compare_studies([StudyResults("s", tuple(records), tuple(records), spec(**parts), folder)])


def test_one_against_one_is_students_paired_interval_by_hand() -> None:
    manual, learned = seeds("dilation", [0.45, 0.5, 0.5], rate=2), seeds("learned_dilation", [0.5, 0.6, 0.55])
    verdict = compare("s", [*manual, *learned]).verdict
    half = T2 * (0.05**2 / 3) ** 0.5 / 3**0.5  # the differences are 0.05, 0.10 and 0.05
    assert verdict.difference == pytest.approx(0.2 / 3)
    assert verdict.difference_ci95 == pytest.approx(half, rel=1e-5)
    assert verdict.difference_low == pytest.approx(0.2 / 3 - half, rel=1e-4)
    assert (verdict.n_seeds, verdict.n_images, verdict.outcome) == (3, 0, "no difference")
    assert "took 100% of the manual configuration's training time" in verdict.sentence
    assert "95 % interval -0.005 to +0.138 over 3 seeds)" in verdict.sentence
    assert "corrected" not in verdict.sentence


def test_the_best_of_many_is_judged_as_the_best_of_many() -> None:
    rng = np.random.default_rng(0)
    manual = [seeds("dilation", rng.normal(0.5, 0.01, 3).tolist(), rate=rate) for rate in range(1, 7)]
    learned = [seeds("learned_dilation", rng.normal(0.53, 0.01, 3).tolist(), start=start) for start in range(1, 6)]
    verdict = compare("s", [one for group in [*manual, *learned] for one in group]).verdict
    scores = [[[one.value("miou") for one in group] for group in part] for part in (learned, manual)]
    expected = difference_of_best(*scores)
    assert (verdict.difference_low, verdict.difference_high) == pytest.approx((expected.low, expected.high))
    assert (verdict.n_manual, verdict.n_learned) == (6, 5)
    assert "corrected for choosing among 6 manual and 5 learned" in verdict.sentence


def test_the_best_of_two_is_corrected_for_choosing_by_hand() -> None:
    failed = record("dilation", None, seed=3, rate=2)  # a seed that all lack: nobody lends another its variance
    manual = [*seeds("dilation", [0.50, 0.50, 0.50], rate=2), failed]
    learned = [
        *seeds("learned_dilation", [0.60, 0.62, 0.64], start=1),
        *seeds("learned_dilation", [0.50, 0.53, 0.56], start=2),
    ]
    verdict = compare("s", [*manual, *learned]).verdict
    assert verdict.difference == pytest.approx(0.12)
    # Student's points of two degrees of freedom at 1 - .025/2 and at 1 - .025, times .02 / sqrt(3).
    assert verdict.difference_low == pytest.approx(0.12 - 6.205347 * 0.02 / 3**0.5, abs=1e-6)
    assert verdict.difference_high == pytest.approx(0.12 + T2 * 0.02 / 3**0.5, abs=1e-6)
    assert "corrected for choosing among 1 manual and 2 learned" in verdict.sentence


def test_images_that_differ_by_method_widen_the_interval(tmp_path: Path) -> None:
    manual, learned = seeds("dilation", [0.49, 0.5, 0.5], rate=2), seeds("learned_dilation", [0.55, 0.57, 0.55])
    blind = of([*manual, *learned], tmp_path).verdict
    for one in manual:
        leave_evidence(tmp_path, one, [0.2, 0.9, 0.3, 0.8])
    for one in learned:
        leave_evidence(tmp_path, one, [0.9, 0.4, 0.8, 0.5])
    seeing = of([*manual, *learned], tmp_path)
    assert (blind.n_images, seeing.verdict.n_images) == (0, 4)
    assert blind.outcome == "better"
    assert seeing.verdict.outcome == "no difference"
    assert "over 3 seeds and 4 images" in seeing.verdict.sentence
    group = seeing.groups[0]
    assert group.ci95_images is not None
    assert group.ci95 is not None
    assert group.ci95_images > group.ci95


def test_other_images_than_the_first_trials_are_not_paired(tmp_path: Path) -> None:
    manual, learned = seeds("dilation", [0.5], rate=2), seeds("learned_dilation", [0.6])
    leave_evidence(tmp_path, manual[0], [0.2, 0.9, 0.3, 0.8])
    leave_evidence(tmp_path, learned[0], [0.2, 0.9, 0.3, 0.8], labelled=90)
    verdict = of([*manual, *learned], tmp_path).verdict
    assert (verdict.n_images, verdict.images_low) == (0, None)


def test_one_seed_gives_an_interval_over_images_alone_and_says_so(tmp_path: Path) -> None:
    manual, learned = seeds("dilation", [0.5], rate=2), seeds("learned_dilation", [0.6])
    leave_evidence(tmp_path, manual[0], [0.5, 0.6, 0.5, 0.6])
    leave_evidence(tmp_path, learned[0], [0.6, 0.6, 0.6, 0.7])
    verdict = of([*manual, *learned], tmp_path).verdict
    assert (verdict.difference_low, verdict.difference_ci95, verdict.outcome) == (None, None, "unknown")
    assert verdict.images_low is not None
    assert verdict.images_high is not None
    assert verdict.images_low < 0.1 < verdict.images_high
    assert "one seed cannot tell" in verdict.sentence
    assert "over other validation images alone" in verdict.sentence


def test_seeds_that_are_not_shared_cannot_be_paired() -> None:
    verdict = compare("s", [record("dilation", 0.5, 0, rate=2), record("learned_dilation", 0.6, 1)]).verdict
    assert verdict.difference == pytest.approx(0.1)
    assert "they share no seed" in verdict.sentence


def test_a_single_seed_of_another_configuration_leaves_open_only_what_it_could_change() -> None:
    manual = seeds("dilation", [0.50, 0.51, 0.52], rate=2)
    learned = seeds("learned_dilation", [0.60, 0.612, 0.62])
    half_done = record("learned_dilation", 0.1, start=2)
    verdict = compare("s", [*manual, *learned, half_done]).verdict
    assert (verdict.outcome, verdict.difference_high, verdict.difference_ci95) == ("better", None, None)
    assert verdict.difference_low is not None
    assert 0 < verdict.difference_low < 0.1
    assert "to any over 3 seeds" in verdict.sentence
    worse = [record(one.configuration["method"], 0.5, one.seed) for one in learned]
    open_end = compare("s", [*manual, *worse, half_done]).verdict
    assert open_end.outcome == "unknown"
    assert "before every configuration has two seeds" in open_end.sentence


def test_identical_results_are_no_difference_of_zero_width() -> None:
    verdict = compare("s", [*seeds("dilation", [0.5] * 3, rate=2), *seeds("learned_dilation", [0.5] * 3)]).verdict
    assert (verdict.difference, verdict.difference_low, verdict.difference_high) == (0, 0, 0)
    assert verdict.outcome == "no difference"


def test_a_score_that_is_no_number_is_a_row_and_never_counts() -> None:
    nan = record("learned_dilation", float("nan"))
    found = compare("s", [record("dilation", 0.5, rate=2), nan, record("learned_dilation", 0.4, 1)])
    assert [group.n for group in found.groups] == [1, 1]
    assert found.groups[1].mean == 0.4
    assert '"miou": null' in found.to_json()


def test_a_cost_is_better_when_it_is_less() -> None:
    slow = [with_result(one, latency_ms=20.0 + one.seed) for one in seeds("dilation", [0.5] * 3, rate=2)]
    fast = [with_result(one, latency_ms=10.0 + one.seed) for one in seeds("learned_dilation", [0.4] * 3)]
    found = of([*slow, *fast], search={"objectives": ["latency_ms", "miou"]})
    assert (found.metric, found.verdict.outcome, found.verdict.difference) == ("latency_ms", "better", -10.0)
    assert "latency_ms 11" in found.verdict.sentence
    assert [row.on_front for row in found.rows] == [True, False, False, True, False, False]
    assert found.rows[0].measured == {"latency_ms": 20.0}


def test_the_interval_of_a_cost_is_turned_and_stays_in_order() -> None:
    def timed(trial: Record, latency: float) -> Record:
        return with_result(trial, latency_ms=latency)

    slow = [
        timed(one, latency) for one, latency in zip(seeds("dilation", [0.5] * 3, rate=2), (20, 21, 22), strict=True)
    ]
    fast = [
        timed(one, latency) for one, latency in zip(seeds("learned_dilation", [0.4] * 3), (10, 12, 11), strict=True)
    ]
    verdict = of([*slow, *fast], search={"objectives": ["latency_ms", "miou"]}).verdict
    # The differences are -10, -9 and -11, of spread 1.
    assert verdict.difference_low == pytest.approx(-10 - T2 / 3**0.5, abs=1e-5)
    assert verdict.difference_high == pytest.approx(-10 + T2 / 3**0.5, abs=1e-5)


def test_what_breaks_a_limit_is_shown_and_never_best() -> None:
    found = of(
        [record("dilation", 0.9, rate=2), record("dilation", 0.5, rate=1), record("learned_dilation", 0.6)],
        search={"constraints": ["rnorm <= 0.27"]},
    )
    assert [row.infeasible for row in found.rows] == [["rnorm <= 0.27"], [], ["rnorm <= 0.27"]]
    assert "no learned trial is complete and keeps the study's limits" in found.verdict.sentence
    assert found.verdict.best_manual is not None
    assert found.verdict.best_manual["params"] == {"rate": 1}


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([], "no trial is complete (none was begun)"),
        ([record("dilation", None, rate=1), record("dilation", 0.1, rate=2, state="running")],
         "no trial is complete (1 failed, 1 running)"),
        ([record("dilation", 0.5, rate=2)], "no learned trial is complete; best so far: dilation (rate 2"),
    ],
)  # fmt: skip
def test_without_a_finished_trial_on_either_side_there_is_no_verdict(records: list[Record], said: str) -> None:
    found = compare("s", records)
    assert said in found.verdict.sentence
    assert found.verdict.difference is None
    assert found.to_json()
