"""Replicates: all folds of a seed, pooled; nothing less counts."""

from dataclasses import replace

import pytest
import torch

from autorf.store.ranking import ranked
from autorf.store.record import Record
from autorf.store.replicates import Replicate, replicates, trials_of
from autorf.study.control import Control
from autorf.study.search_spec import SearchSpec
from autorf.training.results import DamagedError, TrialResult
from tests.folded import DATA, Counts, fold, pooled_miou, replicate
from tests.reports import changed, trial_result

# Of unequal sizes, and without class b in the last: the mean of the folds' means is another number.
COUNTS: list[Counts] = [
    [[50, 10, 0], [5, 20, 5], [0, 2, 8]],
    [[500, 0, 0], [90, 10, 0], [1, 0, 1]],
    [[30, 30, 0], [10, 10, 0], [0, 0, 0]],
]


def only(records: list[Record]) -> Replicate:
    (record,) = records
    assert isinstance(record, Replicate)
    return record


def test_its_scores_are_those_of_one_confusion_matrix_over_all_images() -> None:
    trials = replicate(COUNTS)
    whole = only(replicates(trials, DATA))
    assert whole.state == "complete"
    assert whole.result is not None
    assert whole.result.miou == pytest.approx(pooled_miou(COUNTS), abs=1e-12)
    assert whole.result.miou != pytest.approx(sum(trial.value("miou") for trial in trials) / 3, abs=0.02)
    total = torch.tensor(COUNTS).sum(0)
    assert whole.result.metrics["pixel_accuracy"] == pytest.approx(float(total.diag().sum() / total.sum()))
    right, labelled, predicted = (int(part.sum()) for part in (total[1:, 1:], total[1:], total[:, 1:]))
    assert whole.result.groups == {"things": pytest.approx(2 * right / (labelled + predicted))}
    assert whole.result.confusion == tuple(map(tuple, total.tolist()))
    assert list(whole.result.iou_per_class) == ["background", "a", "b"]


def test_it_is_known_by_its_configuration_and_by_its_first_fold() -> None:
    trials = replicate(COUNTS, seed=3, rate=2)
    whole = only(replicates(trials[::-1], DATA))
    assert (whole.key, whole.label) == (trials[0].key, "dilation (rate 2) seed 3")
    assert "data.fold" not in whole.configuration
    assert trials_of(whole) == tuple(trials)
    assert trials_of(trials[0]) == (trials[0],)


def test_costs_fields_and_what_was_learned_are_means_over_its_trainings() -> None:
    whole = only(replicates(replicate(COUNTS), DATA))
    assert whole.result is not None
    assert (whole.result.cpu_seconds, whole.result.seconds, whole.result.steps) == (3.0, 3.0, 12)
    assert whole.result.rf == (19.0, 19.0)


@pytest.mark.parametrize(
    ("trials", "state", "missing"),
    [
        (replicate(COUNTS[:2]), "running", "2 of 3 folds are complete (fold 2 missing)"),
        (
            [*replicate(COUNTS[:2]), fold(COUNTS[2], 2, state="failed", reason="out of memory")],
            "failed",
            "2 of 3 folds are complete (fold 2 failed); fold 2: out of memory",
        ),
        (
            [fold(COUNTS[0], 0), fold(COUNTS[1], 1, state="running"), fold(COUNTS[2], 2, state="waiting")],
            "running",
            "1 of 3 folds are complete (fold 1 running, fold 2 waiting)",
        ),
        ([fold(counts, at, state="waiting") for at, counts in enumerate(COUNTS)], "waiting", None),
    ],
    ids=["missing", "failed", "running", "waiting"],
)
def test_one_that_is_not_whole_counts_nowhere(trials: list[Record], state: str, missing: str | None) -> None:
    whole = only(replicates(trials, DATA))
    assert (whole.state, whole.result, whole.reason) == (state, None, missing)
    assert ranked([whole], SearchSpec()) == []


def test_a_fold_that_kept_no_confusion_matrix_cannot_be_pooled() -> None:
    trials = replicate(COUNTS)
    lacking = replace(trials[1], result=changed(trials[1].result, confusion=None))
    whole = only(replicates([trials[0], lacking, trials[2]], DATA))
    assert (whole.state, whole.result) == ("failed", None)
    assert whole.reason == "the folds cannot be pooled: their counts are missing, or of different classes"


def test_seeds_configurations_and_controls_are_replicates_of_their_own() -> None:
    control = Control("steps", {"method": "learned_dilation"})
    records = [
        *replicate(COUNTS), *replicate(COUNTS, seed=1), *replicate(COUNTS, rate=2),
        *(replace(record, control=control) for record in replicate(COUNTS)),
    ]  # fmt: skip
    whole = replicates(records, DATA)
    assert [(r.seed, r.configuration["rate"], r.control is None) for r in whole] == [
        (0, 1, True), (1, 1, True), (0, 2, True), (0, 1, False)
    ]  # fmt: skip


def test_trials_of_data_without_folds_are_what_they_are() -> None:
    records = [Record(0, "k", {"method": "dilation", "rate": 1}, 0, "complete", 1, result=trial_result(miou=0.5))]
    assert replicates(records, {"name": "digits"}) == records
    assert replicates(records, {**DATA, "folds": None}) == records


def test_the_best_configuration_is_best_over_replicates_not_over_folds() -> None:
    """The mean of the folds' means prefers the other one."""
    even: list[Counts] = [[[90, 10, 0], [10, 90, 0], [0, 0, 0]]] * 3
    # Two tiny folds that are all right, and one large fold that is half wrong.
    tiny: Counts = [[2, 0, 0], [0, 2, 0], [0, 0, 0]]
    uneven: list[Counts] = [tiny, tiny, [[500, 250, 0], [250, 500, 0], [0, 0, 0]]]
    records = [*replicate(even), *replicate(uneven, rate=2)]
    assert sum(r.value("miou") for r in records[:3]) < sum(r.value("miou") for r in records[3:])
    best, *_ = ranked(replicates(records, DATA), SearchSpec())
    assert best[0].configuration["rate"] == 1


def test_a_confusion_matrix_is_kept_with_the_result_and_a_damaged_one_is_refused() -> None:
    (first, *_) = replicate(COUNTS)
    assert first.result is not None
    stored = first.result.to_json()
    assert TrialResult.from_json(stored) == first.result
    assert "confusion" not in trial_result(miou=0.5).to_json()
    for damaged in ([[1, 2], [3, 4]], [[1, 2, 3]], "x", [[1, 2, 3], [4, 5, 6], [7, 8, -9]], [[1.5] * 3] * 3):
        with pytest.raises(DamagedError, match="confusion"):
            TrialResult.from_json({**stored, "confusion": damaged})


TALLIES = [((4, 3, 4), (2, 0, 1)), ((5, 1, 5), (3, 3, 3)), ((4, 4, 4), (2, 1, 2))]


def classified(tallies: list[tuple[tuple[int, ...], ...]]) -> list[Record]:
    """A trial on each fold of a classification of two classes."""
    names = ("ant", "bee")
    return [
        replace(
            trial,
            result=TrialResult(
                epochs=1,
                metrics={"accuracy": 0.5, "class_accuracy": 0.5},
                accuracy_per_class=dict.fromkeys(names, 0.5),
                tally=tally,
            ),
        )
        for trial, tally in zip(replicate(COUNTS), tallies, strict=True)
    ]


def test_a_classifications_scores_are_those_of_all_pictures_counted_together() -> None:
    whole = only(replicates(classified(TALLIES), DATA))
    assert whole.result is not None
    assert whole.result.tally == ((13, 8, 13), (7, 4, 6))
    assert whole.result.metrics == {"accuracy": 12 / 20, "class_accuracy": pytest.approx((8 / 13 + 4 / 7) / 2)}
    assert whole.result.accuracy_per_class == {"ant": 8 / 13, "bee": 4 / 7}
    assert TrialResult.from_json(whole.result.to_json()) == whole.result
    lacking = classified(TALLIES)
    lacking[1] = replace(lacking[1], result=replace(lacking[1].result, tally=()))
    assert only(replicates(lacking, DATA)).state == "failed"


@pytest.mark.parametrize("tally", [[[1, 1]], [[1, 1, 1]], [[1, 1, 1], [1, 1, -1]], [[1, 1, 1], [1, 1, True]], "ab"])
def test_a_tally_that_is_none_is_damage(tally: object) -> None:
    stored = classified(TALLIES)[0].result
    assert stored is not None
    with pytest.raises(DamagedError, match="tally"):
        TrialResult.from_json({**stored.to_json(), "tally": tally})
