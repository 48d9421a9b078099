import json
from collections.abc import Mapping
from typing import Any

import pytest

from autorf.errors import InputError
from autorf.methods import Dilation
from autorf.networks.spec import ModelSpec
from autorf.study import settings
from autorf.study.search_space import read_spaces
from autorf.study.spec import StudySpec, parse_study
from autorf.study.trial import Trial, grid, spec_of, trial_from
from tests.tiny import TINY


class OpenModel(ModelSpec):
    """A model whose spec passes arguments on to the network."""

    args: Mapping[str, Any] = {}


def study(space: dict[str, Any], **parts: Any) -> StudySpec:
    return parse_study({**TINY, "search_space": [{"method": "dilation", "rate": 1, **space}], **parts}, "mine.yaml")


def test_keys_of_model_data_and_nested_training_are_axes() -> None:
    space = {
        "model.channels": [[8, 8], [16, 8]],
        "data.augmentation.flip": [True, False],
        "training.schedule.gamma": [0.1, 0.3],
    }
    spec = study(space, training={"epochs": 2, "batch_size": 16, "schedule": {"kind": "step"}})
    trials = grid(spec, "mine.yaml")
    assert len(trials) == 8
    last = next(trial for trial in trials if len(trial.settings) == 3)
    assert last.configuration == {
        "method": "dilation",
        "rate": 1,
        "data.augmentation.flip": True,
        "model.channels": [16, 8],
        "training.schedule.gamma": 0.3,
    }
    assert trial_from(last.configuration, 0) == last
    own = spec_of(spec, last)
    assert (own.model.channels, own.data.augmentation.flip, own.training.schedule.gamma) == ((16, 8), True, 0.3)
    assert last.setting == "rate 1, data.augmentation.flip True, model.channels [16, 8], schedule.gamma 0.3"


def test_what_equals_the_studys_own_is_no_setting() -> None:
    spec = study({"model.channels": [[8, 8]], "training.batch_size": [16]})
    assert grid(spec, "mine.yaml") == [Trial(Dilation(rate=1), 0)]


def test_a_range_over_a_whole_number_of_the_file_is_drawn_whole() -> None:
    spec = study(
        {"training.batch_size": {"low": 2, "high": 32, "log": True}, "model.path_weight": {"low": 1, "high": 2}}
    )
    axes = read_spaces(spec.search_space, "f", spec)[0].axes
    assert (axes["training.batch_size"].whole, axes["model.path_weight"].whole) == (True, False)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (
            {"training.gamma": [0.1]},
            r"training.gamma: cannot be searched: it is no key .*did you mean .*schedule.gamma",
        ),
        ({"trainig.lr": [0.1]}, r"trainig.lr: cannot be searched: it is no key of the study file; did you mean .*\.lr"),
        ({"model.chanels": [[8, 8]]}, "model.chanels: .*did you mean model.channels"),
        ({"data.n_trian": [8]}, "data.n_trian: .*did you mean data.n_train"),
        ({"data.val_fraction": [0.5]}, "data.val_fraction: cannot be searched: it is no key"),
        ({"data.n_val": [4]}, "data.n_val: cannot be searched: it changes what is validated"),
        ({"data.name": ["camvid"]}, "data.name: cannot be searched: it changes what is validated"),
        ({"data.image_size": [32, 48]}, "data.image_size: .*may be one size or two"),
        ({"training.seeds": [[0], [1]]}, "training.seeds: .*an axis of their own"),
        ({"training.threads": [1, 2]}, "training.threads: .*how fast a trial trains"),
        ({"training.steps": [1, 2]}, "training.steps: .*trained equally"),
        ({"training.schedule": ["cosine"]}, "training.schedule: .*a group of keys; .*training.schedule.kind"),
        ({"model.channels": [[8, 0]]}, "model: channels.1: must be greater than or equal to 1, got 0"),
        ({"model.head_norm": {"low": 0, "high": 1}}, "model.head_norm: takes no numbers, so no range"),
        ({"training.lr": []}, "training.lr: the grid is empty"),
    ],
)
def test_an_axis_that_cannot_be_is_one_line(space: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        grid(study(space), "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: search_space.0: ")
    assert "\n" not in str(caught.value)


def test_any_key_inside_an_open_mapping_is_an_axis() -> None:
    spec = study({})
    spec = spec.model_copy(update={"model": OpenModel(name="smp:Unet:resnet18")})
    assert settings.axis_annotation("model.args.encoder_depth", "f", spec) is Any
    trial = trial_from({"method": "dilation", "rate": 1, "model.args.encoder_depth": 3}, 0, spec)
    assert trial.settings == (("model.args.encoder_depth", 3),)
    assert spec_of(spec, trial).model == OpenModel(name="smp:Unet:resnet18", args={"encoder_depth": 3})
    space = {"method": "dilation", "rate": 1, "model.args.encoder_depth": {"low": 3, "high": 5}}
    assert read_spaces([space], "f", spec)[0].axes["model.args.encoder_depth"].whole
    with pytest.raises(InputError, match=r"model\.args: .*a group of keys; give one of them: model\.args\.NAME"):
        settings.axis_annotation("model.args", "f", spec)


SUM = ["cross_entropy", {"name": "contextual", "weight": 0.01, "hard_aware": False}]


def test_whole_losses_are_an_axis_sums_among_them() -> None:
    spec = study({"training.loss": ["cross_entropy", "dice", {"name": "focal", "gamma": 3}, SUM]})
    trials = grid(spec, "mine.yaml")
    plain, dice, focal, contextual = trials
    assert plain == Trial(Dilation(rate=1), 0)
    assert dice.configuration == {"method": "dilation", "rate": 1, "training.loss": "dice"}
    assert focal.configuration["training.loss"] == {"name": "focal", "gamma": 3.0}
    assert contextual.configuration["training.loss"] == SUM
    for trial in trials:
        stored = json.loads(json.dumps(trial.configuration))
        assert trial_from(stored, 0) == trial_from(stored, 0, spec) == trial
        assert trial_from(stored, 0).key == trial.key
        assert hash(trial) == hash(trial_from(stored, 0))
    assert spec_of(spec, contextual).training.loss.listed[1].hard_aware is False
    words = "rate 1, loss cross_entropy + contextual (hard_aware False, weight 0.01)"
    assert (focal.setting, contextual.setting) == ("rate 1, loss focal (gamma 3)", words)


def test_a_loss_has_one_form_however_it_is_written() -> None:
    """A key written with its default, or in another order, is no other trial."""
    for loss in (
        ["cross_entropy", {"name": "contextual", "hard_aware": False, "weight": 0.01}],
        [{"name": "cross_entropy", "weight": 1}, {"name": "contextual", "weight": 0.01, "hard_aware": False}],
    ):
        spec = study({"training.loss": [loss]})
        (trial,) = grid(spec, "mine.yaml")
        assert read_spaces(spec.search_space, "f", spec)[0].axes["training.loss"].choices == (SUM,)
        assert trial.configuration["training.loss"] == SUM
    assert grid(study({"training.loss": {"name": "dice"}}), "mine.yaml")[0].setting == "rate 1, loss dice"
    with pytest.raises(InputError, match="occurs twice"):
        grid(study({"training.loss": [SUM, [{"name": "cross_entropy"}, SUM[1]]]}), "mine.yaml")


def test_the_studys_own_sum_is_no_setting() -> None:
    spec = study({"training.loss": ["cross_entropy", SUM]}, training={"loss": SUM})
    assert [trial.configuration.get("training.loss") for trial in grid(spec, "mine.yaml")] == ["cross_entropy", None]


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([{"name": "dise"}], "unknown loss 'dise'; did you mean dice"),
        ([["dice", {"name": "contextual", "margin": -1}]], "margin: must be greater than or equal to 0, got -1"),
        ([3], "search_space.0: training: loss"),
    ],
)
def test_a_loss_of_an_axis_that_is_none_is_one_line(losses: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        grid(study({"training.loss": losses}), "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: search_space.0: ")
    assert "\n" not in str(caught.value)
