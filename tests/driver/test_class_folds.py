"""A classification in folds, from its first trial to the model that is shipped."""

from pathlib import Path
from typing import Any

import pytest
import torch

from autorf.accuracy import accuracies, ranks, tally
from autorf.cli.comparison_table import print_comparison
from autorf.comparison import Comparison, compare_studies, results_of
from autorf.comparison.groups import members_of
from autorf.comparison.images import ImageNoise
from autorf.data import load
from autorf.deployment import retrain as retraining
from autorf.deployment.classifying import classify
from autorf.deployment.retrain import Options, retrain, study_spec
from autorf.reporting import report_page
from autorf.running.evidence import read_evidence, read_outcomes
from autorf.running.pooled_evidence import pooled_evidence
from autorf.running.runner import trained_model
from autorf.store.store import Store, open_store
from autorf.study.spec import parse_study
from autorf.study.trial import spec_of
from autorf.training.outputs import raw_scores
from tests.data.classes import write_shade
from tests.folded_study import run
from tests.study.classified import CLASSIFIED
from tests.study.trained import Here

NAMES, PER_CLASS, FOLDS = ("ant", "bee", "cow"), (3, 2, 4), 2


def study(root: Path) -> dict[str, Any]:
    return {
        **CLASSIFIED,
        "name": "folded",
        "data": {"name": "image_folder", "root": str(root), "image_size": 32, "folds": FOLDS},
        "search_space": CLASSIFIED["search_space"][:1],
        "training": {"epochs": 1, "batch_size": 4, "seeds": [0, 1]},
    }


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a study of one configuration under two seeds in two folds."""
    folder = tmp_path_factory.mktemp("folded")
    for label, (name, count) in enumerate(zip(NAMES, PER_CLASS, strict=True)):
        for number in range(count):
            write_shade(folder / "pictures" / name / f"{number}.png", label)
    with pytest.MonkeyPatch.context() as patch:
        run(parse_study(study(folder / "pictures"), "folded.yaml"), folder / "runs", patch)
    return folder / "runs"


@pytest.fixture
def store(searched: Path) -> Store:
    return open_store(searched, "folded")


@pytest.fixture
def comparison(store: Store) -> Comparison:
    return compare_studies([results_of(store)])


def test_the_pooled_accuracy_is_that_of_every_picture_by_the_model_that_never_saw_it(
    store: Store, comparison: Comparison
) -> None:
    spec = study_spec(store)
    by_key = {record.key: record for record in store.records()}
    for row in comparison.replicates:
        counts = torch.zeros(3, 3, dtype=torch.int64)
        for key in row.fold_keys:
            trial = by_key[key].trial
            assert trial is not None
            own = spec_of(spec, trial)
            held_out = load(own.data).val
            model = trained_model(own, NAMES, store.folder / "trials" / key).eval()
            pictures, masks = held_out.tensors(range(len(held_out)))
            with torch.no_grad():
                labels = masks[:, 0, 0]
                counts += tally(labels, ranks(raw_scores(model(pictures)), labels), 3)
        assert counts[:, 0].tolist() == list(PER_CLASS)
        expected = accuracies(counts, NAMES)
        assert (row.accuracy, row.class_accuracy) == (expected.accuracy, pytest.approx(expected.class_accuracy))
    assert {(group.n, group.folds, len(group.keys)) for group in comparison.groups} == {(2, FOLDS, 4)}


def test_differences_are_paired_over_the_pictures_of_all_folds(store: Store, comparison: Comparison) -> None:
    noise = ImageNoise([results_of(store)], comparison.members, "accuracy")
    assert noise.of_group(comparison.groups[0]) is not None
    assert noise.n_images == sum(PER_CLASS)
    assert "the right pictures of 9 images pooled" in comparison.notes[0]
    for row in members_of(comparison.groups[0], comparison.members).values():
        evidence = [read_evidence(store.folder / "trials" / key) for key in row.fold_keys]
        outcomes = [read_outcomes(store.folder / "trials" / key) for key in row.fold_keys]
        whole = pooled_evidence([part for part in evidence if part is not None])
        assert whole is not None
        assert whole.outcomes is not None
        assert whole.outcomes.pooled("accuracy") == pytest.approx(row.accuracy)
        assert whole.outcomes.labels.tolist() == [label for part in outcomes if part for label in part.labels.tolist()]


def test_table_and_report_speak_of_folds_and_accuracies(
    store: Store, comparison: Comparison, capsys: pytest.CaptureFixture[str]
) -> None:
    print_comparison(comparison)
    printed = capsys.readouterr().out
    assert "folded is cross-validated: a replicate is all 2 folds of a seed" in " ".join(printed.split())
    assert "acc@1" in printed
    assert f"{FOLDS} folds" in report_page([results_of(store)])


def test_what_is_shipped_is_trained_on_all_folds_and_predicts(searched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retraining, "make_local", lambda *_: Here())
    outcome = retrain(searched, "folded", Options(), quiet=True)
    assert outcome.card is not None
    assert (outcome.card.n_train, outcome.card.folds, outcome.card.metrics) == (sum(PER_CLASS), FOLDS, None)
    (seen,) = classify(outcome.folder, searched.parent / "pictures" / "bee" / "0.png")
    assert seen.name in NAMES
