"""What a search runs next, with trials that only pretend to train."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autorf.comparison import compare_studies, results_of
from autorf.driver.plan import StudyPlan
from autorf.driver.scheduler import Scheduler
from autorf.methods import is_manual
from autorf.store.ranking import manual
from autorf.store.record import Record
from autorf.store.store import Store
from autorf.study.search_space import read_spaces
from autorf.study.spec import StudySpec, parse_study
from autorf.study.trial import Trial, configurations, trial_from, under_every_seed
from tests.reports import epoch_report, trial_result
from tests.tiny import TINY

Quality = Callable[[Record, int], float]
GRID = [{"method": "dilation", "rate": list(range(1, 9))}, {"method": "learned_dilation", "start": [1, 4]}]
RANGE = [{"method": "dilation", "rate": {"low": 1, "high": 60}}]


class Search:
    """A study on disk whose trials take no time."""

    def __init__(
        self, root: Path, search: dict[str, Any], spaces: list[dict[str, Any]] = GRID, **training: Any
    ) -> None:
        study = {**TINY, "search_space": spaces, "search": search, "training": {"epochs": 4, **training}}
        self.spec: StudySpec = parse_study(study, "f")
        read = read_spaces(self.spec.search_space, "f")
        drawn = self.spec.search.sampler not in ("grid", "sufficient")
        first = [Trial(trial_from({"method": "dilation", "rate": 1}, 0).method, 0)] if drawn else []
        listed = tuple(first or configurations(self.spec, read))
        budget = self.spec.search.budget
        limit = budget.trials // len(self.spec.training.seeds) if budget and budget.trials else None
        # Rates are listed smallest first, and so are their fields.
        bisects = self.spec.search.sampler == "sufficient"
        bisected = tuple(trial for trial in listed if is_manual(trial.method.method)) if bisects else ()
        spaces_drawn = tuple(read) if drawn else ()
        self.plan = StudyPlan(listed, listed, limit, self.spec.training.seeds, spaces_drawn, bisected=bisected)
        self.store = Store(root / "tiny", "tiny")
        self.store.register(self.spec, self.plan.trials, self.plan.listed, drawn=drawn)
        self.store.recover()
        self.scheduler = Scheduler(self.spec, self.store, self.plan)
        self.epochs = 0

    def run(self, quality: Quality, workers: int = 1, stop_after: int | None = None) -> "Search":
        """Until the scheduler is over, or so many trials were begun and are left as a killed driver leaves them."""
        running: list[tuple[Record, int]] = []
        begun = 0
        self.scheduler.begin()
        while True:
            while len(running) < workers and (record := self.scheduler.next()):
                begun += 1
                running.append((record, len(record.history)))
            if begun == stop_after:
                return self
            if not running:
                assert self.scheduler.over
                self.scheduler.close()
                return self
            record, done = running.pop(0)
            if self._epoch(record, done, quality):
                running.append((record, done + 1))

    def _epoch(self, record: Record, done: int, quality: Quality) -> bool:
        self.epochs += 1
        value = quality(record, done + 1)
        measured = epoch_report(done, miou=value, rf=[1, 1], rnorm=0.1)
        self.store.report(record, measured)
        side = 11.0 + 8 * record.configuration.get("rate", 4)
        field = {"rf": [side, side], "rnorm": side / 96}
        result = trial_result(miou=value, epochs=done + 1, flops=10.0 * record.seed, latency_ms=5.0, **field)
        if done + 1 == self.spec.training.epochs:
            self.store.complete(record, result, value)
            return False
        if not self.scheduler.goes_on(record, measured):
            self.store.prune(record, result, value)
            return False
        return True

    @property
    def states(self) -> dict[str, str]:
        return {record.label: record.state for record in self.store.records()}

    @property
    def end(self) -> str | None:
        return (self.store.notes().get("end") or {}).get("reason")


def near_four(record: Record, epochs: int) -> float:
    at = record.configuration.get("rate", record.configuration.get("start", 4))
    return 1 - abs(at - 4.4) / 100 - 0.1 / epochs - record.seed / 1000


def test_a_grid_runs_whole_and_says_so(tmp_path: Path) -> None:
    search = Search(tmp_path, {}).run(near_four, workers=3)
    assert set(search.states.values()) == {"complete"}
    assert search.end == "every trial of the grid was run"
    assert not Scheduler(search.spec, search.store, search.plan).due()


def test_halving_prunes_and_promotes_and_finishes_the_best_of_both_kinds(tmp_path: Path) -> None:
    search = Search(tmp_path, {"pruning": {}}).run(near_four)
    records = {record.label: record for record in search.store.records()}
    assert records["dilation (rate 4) seed 0"].state == "complete"
    assert {manual(record) for record in records.values() if record.state == "complete"} == {True, False}
    pruned = [record for record in records.values() if record.state == "pruned"]
    assert len(pruned) >= 6
    assert {record.result.epochs for record in pruned} <= {1, 3}
    assert search.epochs < 0.6 * 40
    assert all(len(record.history) == record.result.epochs for record in records.values())


def test_halving_goes_on_after_a_kill_and_repeats_no_epoch(tmp_path: Path) -> None:
    killed = Search(tmp_path, {"pruning": {}}).run(near_four, stop_after=6)
    resumed = Search(tmp_path, {"pruning": {}})
    for record in resumed.store.records():
        if record.state == "running":
            resumed.store.requeue(record, "interrupted")
    resumed.run(near_four, workers=2)
    whole = Search(tmp_path / "whole", {"pruning": {}}).run(near_four)
    assert killed.epochs + resumed.epochs <= whole.epochs + 4
    assert resumed.states["dilation (rate 4) seed 0"] == "complete"
    assert "running" not in resumed.states.values()


def test_a_sampler_spends_its_budget_under_every_seed_and_a_larger_one_continues(tmp_path: Path) -> None:
    settings = {"sampler": "tpe", "budget": {"trials": 7}}
    first = Search(tmp_path, settings, RANGE, seeds=[0, 1]).run(near_four, workers=2)
    before = list(first.states)
    assert len(before) == 6
    assert first.end == "the budget of 6 trials is spent"
    assert not Scheduler(first.spec, first.store, first.plan).due()
    more = Search(tmp_path, {**settings, "budget": {"trials": 12}}, RANGE, seeds=[0, 1])
    assert Scheduler(more.spec, more.store, more.plan).due()
    more.run(near_four)
    assert len(more.states) == 12
    assert list(more.states)[:6] == before
    assert more.epochs == 6 * 4


def test_a_killed_sampler_neither_loses_nor_repeats_a_suggestion(tmp_path: Path) -> None:
    settings = {"sampler": "tpe", "budget": {"trials": 12}}
    whole = Search(tmp_path / "whole", settings, RANGE).run(near_four)
    killed = Search(tmp_path, settings, RANGE).run(near_four, stop_after=5)
    for record in killed.store.records():
        if record.state == "running":
            killed.store.requeue(record, "interrupted")
    resumed = Search(tmp_path, settings, RANGE).run(near_four)
    assert resumed.states == whole.states


def test_a_configuration_cut_between_its_seeds_gets_the_rest(tmp_path: Path) -> None:
    search = Search(tmp_path, {"sampler": "random", "budget": {"trials": 4}}, RANGE, seeds=[0, 1])
    search.store.add([Trial(trial_from({"method": "dilation", "rate": 7}, 0).method, 0)])
    search.run(near_four)
    assert search.states["dilation (rate 7) seed 1"] == "complete"
    assert len(search.states) == 4


def test_exhausted_spaces_end_a_search_before_its_budget(tmp_path: Path) -> None:
    spaces = [{"method": "dilation", "rate": [1, 2, 3]}]
    search = Search(tmp_path, {"sampler": "nsga2", "budget": {"trials": 50}}, spaces).run(near_four)
    assert len(search.states) == 3
    assert search.end == "every configuration of the search spaces was run"


def test_the_stop_rule_leaves_the_rest_and_a_study_without_it_goes_on(tmp_path: Path) -> None:
    stop = {"stop": {"no_improvement": 3, "noise": 0.015}}
    search = Search(tmp_path, stop).run(near_four)
    assert search.end == "no improvement by more than the seed noise (0.015) in 3 trials"
    assert list(search.states.values()) == ["complete"] * 6 + ["waiting"] * 4
    assert not Scheduler(search.spec, search.store, search.plan).due()
    again = Search(tmp_path, {}).run(near_four)
    assert set(again.states.values()) == {"complete"}


def test_the_seed_noise_is_estimated_from_the_seeds(tmp_path: Path) -> None:
    def noisy(record: Record, epochs: int) -> float:
        return near_four(record, epochs) + (0.2 if record.seed else 0.0)

    spaces = [{"method": "dilation", "rate": [1, 2, 3, 4]}]
    search = Search(tmp_path, {"stop": {"no_improvement": 4}}, spaces, seeds=[0, 1]).run(noisy)
    assert search.end is not None
    assert search.end.startswith("no improvement by more than the seed noise (0.141) in 4 trials")


def test_hours_are_counted_over_drivers_and_runs(tmp_path: Path) -> None:
    search = Search(tmp_path, {"budget": {"hours": 2}})
    search.store.note("busy:a", [0, 3600])
    search.store.note("busy:b", [1800, 5400])
    assert search.scheduler.due()
    search.store.note("busy:c", [9000, 11000])
    search.run(near_four)
    assert search.end == "the budget of 2 hours is spent"
    assert set(search.states.values()) == {"waiting"}
    again = Search(tmp_path, {"budget": {"hours": 3}})
    assert again.scheduler.due()


def test_trials_beyond_a_constraint_do_not_improve_a_search(tmp_path: Path) -> None:
    settings = {"stop": {"no_improvement": 2, "noise": 0.0}, "constraints": ["flops <= 5"]}
    spaces = [{"method": "dilation", "rate": [1, 2, 3, 4]}]
    search = Search(tmp_path, settings, spaces, seeds=[0, 3]).run(near_four)
    assert search.end == "every trial of the grid was run"


def test_seeds_that_grow_are_run_for_what_was_drawn(tmp_path: Path) -> None:
    settings = {"sampler": "random", "budget": {"trials": 3}}
    Search(tmp_path, settings, RANGE).run(near_four)
    grown = Search(tmp_path, {**settings, "budget": {"trials": 6}}, RANGE, seeds=[0, 1]).run(near_four)
    assert sorted(record.seed for record in grown.store.records()) == [0, 0, 0, 1, 1, 1]


def test_under_every_seed_keeps_each_configuration_once() -> None:
    one = trial_from({"method": "dilation", "rate": 2}, 5)
    assert [trial.seed for trial in under_every_seed([one, one], (1, 2))] == [1, 2]


@pytest.mark.parametrize("objectives", [["miou", "flops"], ["latency_ms"]])
def test_two_objectives_and_costs_are_searched(tmp_path: Path, objectives: list[str]) -> None:
    settings = {"sampler": "nsga2", "objectives": objectives, "budget": {"trials": 5}}
    assert set(Search(tmp_path, settings, RANGE).run(near_four, workers=2).states.values()) == {"complete"}


SUFFICIENT: dict[str, Any] = {"sampler": "sufficient", "margin": 0.02}


def saturating(record: Record, epochs: int) -> float:
    """From rate 4 on nothing is lost; seeds move every rate alike, and each a little by itself."""
    rate = record.configuration.get("rate", 4)
    own = ((rate * 7 + record.seed * 13) % 5 - 2) / 1500
    return 0.8 - 0.1 * max(0, 4 - rate) - record.seed / 50 + own


def test_the_sufficient_sampler_names_what_the_whole_grid_names_for_fewer_trainings(tmp_path: Path) -> None:
    search = Search(tmp_path, SUFFICIENT, seeds=[0, 1, 2]).run(saturating, workers=2)
    records = search.store.records()
    grid = [record for record in records if manual(record)]
    assert len(grid) <= 15
    assert len(records) - len(grid) == 2 * 3
    answer = compare_studies([results_of(search.store)]).recommendation
    whole = Search(tmp_path / "whole", {"margin": 0.02}, seeds=[0, 1, 2]).run(saturating)
    assert compare_studies([results_of(whole.store)]).recommendation is not None
    assert answer is not None
    assert answer.smallest_sufficient is not None
    assert answer.smallest_sufficient["params"] == {"rate": 4}
    assert answer.grid_size == 8
    assert f"Among the {len({r.label for r in grid if r.seed == 0})} fields trained, of 8 in the grid." in answer.text
    cost = next(cost for cost in compare_studies([results_of(search.store)]).costs if cost.way == "manual")
    assert cost.trials == len(grid)
    assert search.end == "the sampler asks for no more trainings of the grid"


@pytest.mark.parametrize("stop_after", [1, 4, 9])
def test_the_sufficient_sampler_goes_on_after_a_kill_as_if_there_had_been_none(tmp_path: Path, stop_after: int) -> None:
    whole = Search(tmp_path / "whole", SUFFICIENT, seeds=[0, 1, 2]).run(saturating)
    Search(tmp_path, SUFFICIENT, seeds=[0, 1, 2]).run(saturating, stop_after=stop_after)
    resumed = Search(tmp_path, SUFFICIENT, seeds=[0, 1, 2])
    for record in resumed.store.records():
        if record.state == "running":
            resumed.store.requeue(record, "interrupted")
    resumed.run(saturating, workers=3)
    assert resumed.states == whole.states


def test_a_field_whose_training_failed_is_bisected_around(tmp_path: Path) -> None:
    search = Search(tmp_path, SUFFICIENT, seeds=[0, 1, 2])
    first = search.scheduler.next()
    assert first is not None
    search.store.fail(first, "no memory")
    search.run(saturating)
    states = [record.state for record in search.store.records() if record.configuration.get("rate") == 1]
    assert states == ["failed"]
    assert search.scheduler.over


def test_five_seeds_are_looked_at_twice_and_only_where_three_do_not_tell(tmp_path: Path) -> None:
    clear = Search(tmp_path / "clear", SUFFICIENT, seeds=[0, 1, 2, 3, 4]).run(saturating)
    assert {record.seed for record in clear.store.records() if manual(record)} == {0, 1, 2}

    def noisy(record: Record, epochs: int) -> float:
        return saturating(record, epochs) + ((record.seed * 5 + record.configuration.get("rate", 4) * 3) % 7 - 3) / 100

    unclear = Search(tmp_path / "unclear", SUFFICIENT, seeds=[0, 1, 2, 3, 4]).run(noisy)
    assert {record.seed for record in unclear.store.records() if manual(record)} == {0, 1, 2, 3, 4}
