"""What a comparison says of data in folds: everything over replicates, nothing over single folds."""

import json
from dataclasses import replace
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

import pytest
import torch
from scipy import stats

from autorf.comparison import compare_studies
from autorf.comparison.folds import MOST
from autorf.comparison.groups import members_of
from autorf.errors import InputError
from autorf.running.evidence import read_evidence
from autorf.running.pooled_evidence import pooled_evidence
from autorf.store.record import Record
from tests.folded import SPEC, Counts, fold, leave_evidence, pooled_miou, replicate, study


def counts(right: int) -> Counts:
    """A hundred pixels of each class, so many of them right."""
    return [[100, 0, 0], [100 - right, right, 0], [100 - right, 0, right]]


# By seed and fold: folds differ by far more than seeds do.
SCORES = {0: (20, 50, 80), 1: (22, 52, 82), 2: (18, 50, 80)}


def grid(rate: int = 1, lift: int = 0) -> list[Record]:
    return [
        record
        for seed, rights in SCORES.items()
        for record in replicate([counts(right + lift) for right in rights], seed, rate=rate)
    ]


def interval(values: list[float]) -> float:
    return float(stats.t.ppf(0.975, len(values) - 1)) * stdev(values) / sqrt(len(values))


def test_groups_are_over_replicates_and_their_interval_is_that_of_seeds() -> None:
    comparison = compare_studies([study(grid())])
    (group,) = comparison.groups
    pooled = [pooled_miou([counts(right) for right in rights]) for rights in SCORES.values()]
    assert (group.n, group.folds, group.seeds, len(group.keys)) == (3, 3, (0, 1, 2), 9)
    assert group.mean == pytest.approx(mean(pooled), abs=1e-12)
    assert group.ci95 == pytest.approx(interval(pooled))
    of_folds = [record.value("miou") for record in grid()]
    assert group.ci95 < 0.2 * interval(of_folds), "nine folds as replicates would give another interval"
    assert group.std == pytest.approx(stdev(pooled))


def test_rows_are_single_folds_and_replicates_stand_beside_them() -> None:
    comparison = compare_studies([study(grid())])
    assert [(row.seed, row.fold) for row in comparison.rows] == [(s, f) for s in range(3) for f in range(3)]
    assert all(row.params == {"rate": 1} and row.fold_keys == () for row in comparison.rows)
    first = comparison.replicates[0]
    assert first.fold_keys == tuple(row.key for row in comparison.rows[:3])
    assert (first.key, first.fold, first.trial_keys) == (first.fold_keys[0], None, first.fold_keys)
    assert (first.own_seconds, first.spent_seconds, first.steps) == (3.0, 2.0 + 3.0 + 4.0, 12)
    plain = json.loads(comparison.to_json())
    assert [row["fold"] for row in plain["rows"][:3]] == [0, 1, 2]
    assert plain["replicates"][0]["fold_keys"] == [row["key"] for row in plain["rows"][:3]]
    assert comparison.to_csv().splitlines()[1].startswith(first.key)


def test_a_study_without_folds_has_no_replicates_beside_its_rows() -> None:
    from autorf.comparison import compare
    from tests.comparison.builder import record

    comparison = compare("plain", [record("dilation", 0.5, rate=2)])
    assert comparison.replicates == ()
    assert comparison.members == comparison.rows
    assert (comparison.rows[0].fold, comparison.groups[0].folds) == (None, None)


def test_a_single_fold_is_no_member_of_a_group() -> None:
    comparison = compare_studies([study(grid())])
    (group,) = comparison.groups
    assert sorted(members_of(group, comparison.members)) == [0, 1, 2]
    with pytest.raises(AssertionError, match="a fold alone is no member"):
        members_of(group, comparison.rows)


def test_the_smallest_sufficient_field_and_the_verdict_are_over_replicates() -> None:
    learned = [
        record
        for seed, rights in SCORES.items()
        for record in replicate([counts(right + 15) for right in rights], seed, method="learned_dilation")
    ]
    comparison = compare_studies([study([*grid(1), *grid(3, lift=10), *learned])])
    assert comparison.recommendation is not None
    assert comparison.recommendation.smallest_sufficient is not None
    assert comparison.recommendation.smallest_sufficient["params"] == {"rate": 3}
    assert len(comparison.recommendation.smallest_sufficient["keys"]) == 9
    verdict = comparison.verdict
    assert (verdict.outcome, verdict.n_seeds) == ("better", 3)
    assert verdict.cost_ratio == pytest.approx(0.5), "nine trainings against the grid's eighteen"
    assert [(cost.way, cost.trials) for cost in comparison.costs] == [("manual", 18), ("learned", 9)]


def test_a_replicate_that_is_not_whole_is_not_counted_and_said() -> None:
    records = [*grid()[:6], *grid()[6:8], fold(counts(80), 2, seed=2, state="failed", reason="out of memory")]
    comparison = compare_studies([study(records)])
    (group,) = comparison.groups
    assert (group.n, group.seeds) == (2, (0, 1))
    assert "dilation (rate 1) seed 2 is not counted: 2 of 3 folds are complete (fold 2 failed)." in comparison.notes
    assert sum(row.counts for row in comparison.rows) == 8
    assert [row.state for row in comparison.replicates] == ["complete", "complete", "failed"]
    only_two = compare_studies([study(grid()[:2])])
    assert only_two.groups == ()
    assert only_two.verdict.sentence == "No verdict yet: no replicate is complete (1 running)."


def test_many_replicates_that_are_not_whole_are_counted_together() -> None:
    records = [fold(counts(50), 0, seed=seed) for seed in range(MOST + 3)]
    notes = compare_studies([study(records)]).notes
    assert len(notes) == 1 + MOST + 1
    assert notes[-1] == "3 more replicates are not whole and not counted."


def test_it_says_what_a_replicate_is_and_of_how_many_images() -> None:
    splits = {"val": {"n": 20, "images": "", "masks": "", "times": ""}}
    comparison = compare_studies([study(grid(), data={"rule": "content", "splits": splits})])
    assert comparison.notes[0] == (
        "faces is cross-validated: a replicate is all 3 folds of a seed, the confusions of 20 images pooled, each "
        "image scored once by a model that never saw it; intervals are over replicates, since folds share training "
        "images."
    )


def test_classes_of_the_means_are_those_of_all_folds() -> None:
    """Class b is in the first fold alone."""
    without: Counts = [[90, 10, 0], [10, 90, 0], [0, 0, 0]]
    comparison = compare_studies([study(replicate([counts(50), without, without]))])
    assert comparison.means is not None
    assert comparison.means.classes == ("background", "a", "b")
    by_name = {row.name: row.iou for row in comparison.classes}
    assert by_name["b"] == {"best manual": pytest.approx(0.5), "default": pytest.approx(0.5)}


def test_studies_in_other_folds_are_not_compared() -> None:
    plain = replace(study(grid()), name="plain", spec={**SPEC, "data": {**SPEC["data"], "folds": None}})
    with pytest.raises(InputError, match=r"data\.folds \(3 against None\)"):
        compare_studies([study(grid()), plain])


def written(tmp_path: Path, records: list[Record]) -> None:
    """Evidence of two images a fold, whose pixels add up to the trial's."""
    for record in records:
        assert record.result is not None
        half = (torch.tensor(record.result.confusion) // 2).tolist()
        leave_evidence(tmp_path, record, [half, half], sides=(8, 8 * (1 + (record.fold or 0))))


def test_images_of_all_folds_stand_behind_an_interval(tmp_path: Path) -> None:
    records = [*grid(1), *grid(3, lift=10)]
    written(tmp_path, records)
    comparison = compare_studies([study(records, tmp_path)])
    assert all(group.ci95_images is not None for group in comparison.groups)
    (size, *_) = comparison.sizes
    assert size.objects == 2 * 2 * 3 - 2 * 2, "of all images, less those with larger objects"
    (tmp_path / "trials" / records[1].key / "evidence.safetensors").unlink()
    lacking = compare_studies([study(records, tmp_path)])
    assert lacking.groups[0].ci95_images is None, "a replicate of which a fold has none has none"
    assert lacking.groups[1].ci95_images is not None
    assert lacking.groups[0].mean == comparison.groups[0].mean


def test_the_evidence_of_folds_is_that_of_one_trial_on_all_images(tmp_path: Path) -> None:
    records = replicate([counts(20), counts(50), counts(80)])
    written(tmp_path, records)
    parts = [part for record in records if (part := read_evidence(tmp_path / "trials" / record.key))]
    whole = pooled_evidence(parts)
    assert whole is not None
    assert torch.equal(whole.confusion, torch.cat([part.confusion for part in parts]))
    assert torch.equal(whole.tallies, torch.cat([part.tallies for part in parts]))
    assert whole.n_images == 6
    assert sorted(whole.objects[:, 0].unique().tolist()) == list(range(6))
    assert whole.sample_indices.tolist() == [0, 1, 2, 3, 4, 5]
    # Each sample's prediction was made by the fold that its image validates.
    assert whole.sample_prediction[:, 0, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert pooled_evidence([replace(parts[0], class_names=("x", "y", "z")), *parts[1:]]) is None


def test_rules_ask_the_training_images_of_each_fold(tmp_path: Path) -> None:
    """Objects are larger in later folds: of the images that train for fold 2 the first two are, and so on."""
    records = [*grid(1), *grid(3, lift=10)]
    for record in records:
        side = (16, 16, 64)[record.fold or 0]
        leave_evidence(tmp_path, record, [counts(50)], sides=(side,))
    comparison = compare_studies([study(records, tmp_path)])
    (rule,) = [named for named in comparison.named if named.name == "rf = object size"]
    # Of folds 0 and 1 the training images hold a large object, whose pixels outnumber the small one's; of fold 2 none.
    assert rule.object_size == 64
    assert rule.group is None, "the folds name two configurations (35 and 19 px)"
    same = [replace(record) for record in records]
    for record in same:
        leave_evidence(tmp_path, record, [counts(50)], sides=(16,))
    (rule,) = [named for named in compare_studies([study(same, tmp_path)]).named if named.name == "rf = object size"]
    assert rule.group is not None
    assert (rule.object_size, rule.group.params) == (16, {"rate": 1})
