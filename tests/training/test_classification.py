"""What trains on whole pictures: the loss, the weights of classes, and what a network must give."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from autorf.data import DigitClassesData, load
from autorf.driver.plan import plan
from autorf.errors import InputError
from autorf.running.first_step import check_scores
from autorf.study.spec import parse_study
from autorf.tasks import CLASSIFICATION
from autorf.training.class_weights import pixel_counts
from autorf.training.classification import ClassificationModule
from autorf.training.module_choice import module_for
from autorf.training.spec import TrainingSpec
from tests.study.classified import CLASSIFIED
from tests.tiny import TINY


@pytest.fixture(scope="module")
def splits():
    return load(DigitClassesData(**CLASSIFIED["data"]))


def linear() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 10))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_torchs_cross_entropy_of_pictures(splits, smoothing):
    loss = {"name": "cross_entropy", "label_smoothing": smoothing}
    module = module_for(linear(), TrainingSpec.model_validate({"loss": loss}), splits)
    assert isinstance(module, ClassificationModule)
    image, mask = splits.train.tensors(range(8))
    expected = functional.cross_entropy(module.model(image), mask.flatten(), label_smoothing=smoothing)
    assert module.training_step((image, mask), 0).item() == pytest.approx(expected.item())


def test_a_validation_counts_every_picture(splits):
    module = module_for(linear().eval(), TrainingSpec(), splits)
    image, mask = splits.val.tensors(range(12))
    module.on_validation_epoch_start()
    predicted = torch.cat([module.validation_step((image[part], mask[part]), 0) for part in (slice(5), slice(5, 12))])
    module.on_validation_epoch_end()
    best = module.model(image).argmax(1)
    assert torch.equal(predicted.flatten(), best)
    assert module.validation_scores.accuracy == pytest.approx((best == mask.flatten()).double().mean().item())


def test_balanced_weights_count_pictures_without_reading_them(splits, monkeypatch):
    expected = torch.bincount(splits.train.source.masks.flatten().long(), minlength=10)
    monkeypatch.setattr(type(splits.train), "tensors", lambda *_: pytest.fail("a picture was read"))
    assert torch.equal(pixel_counts(splits), expected)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((1, 10, 8, 8), r"gives \(1, 10, 8, 8\), scores of every pixel; with task: classification a model gives"),
        ((1, 7), r"gives scores \(1, 7\) and the data has 10 classes"),
        ((10,), r"gives scores \(10,\) and the data has 10 classes"),
    ],
)
def test_scores_of_anything_but_the_pictures_classes_are_refused(shape, said):
    check_scores(torch.zeros(1, 10), "python:net:build", 10, CLASSIFICATION)
    with pytest.raises(InputError, match=said):
        check_scores(torch.zeros(shape), "python:net:build", 10, CLASSIFICATION)


def test_a_classifier_in_a_segmentation_study_is_still_refused(tmp_path):
    for name, said in (
        ("timm:test_resnet", "timm's models classify"),
        ("torchvision:mobilenet_v2", "give a model that"),
    ):
        study = {**TINY, "model": {"name": name}, "search_space": [{"method": "dilation", "rate": 1}]}
        with pytest.raises(InputError, match=said):
            plan(parse_study(study, "tiny"), "tiny", tmp_path)


def test_a_segmentation_network_in_a_classification_is_refused(tmp_path):
    study = {**CLASSIFIED, "model": {"name": "torchvision:lraspp_mobilenet_v3_large"}}
    with pytest.raises(InputError, match="scores of every pixel; with task: classification"):
        plan(parse_study(study, "classified"), "classified", tmp_path)
