"""Searches that the user owns: Optuna's objective, Ray Tune's space; and an own loop that is autorf's own training."""

from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from torch.nn.functional import cross_entropy

import autorf
from autorf.data import Splits
from autorf.errors import InputError
from autorf.metrics import confusion
from autorf.running import runner
from autorf.running.loop_trial import LoopTrial
from autorf.running.own_loop import run_own_loop
from autorf.specification import parse
from autorf.study.job import Job
from autorf.study.own_loop import OwnLoopSpec
from autorf.study.spec import counted, parse_study
from autorf.training.batches import loader
from autorf.training.results import EpochReport
from tests.driver.own_training import network
from tests.tiny import TINY

SPACE: list[dict[str, Any]] = [
    {"method": "dilation", "targets": "2", "rate": {"low": 1, "high": 4}, "model.args.bonus": [0.1, 0.2]},
    {"method": "dilation", "targets": ["0", "2"], "rate": [1, 2]},
    {"method": "learned_dilation", "targets": "2", "rates": [[1, 2, 3], [1, 2]]},
]


def optimized(train: Any, space: Any = SPACE, n_trials: int = 12, **settings: Any) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = settings.pop("pruner", optuna.pruners.NopPruner())
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0), pruner=pruner)
    study.optimize(autorf.Objective(train, space, "miou", **settings), n_trials=n_trials)
    return study


def test_optuna_draws_every_entry_and_its_axes() -> None:
    seen: list[LoopTrial] = []

    def train(trial: LoopTrial) -> None:
        seen.append(trial)
        trial.adapt(network())
        trial.report(3, miou=0.5 + trial.args.get("bonus", 0.0))

    study = optimized(train, image_size=16)
    assert {trial.params["method"] for trial in study.trials} == {"dilation#1", "dilation#2", "learned_dilation"}
    assert study.best_value == 0.7
    assert study.best_params["dilation#1.model.args.bonus"] == 0.2
    for trial, loop_trial in zip(study.trials, seen, strict=True):
        assert trial.user_attrs["autorf.configuration"]["method"] == loop_trial.method.method
        assert len(trial.user_attrs["autorf.rf"]) == 2
        assert loop_trial.length is None
        with pytest.raises(InputError, match="give Objective its steps"):
            _ = loop_trial.steps
    assert {"dilation"} <= {name.removeprefix("autorf.") for trial in study.trials for name in trial.user_attrs}


def test_optunas_pruner_stops_a_training() -> None:
    told: list[bool] = []

    def train(trial: LoopTrial) -> None:
        trial.adapt(network())
        for step in (5, 10):
            told.append(trial.report(step, miou=0.1))
            if not told[-1]:
                return

    study = optimized(train, SPACE[0], 2, steps=10, pruner=optuna.pruners.ThresholdPruner(lower=0.5))
    assert told == [False, False]
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "PRUNED"]
    assert study.trials[0].intermediate_values == {5: 0.1}


@pytest.mark.parametrize(
    ("train", "steps", "problem"),
    [
        (lambda trial: trial.adapt(network()), None, r"train returned without a report; call trial.report"),
        (lambda trial: trial.report(1, miou=0.5), None, "the trial's method is in no model"),
        (
            lambda trial: trial.adapt(network()) and trial.report(1, miou=0.5),
            5,
            r"train returned too early: its last report is of step 1, the trial has 5 \(trial.steps\)",
        ),
    ],
)
def test_an_objective_that_does_wrong_is_one_line(train: Any, steps: int | None, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        optimized(train, SPACE[0], 1, steps=steps)


@pytest.mark.parametrize(
    ("space", "problem"),
    [({"rate": 1}, "method: "), ({"method": "dilation", "rate": [0]}, "rate"), (3, "space must be a search space")],
)
def test_spaces_that_are_none_are_refused(space: Any, problem: str) -> None:
    for function in (autorf.tune_space, lambda space: autorf.Objective(print, space)):
        with pytest.raises(InputError, match=problem):
            function(space)


def test_optuna_has_to_maximise() -> None:
    study = optuna.create_study(direction="minimize")
    with pytest.raises(InputError, match=r"create_study\(direction='maximize'\)"):
        study.optimize(autorf.Objective(lambda trial: None, SPACE[0]), n_trials=1)


def test_what_ray_tune_draws_is_read_as_a_method() -> None:
    from ray.tune.search.variant_generator import generate_variants

    space = autorf.tune_space(SPACE)
    assert set(space) >= {"method", "dilation#1.rate", "dilation#1.model.args.bonus", "learned_dilation.rates"}
    methods = set()
    for _ in range(40):
        ((_, config),) = generate_variants(space)
        method = autorf.tuned_method({**config, "lr": 0.1})
        methods.add(type(method).__name__)
        if config["method"] == "dilation#1":
            assert method == autorf.Dilation(targets="2", rate=config["dilation#1.rate"])
            assert 1 <= config["dilation#1.rate"] <= 4
    assert methods == {"Dilation", "LearnedDilation"}


@pytest.mark.parametrize("config", [{}, {"method": 3}, None])
def test_a_config_that_tune_did_not_draw_is_refused(config: Any) -> None:
    with pytest.raises(InputError, match=r"the config of a trial drawn from autorf\.tune_space"):
        autorf.tuned_method(config)


def test_a_loop_that_does_what_autorf_does_gives_the_same_curve(tmp_path: Path) -> None:
    configuration = {"method": "learned_dilation", "start": 4, "rates": [1, 2, 4], "search": 0.7}
    plain = {"warmup": 0, "schedule": {"kind": "constant"}, "lr": 3e-3, "epochs": 3, "batch_size": 16}
    spec = counted(parse_study({**TINY, "training": plain}, "tiny"), TINY["data"]["n_train"], "tiny")
    curve: list[EpochReport] = []
    result = runner.run(Job(1, "ours", configuration, 0, spec, tmp_path / "ours"), curve.append)

    splits: Splits = runner.splits_of(spec)
    batches = loader(splits.train.with_augmentation(spec.data.augmentation, 0), 16, 0, shuffle=True)
    held_out = loader(splits.val, 16, 0, shuffle=False)

    def train(trial: LoopTrial) -> None:
        torch.manual_seed(trial.seed)
        model = trial.adapt(autorf.build(spec.model, splits.class_names))
        optimizer = torch.optim.AdamW(autorf.parameter_groups(model, lr=3e-3))
        step = 0
        for epoch in range(3):
            batches.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            iterator = iter(batches)
            torch.manual_seed(trial.seed * 100_003 + epoch)
            model.train()
            for batch in iterator:
                images, masks = splits.train.numbers(*batch)
                autorf.advance(model, step, trial.steps or 0)
                loss = cross_entropy(model(images), masks)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                step += 1
            autorf.advance(model, step, trial.steps or 0)
            model.eval()
            with torch.no_grad():
                pairs = [(mask, model(image[None]).argmax(1)[0]) for batch in held_out
                         for image, mask in zip(*splits.val.numbers(*batch), strict=True)]  # fmt: skip
            trial.report(step, confusions=torch.stack([confusion(p, t, splits.n_classes) for t, p in pairs]))

    values = {
        "name": "own",
        "data": {"image_size": 48, "classes": list(splits.class_names)},
        "loop": "train",
        "search_space": [configuration],
        "training": {"steps": 9, "validate_every": 1},
    }
    own: list[EpochReport] = []
    job = Job(1, "own", configuration, 0, parse(OwnLoopSpec, values, "test"), tmp_path / "own")
    ended = run_own_loop(job, own.append, train=train)
    assert [report.steps for report in own] == [report.steps for report in curve] == [3, 6, 9]
    for mine, theirs in zip(own, curve, strict=True):
        assert mine.metrics == pytest.approx(theirs.metrics, abs=1e-6)
        assert mine.learned == pytest.approx(theirs.learned, abs=1e-6)
        assert mine.field == theirs.field
    assert ended.iou_per_class == pytest.approx(result.iou_per_class, abs=1e-6)
    assert curve[0].metrics != curve[-1].metrics
