from dataclasses import replace

import pytest

from autorf.comparison import StudyResults, compare_studies
from autorf.comparison.costs import spent_by_trial
from autorf.store.store import Record, newest_attempts
from tests.comparison.builder import history, record, spec
from tests.reports import with_result


def results(attempts: list[Record], **parts: dict[str, object]) -> StudyResults:
    return StudyResults("s", tuple(newest_attempts(attempts)), tuple(attempts), spec(**parts))


def interrupted(trial: Record, epochs: int, seconds: float, attempt: int = 1) -> Record:
    return replace(
        trial, state="failed", result=None, history=history(epochs, seconds), attempt=attempt, reason="interrupted"
    )


def test_an_attempt_that_continues_counts_its_own_epochs_and_one_that_repeats_counts_again() -> None:
    trial = record("dilation", 0.5, rate=2)
    first = interrupted(trial, 3, 5.0)
    continued = replace(with_result(trial, train_seconds=30.0), attempt=2, history=history(3, 5.0, begin=3))
    assert spent_by_trial([continued, first], 1) == {trial.key: 30.0}
    lost_one = replace(continued, history=history(4, 5.0, begin=2))
    assert spent_by_trial([first, lost_one], 1) == {trial.key: 35.0}
    afresh = replace(continued, history=history(6, 5.0))
    assert spent_by_trial([first, afresh], 1) == {trial.key: 45.0}


def test_what_never_finished_an_epoch_has_no_known_cost() -> None:
    assert spent_by_trial([record("dilation", None, rate=2)], 1) == {}


def test_each_way_pays_for_failed_pruned_and_repeated_attempts_and_retraining_stands_beside() -> None:
    trial = record("learned_dilation", 0.6)
    attempts = [
        record("dilation", 0.4, rate=1),
        record("dilation", 0.5, rate=2),
        interrupted(record("dilation", None, rate=3), 1, 4.0),
        interrupted(trial, 1, 3.0),
        replace(trial, attempt=2, history=history(2, 5.0)),
        replace(record("learned_dilation", 0.1, start=2), state="pruned", history=history(1, 2.0), result=None),
    ]
    study = replace(results(attempts, training={"threads": 2}), retrains={trial.key: {"seconds": 8.0}})
    manual, learned = compare_studies([study]).costs
    assert (manual.trials, manual.complete, manual.failed, manual.unit) == (3, 2, 1, "CPU-seconds")
    assert (manual.seconds, manual.failed_seconds) == (2 * 24.0, 2 * 4.0)
    assert manual.ratio == pytest.approx(24 / 30)
    assert (learned.seconds, learned.failed_seconds, learned.pruned_seconds, learned.retrain_seconds) == (
        2 * (10 + 3 + 2), 2 * 3.0, 2 * 2.0, 2 * 8.0,
    )  # fmt: skip
    assert learned.ratio == pytest.approx(15 / 30)


def test_an_interrupted_trial_that_waits_has_cost_what_it_did() -> None:
    trial = record("dilation", 0.5, rate=2)
    attempts = [record("dilation", 0.4, rate=1), interrupted(trial, 2, 5.0), replace(trial, state="waiting", attempt=2)]
    attempts[2] = replace(attempts[2], history=(), result=None)
    found = compare_studies([results(attempts)])
    assert len(found.rows) == 1
    assert (found.costs[0].seconds, found.costs[0].ratio) == (20.0, 1.0)


def test_a_gpu_is_counted_as_one_however_many_threads_feed_it() -> None:
    trial = record("dilation", 0.4, rate=1)
    study = results([with_result(trial, device="cuda")], training={"threads": 8})
    (manual,) = compare_studies([study]).costs
    assert (manual.seconds, manual.unit) == (10.0, "GPU-seconds")


def test_processor_time_counts_where_it_is_known_so_a_busy_machine_changes_no_ratio() -> None:
    manual, learned = record("dilation", 0.4, rate=1), record("learned_dilation", 0.6)
    epochs = tuple(replace(report, cpu_seconds=4.0 * (report.epoch + 1)) for report in history(2, 40.0))
    attempts = [
        with_result(manual, cpu_seconds=8.0),
        replace(interrupted(learned, 2, 40.0), history=epochs),
        replace(with_result(learned, train_seconds=90.0, cpu_seconds=12.0), attempt=2, history=()),
    ]
    found = compare_studies([results(attempts, training={"threads": 2})])
    grid, ours = found.costs
    assert (grid.seconds, ours.complete_seconds, ours.seconds) == (8.0, 12.0, 12.0)
    assert found.verdict.cost_ratio == 1.5
    assert [row.train_seconds for row in found.rows] == [10.0, 90.0]


def test_regret_falls_with_cost_in_the_order_trials_ended() -> None:
    scores = {1: 0.4, 2: 0.6, 3: 0.5}
    attempts = [replace(record("dilation", score, rate=rate), ended=10.0 - rate) for rate, score in scores.items()]
    as_run, random = compare_studies([results(attempts)]).curves
    assert (as_run.way, as_run.order) == ("manual", "as run")
    assert [point["seconds"] for point in as_run.points] == [10, 20, 30]
    assert [point["score"] for point in as_run.points] == [0.5, 0.6, 0.6]
    assert [point["regret"] for point in as_run.points] == pytest.approx([0.1, 0, 0])
    assert (random.order, [point["seconds"] for point in random.points]) == ("random", [10, 20, 30])
    assert [point["score"] for point in random.points] == pytest.approx([0.5, (0.6 + 0.6 + 0.5) / 3, 0.6])


def test_a_lucky_seed_earns_the_configuration_no_more_than_its_mean() -> None:
    attempts = [
        replace(record("dilation", 0.9, 0, rate=1), ended=1.0),
        replace(record("dilation", 0.1, 1, rate=1), ended=2.0),
        replace(record("dilation", 0.6, 0, rate=2), ended=3.0),
    ]
    as_run = compare_studies([results(attempts)]).curves[0]
    assert [point["score"] for point in as_run.points] == [0.5, 0.5]
    assert as_run.points[-1]["regret"] == pytest.approx(0.1)
