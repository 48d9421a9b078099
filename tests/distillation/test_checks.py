"""What cannot be distilled is refused in a line that says why, before anything is trained."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from torch import nn

from autorf.data import load
from autorf.data.normalisation import IMAGENET
from autorf.distillation.checks import Kept, check
from autorf.distillation.images import stage_images
from autorf.errors import InputError
from autorf.study.spec import StudySpec, parse_study
from tests.distillation.small import MODEL, STUDY, study

TEACHER: dict[str, Any] = STUDY["distill"]["teacher"]


def checked(spec: StudySpec) -> Kept:
    assert spec.distill is not None
    return check(spec, spec.distill, stage_images(load(spec.data), spec.data, spec.distill.unlabelled))


def other_classes(n_classes: int) -> nn.Module:
    """A network of the user's own that scores a class more than it is asked to."""
    return nn.Conv2d(3, n_classes + 1, 1)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"temperature": 0}, "distill.temperature: .*0"),
        ({"top_k": 577}, "distill.top_k: 577 pixels are to be left out of an image of 24 x 24 = 576; give 0 to 576"),
        ({"unlabelled": {}}, "no unlabelled pictures: give one of folder, split and labelled, not none"),
        ({"unlabelled": None}, "unlabelled is missing: the stage unsupervised and its unlabelled pictures belong"),
        ({"unsupervised": None}, "unsupervised is missing"),
        ({"unlabelled": {"labelled": 20}}, "20 of 20 training images are to keep their labels; give 1 to 19"),
        ({"unlabelled": {"folder": "nowhere"}}, "distill.unlabelled.folder: nowhere: is no folder"),
        ({"class_weights": [1, 2]}, "distill.class_weights: 2 weights for 11 classes"),
        ({"teacher": {"model": MODEL}}, "a teacher needs epochs to be trained for, or model.weights"),
        (
            {"teacher": {**TEACHER, "classes": ["a", "b"]}},
            r"the teacher knows 2 classes \(a, b\) and the",
        ),
        ({"teacher": {**TEACHER, "mean": [0, 0, 0]}}, r"distill.teacher.mean: the teacher's images were normalised by"),
        (
            {"teacher": {**TEACHER, "std": [1, 1]}},
            r"distill.teacher.std: .* \[1, 1\] and the data set's are by",
        ),
    ],
)
def test_bad_input_is_refused_in_a_line(change: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line) as refused:
        checked(study(**change))
    assert "\n" not in str(refused.value)


def test_a_teacher_that_scores_other_classes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from autorf.distillation import checks

    real = checks.seeded_network

    def network(spec: StudySpec, seed: int, names: tuple[str, ...]) -> nn.Module:
        is_teacher = spec.model.channels == (12, 12)
        return other_classes(len(names)) if is_teacher else real(spec, seed, names)

    monkeypatch.setattr(checks, "seeded_network", network)
    with pytest.raises(InputError, match=r"distill.teacher.model: scores 12 classes and the student 11"):
        checked(study())


@pytest.mark.parametrize(
    ("training", "line"),
    [
        ({"stop": {"patience": 2}}, "training.stop: students are compared that were trained for equally many steps"),
    ],
)
def test_a_training_that_would_not_be_equal_is_refused(training: dict[str, Any], line: str) -> None:
    spec = parse_study({**STUDY, "training": {**STUDY["training"], **training}}, "small.yaml")
    with pytest.raises(InputError, match=line):
        checked(spec)


def test_the_card_beside_a_teacher_s_weights_is_heeded(tmp_path: Path) -> None:
    figures = {"normalisation": {"mean": [0.5, 0.5, 0.5], "std": list(IMAGENET.std)}}
    (tmp_path / "metrics.json").write_text(json.dumps(figures))
    teacher = {"model": {**MODEL, "weights": str(tmp_path / "model.safetensors")}}
    with pytest.raises(InputError, match=r"distill.teacher.mean: .* by \[0.5, 0.5, 0.5\] and the data set's are by"):
        checked(study(teacher=teacher))


def test_an_empty_folder_has_no_unlabelled_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no picture"):
        checked(study(unlabelled={"folder": str(tmp_path)}))


def test_scores_are_kept_within_the_budget_and_what_is_not_is_said_in_a_line(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    of_image = 11 * 24 * 24 * 4 / 1e9
    folder = {"folder": str(tmp_path)}
    assert checked(study(unlabelled=folder, cache_gb=21 * of_image)) == Kept(True, True)
    first = checked(study(unlabelled=folder, cache_gb=20.5 * of_image))
    assert (first.supervised, first.unsupervised) == (True, False)
    assert first.notes == (
        "unsupervised: the teacher's scores are computed anew in every step: 2.53e-05 GB for 1 images are more than "
        "distill.cache_gb leaves",
    )
    augmented = parse_study({**STUDY, "data": {**STUDY["data"], "augmentation": {"flip": True}}}, "small.yaml")
    assert not checked(augmented).supervised
    assert "data.augmentation changes the images at random" in checked(augmented).notes[0]
