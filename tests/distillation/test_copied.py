"""Layers that a student begins with as its teacher has them, of a teacher trained in the same run too."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from autorf.data import load
from autorf.distillation.checks import check
from autorf.distillation.copied import copy_modules
from autorf.distillation.distill import _begin, _request, needs
from autorf.distillation.images import stage_images
from autorf.distillation.run_stage import _module, run_stage
from autorf.errors import InputError
from autorf.networks import ModelSpec, build
from autorf.running.runner import trained_model
from autorf.study.spec import StudySpec, parse_study
from tests.distillation.small import ignored, jobs_of, study


def test_conv1_of_the_student_is_that_of_a_vgg_16_teacher() -> None:
    torch.manual_seed(0)
    teacher = build(ModelSpec(name="largefov:vgg16", output_stride=8, channels=(8, 8)), 3)
    torch.manual_seed(1)
    student = build(ModelSpec(name="paper:student"), 3)
    before = {key: value.clone() for key, value in student.state_dict().items()}
    copy_modules(student, teacher, {"features": "backbone.features"})
    for key, value in student.state_dict().items():
        source = teacher.state_dict()[f"backbone.{key}"] if key.startswith("features.") else before[key]
        assert torch.equal(value, source), key
    assert not torch.equal(before["features.2.weight"], student.state_dict()["features.2.weight"])


@pytest.mark.parametrize("stage", ["alone-0", "supervised-0"])
def test_a_teacher_trained_in_the_same_run_gives_them_as_it_ended(tmp_path: Path, stage: str) -> None:
    spec = study(copied={"backbone": "backbone"})
    jobs = jobs_of(spec, tmp_path)
    assert needs(jobs)[stage] == ["teacher"], "it waits for the teacher"
    run_stage(jobs["teacher"], ignored)
    splits = stage_images(load(spec.data), spec.data, jobs[stage].distill.unlabelled).splits
    teacher = trained_model(jobs["teacher"].spec, splits.class_names, tmp_path / "teacher").state_dict()
    begun = _module(jobs[stage], splits).model.state_dict()
    fresh = _module(jobs_of(study(), tmp_path)["alone-0"], splits).model.state_dict()
    inside = [key for key in begun if key.startswith("backbone.")]
    assert inside
    assert all(torch.equal(begun[key], teacher[key]) for key in inside)
    assert any(not torch.equal(fresh[key], teacher[key]) for key in inside)
    assert all(torch.equal(begun[key], fresh[key]) for key in begun if key not in inside)


def test_the_stage_without_labels_goes_on_from_what_the_student_learned(tmp_path: Path) -> None:
    assert jobs_of(study(copied={"backbone": "backbone"}), tmp_path)["unsupervised-0"].copied_from is None


@pytest.mark.parametrize(
    ("copied", "said"),
    [
        ({"backbon": "backbone"}, "distill.copied: the student has no module 'backbon'; did you mean backbone"),
        ({"backbone": "bakbone"}, "distill.copied: the teacher has no module 'bakbone'; did you mean backbone"),
        ({"": "backbone"}, "distill.copied: the student has no module ''"),
        ({"head.relu6": "head.relu6.1"}, "distill.copied: the student has head.relu6.0.weight and the teacher no"),
        ({"head.relu7.1": "head.relu7.1"}, "distill.copied.head.relu7.1: the student's module has no weights"),
        (
            {"head.conv7": "head.conv7"},
            "distill.copied: head.conv7.weight is 4 x 4 x 1 x 1 and the teacher's 12 x 12 x",
        ),
    ],
)
def test_what_cannot_be_copied_is_refused_before_anything_is_trained(copied: dict[str, str], said: str) -> None:
    spec = study(copied=copied)
    assert spec.distill is not None
    images = stage_images(load(spec.data), spec.data, spec.distill.unlabelled)
    with pytest.raises(InputError) as error:
        check(spec, spec.distill, images)
    assert said in str(error.value)
    assert len(str(error.value)) <= 290


def test_a_student_stays_as_it_was_after_an_error() -> None:
    student, teacher = (nn.Sequential(nn.Conv2d(3, 2, 1), nn.Conv2d(2, width, 1)) for width in (3, 4))
    before = {key: value.clone() for key, value in student.state_dict().items()}
    with pytest.raises(InputError):
        copy_modules(student, teacher, {"0": "0", "1": "1"})
    assert all(torch.equal(value, before[key]) for key, value in student.state_dict().items())


def _without(values: Any, names: tuple[str, ...]) -> Any:
    if isinstance(values, dict):
        return {key: _without(value, names) for key, value in values.items() if key not in names}
    return values


@pytest.mark.parametrize(
    "data",
    [
        {"name": "folder", "classes": 2, "image_size": 8},
        {"name": "camvid"},
        {"name": "fasseg"},
        {"name": "helen"},
        {"name": "voc"},
        {"name": "digits"},
    ],
    ids=lambda data: data["name"],
)
def test_a_distillation_goes_on_whatever_its_data(tmp_path: Path, data: dict[str, Any]) -> None:
    root = {} if data["name"] == "digits" else {"root": "data"}
    spec = parse_study({**study().model_dump(mode="json", exclude_unset=True), "data": {**data, **root}}, "study")
    assert spec.distill is not None
    request = json.loads(json.dumps(_request(spec, spec.distill)))
    (tmp_path / "request.json").write_text(json.dumps(request))
    _begin(tmp_path, request, spec, force=False)


def test_a_distillation_that_is_older_than_a_key_goes_on(tmp_path: Path) -> None:
    spec = study()
    assert spec.distill is not None
    request = json.loads(json.dumps(_request(spec, spec.distill)))
    old = _without(request, ("copied", "landmarks", "added_channels", "compile"))
    assert old != request
    (tmp_path / "request.json").write_text(json.dumps(old))
    _begin(tmp_path, request, spec, force=False)
    changed: StudySpec = study(copied={"backbone": "backbone"})
    assert changed.distill is not None
    with pytest.raises(InputError, match="distill changed since"):
        _begin(tmp_path, json.loads(json.dumps(_request(changed, changed.distill))), changed, force=False)
