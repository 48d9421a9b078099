"""Controls: the best manual configurations, trained as long as the best learned one."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autorf.driver import search as module
from autorf.driver.controls import ControlPlan, planned_controls
from autorf.driver.search import Outcome, search
from autorf.store.record import Record
from autorf.store.store import open_store
from autorf.study.control import Control
from autorf.study.spec import StudySpec, counted, parse_study
from autorf.study.trial import Trial, spec_of, trial_from
from tests.driver.test_search_loop import Pretended, Silent
from tests.reports import trial_result
from tests.tiny import TINY

SPACES = [{"method": "dilation", "rate": [1, 2, 3, 4, 5]}, {"method": "learned_dilation", "start": 4}]
LEARNED = {"method": "learned_dilation", "start": 4.0}


def study(search: dict[str, Any] | None = None, **training: Any) -> StudySpec:
    values = {**TINY, "search_space": SPACES, "training": {"epochs": 2, "batch_size": 16, **training}}
    return parse_study({**values, "search": search or {}}, "f")


def ended(configuration: dict[str, Any], miou: float, seed: int = 0, **result: Any) -> Record:
    trial = trial_from(configuration, seed)
    values = {"miou": miou, "steps": 6, "train_seconds": 3.0, "device": "cpu", **result}
    row = hash(trial.key) % 10**6
    return Record(row, trial.key, trial.configuration, seed, "complete", 1, trial, trial_result(**values))


def dilation(rate: int, miou: float, seed: int = 0, **result: Any) -> Record:
    return ended({"method": "dilation", "rate": rate}, miou, seed, **result)


def learned(miou: float, seed: int = 0, **result: Any) -> Record:
    return ended(LEARNED, miou, seed, **{"steps": 8, "train_seconds": 12.0, **result})


def lengths(plan: ControlPlan) -> list[tuple[Any, ...]]:
    return [
        (due.control.budget, due.trial.configuration["rate"], due.trial.configuration["training.steps"], due.trial.seed)
        for due in plan.controls
    ]


def stored(plan: ControlPlan) -> list[Record]:
    controls = [ended(due.trial.configuration, 0.5, due.trial.seed) for due in plan.controls]
    return [replace(record, control=due.control) for record, due in zip(controls, plan.controls, strict=True)]


def test_the_best_manual_ones_within_the_margin_are_trained_as_long_in_steps_and_in_cost() -> None:
    records = [dilation(1, 0.5), dilation(2, 0.795), dilation(3, 0.8), dilation(4, 0.789), learned(0.81)]
    assert lengths(planned_controls(records, study())) == [
        ("steps", 3, 8, 0), ("steps", 2, 8, 0), ("cost", 3, 24, 0), ("cost", 2, 24, 0)
    ]  # fmt: skip


def test_at_most_three_are_controls_however_wide_the_margin() -> None:
    records = [*(dilation(rate, 0.8 - rate / 100) for rate in range(1, 6)), learned(0.81)]
    plan = planned_controls(records, study({"margin": 0.5}))
    assert {rate for _, rate, _, _ in lengths(plan)} == {1, 2, 3}


def test_there_are_none_at_equal_steps_and_equal_cost() -> None:
    assert planned_controls([dilation(1, 0.8), learned(0.81, steps=6, train_seconds=3.14)], study()) == ControlPlan()


def test_a_cost_near_the_winners_steps_is_served_by_the_controls_of_equal_steps() -> None:
    plan = planned_controls([dilation(1, 0.8), learned(0.81, train_seconds=4.1)], study())
    assert lengths(plan) == [("steps", 1, 8, 0)]


def test_processor_seconds_count_before_wall_seconds() -> None:
    records = [dilation(1, 0.8, cpu_seconds=6.0), learned(0.81, steps=6, cpu_seconds=12.0, train_seconds=99.0)]
    assert lengths(planned_controls(records, study())) == [("cost", 1, 12, 0)]


def test_seconds_of_two_devices_are_never_compared() -> None:
    plan = planned_controls([dilation(1, 0.8), learned(0.81, device="cuda")], study())
    assert lengths(plan) == [("steps", 1, 8, 0)]
    assert plan.notes[0] == "no controls of equal cost: the trials ran on cpu and cuda, whose seconds differ"


def test_the_length_is_written_once_and_new_seeds_run_at_it() -> None:
    records = [dilation(1, 0.8), learned(0.81)]
    first = planned_controls(records, study())
    slower = [dilation(1, 0.8, seed=1, train_seconds=1.0), learned(0.81, seed=1, train_seconds=60.0)]
    again = planned_controls([*records, *slower, *stored(first)], study())
    assert lengths(again) == [("steps", 1, 8, 0), ("steps", 1, 8, 1), ("cost", 1, 24, 0), ("cost", 1, 24, 1)]


def test_another_winner_plans_its_own() -> None:
    records = [dilation(1, 0.8), learned(0.81)]
    first = stored(planned_controls(records, study()))
    better = ended({**LEARNED, "search": 0.5}, 0.9, steps=9, train_seconds=3.0)
    plan = planned_controls([*records, *first, better], study())
    assert lengths(plan) == [("steps", 1, 9, 0)]
    assert plan.controls[0].control.winner == better.configuration


def test_a_control_is_neither_the_winner_nor_best_by_hand() -> None:
    records = [dilation(1, 0.8), learned(0.81)]
    controls = stored(planned_controls(records, study()))
    best = [replace(record, result=trial_result(miou=0.99, steps=8)) for record in controls]
    assert lengths(planned_controls([*records, *best], study())) == [("steps", 1, 8, 0), ("cost", 1, 24, 0)]


@pytest.mark.parametrize("search_part", [{"controls": False}, {"objectives": ["latency_ms"]}])
def test_a_study_that_wants_none_or_aims_at_a_cost_has_none(search_part: dict[str, Any]) -> None:
    records = [dilation(1, 0.8, latency_ms=1.0), learned(0.81, latency_ms=2.0)]
    assert planned_controls(records, study(search_part)).controls == ()


def test_an_incomplete_configuration_wins_nothing() -> None:
    half = [learned(0.9), replace(learned(0.9, seed=1), state="failed", result=None)]
    assert planned_controls([dilation(1, 0.8), *half], study()) == ControlPlan()


def test_a_controls_own_steps_override_the_epochs_and_it_validates_after_each_epoch() -> None:
    spec = counted(study(), 48, "f")
    training = spec_of(
        spec, Trial(trial_from({"method": "dilation", "rate": 1}, 0).method, 0, (("training.steps", 8),))
    )
    assert (training.training.steps, training.training.validate_every, training.training.validations) == (8, 3, 3)


class Timed(Pretended):
    """A learned trial takes four steps and a second each where a manual one takes three and half a second."""

    fails_controls = False

    def scored(self, job: Any) -> dict[str, Any]:
        by_hand = job.configuration["method"] == "dilation"
        own = job.configuration.get("training.steps")
        steps = min(own or 10**9, (3 if by_hand else 4) * self.done)
        return {**super().scored(job), "steps": steps, "seconds": steps / (2 if by_hand else 1), "device": "cpu"}

    def wait(self, timeout: float) -> list[Any]:
        from autorf.executors import Event, Failure

        job = self.job
        assert job is not None
        if self.fails_controls and "training.steps" in job.configuration:
            self.job = None
            return [Event(job.row, "failed", Failure("out of memory"))]
        events = super().wait(timeout)
        if self.job is None:
            values = self.scored(job)
            result = trial_result(**{**values, "train_seconds": values.pop("seconds")}, epochs=self.done)
            return [replace(events[0], payload=result)]
        return events


def run(root: Path, monkeypatch: pytest.MonkeyPatch, spec: StudySpec, executor: Pretended | None = None) -> Outcome:
    monkeypatch.setattr(module, "take_first_steps", lambda *_: [])
    monkeypatch.setattr(module, "make", lambda *_, **__: executor or Timed())
    monkeypatch.setattr(module, "open_mirror", lambda *_: nullcontext(Silent()))
    return search(spec, "f", root, quiet=True)


def controls_of(root: Path) -> Sequence[Record]:
    return [record for record in open_store(root, "tiny").records() if record.control is not None]


def test_a_search_runs_its_controls_last_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run(tmp_path, monkeypatch, study())
    controls = controls_of(tmp_path)
    assert [(r.control and r.control.budget, r.configuration) for r in controls] == [
        ("steps", {"method": "dilation", "rate": 4, "training.steps": 8}),
        ("cost", {"method": "dilation", "rate": 4, "training.steps": 16}),
    ]
    assert {record.state for record in controls} == {"complete"}
    assert {record.control and record.control.winner["method"] for record in controls} == {"learned_dilation"}
    assert (outcome.run, outcome.total, outcome.end) == (8, 8, "every trial of the grid was run")
    assert run(tmp_path, monkeypatch, study()).run == 0


def test_a_begun_study_may_ask_for_its_controls_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(tmp_path, monkeypatch, study({"controls": False})).total == 6
    assert run(tmp_path, monkeypatch, study({"margin": 0.06})).run == 6
    assert len({record.configuration["rate"] for record in controls_of(tmp_path)}) == 3


def test_more_seeds_run_at_the_stored_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, monkeypatch, study())
    run(tmp_path, monkeypatch, study(seeds=[0, 1]))
    assert [(record.seed, record.configuration["training.steps"]) for record in controls_of(tmp_path)] == [
        (0, 8), (0, 16), (1, 8), (1, 16)
    ]  # fmt: skip


def test_failed_controls_end_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Timed()
    executor.fails_controls = True
    outcome = run(tmp_path, monkeypatch, study(), executor)
    assert (outcome.failed, outcome.end) == (2, "every trial of the grid was run")


def test_controls_are_outside_the_budget_of_trials_and_never_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"sampler": "random", "budget": {"trials": 6}, "seed": 1}
    outcome = run(tmp_path, monkeypatch, study(settings))
    controls = controls_of(tmp_path)
    assert (outcome.total - len(controls), outcome.end) == (6, "the budget of 6 trials is spent")
    assert {record.state for record in controls} == {"complete"}


def test_a_spent_budget_of_hours_leaves_the_controls_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, monkeypatch, study({"controls": False}))
    outcome = run(tmp_path, monkeypatch, study({"budget": {"hours": 1e-9}}))
    assert (outcome.run, controls_of(tmp_path)) == (0, [])


def test_the_winner_is_stored_in_the_terms_of_the_study() -> None:
    control = Control("steps", dict(LEARNED))
    assert Control.from_json(control.to_json()) == control


def test_a_real_search_trains_its_controls_for_the_stored_steps(tmp_path: Path) -> None:
    spaces = [{"method": "dilation", "rate": [3]}, {"method": "learned_dilation", "start": 4, "extra": 0.5}]
    spec = parse_study({**TINY, "search_space": spaces, "executor": {"workers": 1}}, "f")
    outcome = search(spec, "f", tmp_path, quiet=True)
    records = open_store(tmp_path, "tiny").records()
    assert (outcome.failed, outcome.end) == (0, "every trial of the grid was run")
    by_method = {record.method: record for record in records if record.control is None}
    steps = [by_method[name].result and by_method[name].result.steps for name in ("dilation", "learned_dilation")]
    assert steps == [6, 9]
    controls = [record for record in records if record.control is not None]
    assert next(record.control.budget for record in controls if record.control) == "steps"
    for record in controls:
        assert record.result is not None
        assert record.result.steps == record.configuration["training.steps"]
