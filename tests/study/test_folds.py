"""Trials of data in folds: what a study file can ask of them, and what they are called."""

from typing import Any

import pytest

from autorf.errors import InputError
from autorf.study.spec import StudySpec, counted, parse_study
from autorf.study.trial import Trial, grid, in_folds, key_of, spec_of, trial_from

FASSEG = {"name": "fasseg", "root": "faces", "folds": 5}
STUDY: dict[str, Any] = {
    "name": "faces",
    "data": FASSEG,
    "model": {"name": "largefov:test_byobnet"},
    "search_space": [{"method": "dilation", "rate": [1, 2]}],
    "training": {"epochs": 4, "batch_size": 4, "seeds": [0, 1]},
}


def study(**parts: Any) -> StudySpec:
    return parse_study({**STUDY, **parts}, "faces.yaml")


def test_a_grid_has_every_fold_of_a_configuration_and_seed_one_after_the_other() -> None:
    trials = grid(study(), "faces.yaml")
    assert len(trials) == 2 * 2 * 5
    assert [(t.seed, t.configuration["rate"], t.fold) for t in trials[:6]] == [
        (0, 1, 0), (0, 1, 1), (0, 1, 2), (0, 1, 3), (0, 1, 4), (0, 2, 0)
    ]  # fmt: skip
    assert len({trial.key for trial in trials}) == 20
    assert trials[1].configuration == {"method": "dilation", "rate": 1, "data.fold": 1}
    assert (trials[1].setting, trials[1].label) == ("rate 1", "dilation (rate 1) seed 0 fold 1")
    assert trials[1].without_fold == trials[4].without_fold == Trial(trials[0].method, 0)


def test_keys_of_trials_without_folds_are_what_they_were() -> None:
    assert key_of({"method": "dilation", "rate": 3}, 0) == "1f16424bb58f"
    assert key_of({"method": "dilation", "rate": 2, "training.lr": 0.001}, 7) == "27cc344414ac"
    plain = study(data={"name": "fasseg", "root": "faces"})
    (first, *_) = grid(plain, "faces.yaml")
    assert first.key == key_of({"method": "dilation", "rate": 1}, 0)
    assert in_folds(first, None) == [first]


def test_a_trial_has_its_fold_and_comes_back_from_its_configuration() -> None:
    spec = study()
    for trial in grid(spec, "faces.yaml")[:5]:
        again = trial_from(trial.configuration, trial.seed)
        assert (again, again.key) == (trial, trial.key)
        assert getattr(spec_of(spec, trial).data, "fold") == trial.fold  # noqa: B009 (of some data sets only)


@pytest.mark.parametrize("n_images", [15, 16, 17, 18, 19])
def test_all_folds_are_trained_for_equally_many_steps_however_their_sizes_differ(n_images: int) -> None:
    spec = counted(study(), n_images - round(n_images / 5), "faces.yaml")
    lengths = {spec_of(spec, trial).training.steps for trial in grid(spec, "faces.yaml")}
    assert len(lengths) == 1
    assert None not in lengths
    whole = spec_of(counted(study(), n_images, "faces.yaml"), grid(spec, "faces.yaml")[0].without_fold)
    assert (whole.training.steps, whole.training.epochs) == (None, 4)


REFUSED = [
    (
        {"search": {"pruning": {}}},
        "search.pruning: it ranks trials before their end, and trials of different folds have other images; leave "
        "search.pruning or data.folds out",
    ),
    (
        {"search": {"stop": {"no_improvement": 4}}},
        "search.stop: it follows the scores of single trials, and trials of different folds have other images; leave "
        "search.stop or data.folds out",
    ),
    (
        {"search": {"sampler": "tpe", "budget": {"trials": 40}}},
        "search.sampler: tpe follows the scores of single trials; folds are for grid; leave search.sampler or "
        "data.folds out",
    ),
    (
        {"search": {"sampler": "sufficient"}},
        "search.sampler: sufficient follows the scores of single trials; folds are for grid; leave search.sampler or "
        "data.folds out",
    ),
    (
        {"training": {"stop": {"patience": 2}}},
        "training.stop: it would choose each model's length by the very images that score it; leave training.stop or "
        "data.folds out",
    ),
    (
        {"evaluation": {"flip": True}},
        "evaluation: scores over several image sizes are not pooled over folds; leave evaluation or data.folds out",
    ),
    (
        {"search": {"budget": {"trials": 9}}},
        "search.budget.trials: 9 trials are less than one configuration under 2 seeds in 5 folds; give at least 10",
    ),
    (
        {"data": {**FASSEG, "fold": 2}},
        "data.fold: every trial is one fold by itself, and a study has them all; leave data.fold out",
    ),
    (
        {"data": {"name": "digits", "folds": 5}},
        "data.folds: digits has a validation split; folds are for data without one (folder, fasseg, "
        "image_folder); leave data.folds out",
    ),
    (
        {"data": {"name": "camvid", "root": "camvid", "folds": 5}},
        "data.folds: camvid has a validation split; folds are for data without one (folder, fasseg, "
        "image_folder); leave data.folds out",
    ),
    (
        {"search_space": [{"method": "dilation", "rate": [1, 2], "data.fold": [0, 1]}]},
        "search_space.0: data.fold: cannot be searched: every configuration is trained on every fold; set data.folds "
        "for the study",
    ),
]


@pytest.mark.parametrize(("parts", "line"), REFUSED, ids=[line.split(":")[0] for _, line in REFUSED])
def test_what_folds_contradict_is_refused_in_a_line_before_anything_is_read(parts: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as error:
        grid(study(**parts), "faces.yaml")
    assert str(error.value) == f"faces.yaml: {line}"
    assert len(str(error.value)) <= 290


def test_a_distillation_is_refused() -> None:
    distill = {
        "teacher": {"model": {"name": "largefov:test_byobnet", "weights": "teacher.safetensors"}},
        "supervised": {"epochs": 1},
    }
    with pytest.raises(InputError, match="distill: a student needs one split that validates, and folds have none"):
        study(distill=distill)
