"""A classification from its trials to the comparison, the report, the retrained model, its table and its files."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autorf.cli import classifying, prediction
from autorf.cli.comparison_table import Shown, print_comparison
from autorf.cli.deployment import _print_card
from autorf.comparison import compare_studies, results_of
from autorf.data import DigitClassesData, load
from autorf.deployment import retrain as module
from autorf.deployment.classifying import Classifier, classify
from autorf.deployment.export import export
from autorf.deployment.predictor import Predictor
from autorf.deployment.retrain import Options, Outcome, retrain
from autorf.errors import InputError
from autorf.reporting import report_page
from autorf.running.evidence import read_evidence, read_outcomes
from autorf.store.store import open_store
from autorf.tracking.values import final_metrics
from autorf.training.results import TrialResult
from tests.study.classified import CLASSIFIED
from tests.study.trained import Here


@pytest.fixture(scope="module")
def root(classified: tuple[Path, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that may be changed."""
    copy = tmp_path_factory.mktemp("copied") / "runs"
    shutil.copytree(classified[0], copy)
    return copy


@pytest.fixture(scope="module")
def outcome(root: Path) -> Outcome:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "make_local", lambda *_: Here())
        return retrain(root, "classified", Options(best=True), quiet=True)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test pictures of the study as files."""
    folder = tmp_path_factory.mktemp("pictures")
    images, masks = load(DigitClassesData(**CLASSIFIED["data"])).test.unchanged(range(8))
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{number}-{int(mask)}.png")
    return folder


def test_a_trial_reports_accuracies_and_leaves_one_outcome_a_picture(classified):
    root, _ = classified
    store = open_store(root, "classified")
    for record in store.records():
        result = record.result
        assert result.metrics.keys() == {"accuracy", "top5_accuracy", "class_accuracy"}
        assert result.iou_per_class == {}
        assert list(result.accuracy_per_class) == list("0123456789")
        assert TrialResult.from_json(json.loads(json.dumps(result.to_json()))) == result
        seen = read_outcomes(store.folder / "trials" / record.key)
        assert seen.pooled("accuracy") == pytest.approx(result.metrics["accuracy"])
        assert seen.pooled("class_accuracy") == pytest.approx(result.metrics["class_accuracy"])
        evidence = read_evidence(store.folder / "trials" / record.key)
        assert evidence.cells.shape == (12, 3)
        right = evidence.cells[:, 1] == evidence.cells[:, 2]
        assert torch.equal(right, evidence.ranks == 0), "what is predicted never contradicts the accuracy"
        assert len(evidence.objects) == 0
        truth = load(DigitClassesData(**CLASSIFIED["data"])).val.unchanged(range(12))[1].flatten().tolist()
        assert seen.labels.tolist() == truth
        logged = {metric.key for metric in final_metrics(record)}
        assert "per_class_accuracy.3" in logged or result.accuracy_per_class["3"] is None


def test_a_comparison_shows_accuracies_and_pairs_pictures(classified, capsys):
    comparison = compare_studies([results_of(open_store(classified[0], "classified"))])
    assert comparison.task == "classification"
    assert comparison.metric == "accuracy"
    assert comparison.verdict.n_images == 12
    contract = json.loads(comparison.to_json())
    assert contract["task"] == "classification"
    for row in contract["rows"]:
        assert row["miou"] is row["f1"] is row["pixel_accuracy"] is None
        assert {row["accuracy"], row["top5_accuracy"], row["class_accuracy"]} > {None} or row["accuracy"] is not None
    assert all(
        group.accuracies.keys() == {"accuracy", "top5_accuracy", "class_accuracy"} for group in comparison.groups
    )
    assert comparison.classes[0].iou == {}
    print_comparison(comparison, Shown(per_class=True, per_size=True))
    printed = capsys.readouterr().out
    for words in (
        "acc@1",
        "acc@5",
        "mean class acc",
        "Accuracy by class",
        "pictures with one class each have no objects",
    ):
        assert words in printed
    assert "mIoU" not in printed
    assert "F1" not in printed


def test_the_report_shows_accuracy_against_field(classified):
    page = report_page([results_of(open_store(classified[0], "classified"))])
    assert "acc@1" in page
    assert "mIoU" not in page
    assert "Validation picture" in page


def test_a_retrained_model_has_a_card_with_accuracies(outcome, capsys):
    card = (outcome.folder / "README.md").read_text()
    assert "A classification network whose receptive field" in card
    assert "Output: class scores `(N, 10)`." in card
    assert "| class | accuracy |" in card
    figures = json.loads((outcome.folder / "metrics.json").read_text())
    assert (figures["task"], figures["split"], figures["n_images"]) == ("classification", "test", 8)
    assert figures["metrics"].keys() == {"accuracy", "top5_accuracy", "class_accuracy"}
    _print_card(outcome)
    assert "acc@1" in capsys.readouterr().out


def test_predictions_of_files_are_those_that_the_retrain_scored(outcome, pictures):
    figures = json.loads((outcome.folder / "metrics.json").read_text())
    seen = list(classify(outcome.folder, sorted(pictures.iterdir())))
    assert all(each.probabilities.sum() == pytest.approx(1, abs=1e-5) for each in seen)
    right = [each.name == each.picture.stem[-1] for each in seen]
    assert np.mean(right) == pytest.approx(figures["metrics"]["accuracy"]["mean"])


def test_predict_writes_one_table_and_names_what_it_cannot_read(outcome, pictures, tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    options = prediction.Options(root=tmp_path, output=tmp_path / "out", quiet=True)
    assert prediction.predict(str(outcome.folder), [pictures, broken], options) == 1
    lines = list(csv.DictReader((tmp_path / "out" / classifying.TABLE).read_text().splitlines()))
    assert len(lines) == 8
    assert list(lines[0])[:3] == ["file", "class", "probability"]
    assert list(lines[0])[-2:] == ["class_5", "probability_5"]
    shares = [float(lines[0][name]) for name in lines[0] if name.startswith("probability")]
    assert shares == sorted(shares, reverse=True)
    assert "broken.png: cannot be read as a picture" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"classes\.csv"):
        prediction.predict(str(outcome.folder), [pictures], options)


def test_options_and_functions_for_masks_are_refused(outcome, pictures, tmp_path):
    options = prediction.Options(root=tmp_path, output=tmp_path / "out", masks=pictures, quiet=True)
    with pytest.raises(InputError, match="--masks: is for models that give every pixel a class"):
        prediction.predict(str(outcome.folder), [pictures], options)
    with pytest.raises(InputError, match="holds a model with one class a picture"):
        Predictor(outcome.folder)


def test_a_segmentation_is_no_classifier(trained, tmp_path):
    root, keys = trained
    folder = tmp_path / "model"
    shutil.copytree(root / "tiny" / "trials" / keys[0], folder)
    with pytest.raises(InputError):
        Classifier(folder)


def test_an_export_gives_scores_of_pictures_and_says_so(root, outcome, tmp_path):
    exported = export(
        root, "classified", format="torch", output=tmp_path / "model.pt2", trial=outcome.card.key, force=False
    )
    assert exported.agreement.holds
    assert exported.facts["task"] == "classification"
    assert exported.facts["output"]["shape"] == [None, None]
    assert exported.facts["classes"] == list("0123456789")
    assert "halo" not in exported.facts
