"""What a study's task means, and what is said where a study asks for what its task does not have."""

import copy
from typing import Any

import pytest

from autorf.errors import InputError
from autorf.study.settings import with_settings
from autorf.study.spec import StudySpec, parse_study
from tests.study.classified import CLASSIFIED
from tests.tiny import TINY


def parsed(path: str, value: Any, study: dict[str, Any] = CLASSIFIED) -> StudySpec:
    study = copy.deepcopy(study)
    place = study
    *parents, last = path.split(".")
    for part in parents:
        place = place.setdefault(part, {})
    place[last] = value
    return parse_study(study, "study.yaml")


def test_a_classification_aims_at_accuracy_where_its_file_says_nothing():
    spec = parsed("training.stop", {"patience": 3})
    assert spec.search.objectives == ("accuracy",)
    assert spec.training.stop.metric == "accuracy"
    assert parse_study(TINY, "tiny").search.objectives == ("miou",)
    assert parsed("search.objectives", ["class_accuracy"]).search.objectives == ("class_accuracy",)


def test_what_is_dumped_is_read_back_as_it_was():
    spec = parsed("search", {"sampler": "grid"})
    assert parse_study(spec.model_dump(mode="json"), "dumped") == spec


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("search.objectives", ["miou"], "search.objectives: miou is a metric of task: segmentation, and the study has"),
        ("search.objectives", ["f1_overall"], "f1_overall is a metric of task: segmentation"),
        ("search.constraints", ["f1 >= 0.5"], "search.constraints: f1 is a metric of task: segmentation"),
        ("training.stop", {"patience": 2, "metric": "miou"}, "training.stop.metric: miou is a metric of task"),
        ("training.loss", "dice", "training.loss: dice is of regions"),
        ("training.loss", ["cross_entropy", "contextual"], "training.loss: contextual is of regions"),
        ("training.threshold", 0.5, "training.threshold: one output channel is for pixels"),
        ("training.class_weights", [1, 2], "training.class_weights: 2 weights for 10 classes"),
        ("evaluation", {"scales": [0.5, 1.5]}, "evaluation: several sizes are fused pixel by pixel"),
        ("model.name", "smp:Unet:resnet18", "model.name: smp:Unet:resnet18 scores every pixel; a classification has"),
        ("model.name", "largefov:resnet18", "model.name: largefov:resnet18 scores every pixel"),
        (
            "data",
            {"name": "digits"},
            "data.name: digits has masks, a class for every pixel; task: classification reads",
        ),
        ("task", "segmentation", "data.name: digit_classes has one class a picture, and the study segments; set task"),
        ("task", "detection", "task: .*'segmentation' or 'classification', got 'detection'"),
        ("data.patches", {"size": 8}, "data.patches: unknown key"),
        ("data.landmarks", {"root": "x"}, "data.landmarks: unknown key"),
    ],
)
def test_what_a_classification_does_not_have_is_refused_in_a_line(path, value, said):
    with pytest.raises(InputError, match=said) as error:
        parsed(path, value)
    assert "\n" not in str(error.value)


def test_a_segmentation_has_no_accuracy_of_pictures():
    with pytest.raises(InputError, match="accuracy is a metric of task: classification, and the study has task: segm"):
        parsed("search.objectives", ["accuracy"], TINY)


def test_a_loss_as_an_axis_is_held_against_the_task_too():
    spec = parsed("search", {})
    assert with_settings(spec, {"training.loss": "focal"}, "space").training.loss.name == "focal"
    with pytest.raises(InputError, match=r"training\.loss: dice is of regions"):
        with_settings(spec, {"training.loss": "dice"}, "space")
