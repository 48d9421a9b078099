"""A training that no longer improves ends early: when, what is told of it, and that it is never called equal."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autorf.comparison.equal import trained_alike
from autorf.comparison.groups import Group, steps_in_words
from autorf.errors import InputError
from autorf.executors.local import _Link, _outcome
from autorf.methods import Dilation, Inflation, LearnedDilation
from autorf.running.runner import run
from autorf.study.job import Job
from autorf.study.spec import counted, parse_study
from autorf.study.trial import Trial, grid, spec_of
from autorf.training.early_stop import EarlyStop
from autorf.training.results import EpochReport, TrialResult
from autorf.training.spec import TrainingSpec
from tests.tiny import TINY

NEVER_BETTER = {"patience": 1, "min_delta": 10}


def due(values: list[float], share: float = 0.0, epochs: int = 20, **rule: Any) -> list[int]:
    """After how many validations, of ten steps each, the rule ends the training."""
    training = TrainingSpec.model_validate({"epochs": epochs, "stop": {"patience": 2, **rule}})
    stop = EarlyStop(training, share, 10 * epochs)
    history = [EpochReport(epoch=i, metrics={"miou": v}, steps=10 * (i + 1)) for i, v in enumerate(values)]
    return [count for count in range(1, len(history) + 1) if stop.due(history[:count])]


def test_it_ends_after_so_many_validations_without_a_better_one() -> None:
    assert due([0.1, 0.2, 0.2, 0.19, 0.3]) == [4]
    assert due([0.1, 0.2, 0.15, 0.25, 0.2, 0.24])[:1] == [6]
    assert due([0.1, 0.15, 0.2, 0.25], min_delta=0.06) == []
    assert due([0.1, 0.15, 0.19, 0.2], min_delta=0.2)[:1] == [3]


def test_validations_of_a_search_do_not_count() -> None:
    falling = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    assert due(falling)[:1] == [3]
    # A share of 0.2 of 200 steps ends at the fourth validation: the fifth is the first that counts.
    assert due(falling, share=0.2)[:1] == [7]


def test_the_last_validation_is_no_early_end() -> None:
    assert due([0.3, 0.2, 0.1], epochs=3) == []


def test_a_method_is_unsettled_while_it_searches_or_holds() -> None:
    assert Dilation(rate=2).unsettled_share == 0
    assert LearnedDilation(search=0.6).unsettled_share == 0.6
    assert Inflation(hold=0.3).unsettled_share == 0.3
    assert Inflation(search=0.4).unsettled_share == 0.4


def study(**training: Any) -> Any:
    values = {**TINY, "training": {"epochs": 4, "batch_size": 16, **training}}
    return counted(parse_study(values, "mine.yaml"), 48, "mine.yaml")


def job(spec: Any, trial: Trial, folder: Path) -> Job:
    return Job(0, trial.key, trial.configuration, trial.seed, spec, folder)


def test_a_trial_that_was_stopped_is_complete_and_says_so(tmp_path: Path) -> None:
    spec = study(stop=NEVER_BETTER)
    trial = grid(spec, "mine.yaml")[0]
    reports: list[EpochReport] = []
    result = run(job(spec, trial, tmp_path), reports.append)
    assert (result.epochs, result.steps, result.stopped_early) == (2, 6, True)
    assert TrialResult.from_json(result.to_json()).stopped_early
    assert (tmp_path / "evidence.safetensors").exists() or list(tmp_path.glob("*.safetensors"))
    # Resumed behind its last checkpoint it trains no further and says the same.
    again = run(replace(job(spec, trial, tmp_path), reached=2), reports.append)
    assert (again.epochs, again.steps, again.stopped_early) == (2, 6, True)
    assert again.metrics == result.metrics

    class Pipe:
        def send(self, _: Any) -> None: ...
        def poll(self) -> bool:
            return False

    one = job(spec, trial, tmp_path)
    event = _outcome(one, _Link(Pipe(), one), lambda *_: result)  # type: ignore[arg-type]
    assert event.kind == "done"


def test_a_learned_method_is_trained_to_the_end_of_its_search(tmp_path: Path) -> None:
    spec = study(stop=NEVER_BETTER, epochs=8)
    learned = next(trial for trial in grid(spec, "mine.yaml") if isinstance(trial.method, LearnedDilation))
    result = run(job(spec, learned, tmp_path), lambda _: None)
    own = spec_of(spec, learned).training
    total = own.steps or own.epochs * 3
    assert result.stopped_early
    assert result.steps is not None
    assert learned.method.search_share * total < result.steps < total


def test_a_control_is_trained_for_its_own_length() -> None:
    spec = study(stop=NEVER_BETTER)
    trial = Trial(Dilation(rate=1), 0, (("training.steps", 30),))
    training = spec_of(spec, trial).training
    assert (training.steps, training.stop) == (30, None)
    assert spec_of(spec, Trial(Dilation(rate=1), 0)).training.stop is not None


def group(**fields: Any) -> Group:
    plain = Group("dilation", {}, 2, 0.5, None, None, [9, 9], 0.1, 1.0, steps=80, fewest_steps=80, most_steps=80)
    return replace(plain, **fields)


def test_what_was_stopped_is_never_said_to_be_trained_equally() -> None:
    assert trained_alike(group(), group())
    assert not trained_alike(group(), group(stopped=1))
    assert not trained_alike(group(stopped=2), group(stopped=2))


def test_the_table_says_how_many_steps_were_trained() -> None:
    assert group().steps_in_words == "80"
    assert group(fewest_steps=60, stopped=1).steps_in_words == "60 to 80 (1 stopped)"
    assert steps_in_words(None, None, 0) == ""


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"search": {"pruning": {}}}, "search.pruning ends trainings too"),
        ({"search": {"sampler": "sufficient"}}, "sampler sufficient compares fields that are trained equally"),
        ({"training": {"stop": {"patience": 0}}}, "training.stop.patience: must be greater than or equal to 1"),
        (
            {"training": {"stop": {"patience": 2, "metric": "loss"}}},
            "stop.metric: must be 'miou', 'f1', 'pixel_accuracy'",
        ),
    ],
)
def test_what_cannot_be_stopped_is_refused(parts: dict[str, Any], words: str) -> None:
    values = {**TINY, "training": {"epochs": 4, "stop": {"patience": 1, "metric": "mIoU"}}, **parts}
    with pytest.raises(InputError, match=r"^mine\.yaml: training\.stop") as refused:
        parse_study(values, "mine.yaml")
    assert words in str(refused.value)


def test_the_length_is_no_axis() -> None:
    space = [{"method": "dilation", "rate": 1, "training.stop.patience": [1, 2]}]
    with pytest.raises(InputError, match=r"training\.stop\.patience: cannot be searched: the length is the study's"):
        grid(parse_study({**TINY, "search_space": space}, "mine.yaml"), "mine.yaml")
