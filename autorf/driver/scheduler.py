"""What a search runs next, which trials go on, and when it ends."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autorf.comparison.ending import WHOLE_GRID
from autorf.comparison.looks import GRID, looks_of
from autorf.driver.controls import planned_controls, without_controls
from autorf.driver.listeners import Listener
from autorf.driver.ordered_grid import due_trainings
from autorf.driver.plan import StudyPlan
from autorf.driver.prior import saved
from autorf.driver.pruning import Arrival, Asha
from autorf.driver.rung_noise import rung_caution
from autorf.driver.sampling import Suggestions, Tried
from autorf.driver.stopping import busy_hours, by_configuration, mean_result, no_improvement
from autorf.store.ranking import manual, objective, ranked
from autorf.store.record import Record
from autorf.store.replicates import replicates
from autorf.store.store import Store
from autorf.study.objectives import COSTS, parse_constraint, sign
from autorf.study.spec import StudySpec
from autorf.study.trial import Trial, under_every_seed
from autorf.training.results import EpochReport, TrialResult

BUSY = "busy:"
"""Notes of that beginning hold when each driver began and was last heard of."""
BUSY_SECONDS = 10.0


class Scheduler:
    """Decides from the store alone, so that a search that was killed goes on as it would have.

    Where the training is counted in steps, epochs here are its validations. Controls run once all else has ended; what
    chooses, draws, promotes or stops does not see them.

    Attributes:
        over: whether nothing is left to begin.
        reason: why, once it is over.
        listener: hears of controls when they are planned.
    """

    def __init__(self, spec: StudySpec, store: Store, planned: StudyPlan) -> None:
        self.spec, self.store, self.planned = spec, store, planned
        self.over, self.reason = False, ""
        self.listener = Listener()
        self._noted: set[str] = set()
        self._cautioned: set[int] = set()
        self._suggestions: Suggestions | None = None
        if planned.spaces:
            n_startup = min(10, max(3, (planned.limit or 30) // 3))
            self._suggestions = Suggestions(planned.spaces, spec, n_startup)
        # Trials that are promoted because nothing else is left run to their end.
        self._to_the_end: set[str] = set()
        self._began = self._noted_at = 0.0

    def begin(self) -> None:
        """Give configurations that were drawn before every seed of the study; note that this driver is at work."""
        self.store.note("end", None)
        if self._suggestions is not None:
            drawn = [record.trial for record in self._searched() if record.trial is not None]
            self.store.add(under_every_seed(drawn, self.spec.training.seeds))
        if self.planned.bisected:
            first = looks_of(self.spec.training.seeds)[0]
            self.store.note(GRID, {"configurations": len(self.planned.bisected), "seeds": len(first.seeds)})
        self._began = time.time()
        self.tick()

    def tick(self) -> None:
        """Note every few seconds that this driver is still at work, where hours are counted."""
        if self._hours is not None and time.time() - self._noted_at > BUSY_SECONDS:
            self._noted_at = time.time()
            self.store.note(f"{BUSY}{self.store.driver}", [self._began, self._noted_at])

    def next(self) -> Record | None:
        """The next trial to run, claimed: a promoted one first, then one that waits, one newly drawn, or a control."""
        if self._out_of_time():
            self._skip_controls()
            return None
        if reason := self._stopped():
            return self._next_control(reason)
        if self.spec.search.pruning is not None:
            self._promote(self._searched())
        claimed = self.store.claim()
        if claimed is None and self._draw():
            claimed = self.store.claim()
        return claimed or self._last()

    def due(self) -> bool:
        """Whether there is anything left to run, here or elsewhere; asked before workers are started."""
        if self._out_of_time():
            return False
        records = self._searched()
        if not self._stopped():
            if self._unfinished():
                return True
            if self.spec.search.pruning is not None and (self._halving(records).promotable() or self._owed(records)):
                return True
            if self._suggestions is not None and self._room(records):
                return True
            if due_trainings(self.planned.bisected, self.spec, self.store):
                return True
        return self._controls_due()

    def rungs(self, record: Record) -> tuple[int, ...]:
        """After how many epochs the trial has to wait for :meth:`goes_on`; a control for none."""
        if self._runs_whole(record):
            return ()
        return tuple(rung for rung in self._asha().rungs if rung > len(record.history))

    def goes_on(self, record: Record, epoch: EpochReport) -> bool:
        """Whether a running trial goes on after an epoch that was just reported."""
        epochs = epoch.epoch + 1
        if self._runs_whole(record) or epochs not in self._asha().rungs:
            return True
        records = self._searched()
        self._caution(records, epochs)
        others = [other for other in records if other.key != record.key]
        return self._halving(others).arrive(self._arrival(record, epoch), epochs)

    def value(self, result: TrialResult) -> float:
        """What Optuna's own tools see of a result: the first objective, larger for better."""
        first = self.spec.search.objectives[0]
        return sign(first) * result.by_name.get(first, math.nan)

    def close(self) -> None:
        """Record the end of the search and its reason."""
        self._noted_at = 0.0
        self.tick()
        if self.over:
            self.store.note("end", {"reason": self.reason, "time": time.time(), "saved": self._saved()})

    def _saved(self) -> str | None:
        best = ranked(replicates(self._searched(), self._data), self.spec.search)
        if self.planned.prior is None or self.planned.spaces or not best or best[0][0].trial is None:
            return None
        return saved(self.planned.configurations, self.planned.unordered, best[0][0].trial, self.planned.prior)

    @property
    def _data(self) -> Mapping[str, Any]:
        return self.spec.data.model_dump(mode="json")

    @property
    def _hours(self) -> float | None:
        return None if self.spec.search.budget is None else self.spec.search.budget.hours

    def _end(self, reason: str) -> None:
        self.over, self.reason = True, reason

    def _unfinished(self) -> bool:
        """Whether a trial waits or runs that is no control; a checkpoint that is only measured is one too."""
        return any(not record.finished for record in self.store.records() if record.control is None)

    def _searched(self) -> list[Record]:
        return without_controls(self.store.records())

    def _runs_whole(self, record: Record) -> bool:
        return self.spec.search.pruning is None or record.key in self._to_the_end or record.control is not None

    def _out_of_time(self) -> bool:
        if self._hours is None:
            return False
        spans = {name: span for name, span in self.store.notes().items() if name.startswith(BUSY)}
        if self._began:
            spans[f"{BUSY}{self.store.driver}"] = [self._began, time.time()]
        if busy_hours(spans) >= self._hours:
            self._end(f"the budget of {self._hours:g} hours is spent")
        return self.over

    def _stopped(self) -> str | None:
        """Why no more trials are begun although some wait or could be drawn; None while they are."""
        return None if self.spec.search.stop is None else no_improvement(self._searched(), self.spec.search)

    def _last(self) -> Record | None:
        """What is run when nothing waits: nothing while others run; at the end, what has to be finished at least."""
        records = self._searched()
        if self._unfinished():
            return None
        if self.spec.search.pruning is not None and (promoted := self._finish_the_best(records)):
            return promoted
        return self._next_control(self._completed(records))

    def _next_control(self, reason: str) -> Record | None:
        """A control, claimed; None while other trials run, and at the end of the search, which has this reason."""
        records = self.store.records()
        if any(record.state == "running" for record in without_controls(records)):
            return None
        if self.spec.search.controls:
            self._plan_controls(records)
            if (claimed := self.store.claim(controls=True)) is not None:
                return claimed
            if any(record.state == "running" for record in self.store.records()):
                return None
        self._end(reason)
        return None

    def _plan_controls(self, records: Sequence[Record]) -> None:
        planned = planned_controls(records, self.spec)
        if self.store.add_controls((due.trial, due.control) for due in planned.controls) or not planned.controls:
            self._note(planned.notes)
            self.listener.seen(self.store.records())

    def _skip_controls(self) -> None:
        """Say so where the time is spent before the controls ran."""
        if not any(record.state == "running" for record in self.store.records()) and self._controls_due():
            self._note(["the controls are left out: the budget's hours are spent; raise search.budget.hours for them"])

    def _note(self, notes: Iterable[str]) -> None:
        """Tell what was not told before."""
        for text in notes:
            if text not in self._noted:
                self._noted.add(text)
                self.listener.note(text)

    def _caution(self, records: Sequence[Record], rung: int) -> None:
        """Tell once of a rung whose trials differ no more than their seeds do."""
        if rung in self._cautioned:
            return
        caution = rung_caution(records, objective(self.spec.search), rung)
        if caution is not None:
            self._cautioned.add(rung)
            self._note([caution])

    def _controls_due(self) -> bool:
        """Whether a control waits, runs elsewhere, or was not yet planned."""
        records = self.store.records()
        planned = planned_controls(records, self.spec).controls
        stored = [record for record in records if record.control is not None]
        unfinished = self.spec.search.controls and any(not record.finished for record in stored)
        there = [(record.trial, record.control) for record in stored]
        return unfinished or any((due.trial, due.control) not in there for due in planned)

    def _completed(self, records: Sequence[Record]) -> str:
        if self.planned.bisected:
            return "the sampler asks for no more trainings of the grid"
        n = self.planned.n_configurations
        if self._suggestions is not None and (n is None or len(by_configuration(records)) < n):
            return "every configuration of the search spaces was run"
        if n is not None and (self.planned.spaces or n < len(self.planned.configurations)):
            return f"the budget of {n * self.planned.trials_each} trials is spent"
        return WHOLE_GRID

    def _room(self, records: Sequence[Record]) -> bool:
        limit = self.planned.n_configurations
        return limit is None or len(by_configuration(records)) < limit

    def _draw(self) -> bool:
        """Enqueue what a sampler asks for; whether that is anything."""
        if self._suggestions is None:
            trials = due_trainings(self.planned.bisected, self.spec, self.store)
        else:
            trials = self._drawn(self._suggestions, self._searched())
        if trials:
            self.store.add(trials)
        return bool(trials)

    def _drawn(self, suggestions: Suggestions, records: Sequence[Record]) -> list[Trial]:
        if not self._room(records):
            return []
        groups = by_configuration(records)
        trial = suggestions.next([self._tried(group[0].trial, group) for group in groups if group[0].trial])
        return [] if trial is None else under_every_seed([trial], self.spec.training.seeds)

    def _tried(self, trial: Trial, group: Sequence[Record]) -> Tried:
        search = self.spec.search
        states = {record.state for record in group}
        if states & {"waiting", "running"}:
            return Tried(trial, "running")
        if states == {"complete"}:
            means = mean_result(group)
            limits = {text: parse_constraint(text) for text in search.constraints}
            judged_by = {*search.objectives, *(limit.name for limit in limits.values())}
            if judged_by <= means.keys():
                excess = {text: limit.excess(means) for text, limit in limits.items()}
                return Tried(trial, "complete", tuple(means[name] for name in search.objectives), excess=excess)
        if "pruned" in states and "failed" not in states:
            shortest = min(group, key=lambda record: len(record.history))
            first = search.objectives[0]
            curve = {report.epoch: report.by_name[first] for report in shortest.history if first in report.by_name}
            return Tried(trial, "pruned", curve=curve)
        return Tried(trial, "failed")

    def _asha(self) -> Asha:
        pruning = self.spec.search.pruning
        assert pruning is not None
        return Asha(pruning.min_epochs, pruning.reduction, self.spec.training.validations)

    def _halving(self, records: Iterable[Record]) -> Asha:
        """Where every trial is, or is paused."""
        asha = self._asha()
        for record in records:
            by_epochs = {report.epoch + 1: report for report in record.history}
            passed = [rung for rung in asha.rungs if rung in by_epochs]
            for rung in passed:
                paused = record.state == "pruned" and rung == passed[-1]
                asha.restore(self._arrival(record, by_epochs[rung]), rung, paused=paused)
        return asha

    def _arrival(self, record: Record, epoch: EpochReport) -> Arrival:
        value = epoch.by_name.get(objective(self.spec.search), math.nan)
        cost = next((epoch.costs.get(name) for name in self.spec.search.objectives if name in COSTS), None)
        return Arrival(record.key, record.seed, -math.inf if math.isnan(value) else value, cost)

    def _promote(self, records: Sequence[Record]) -> None:
        key = self._halving(records).promotable()
        if key is not None:
            self.store.promote(next(record for record in records if record.key == key))

    def _finish_the_best(self, records: Sequence[Record]) -> Record | None:
        """Train what is owed to its end."""
        for key in self._owed(records):
            self._to_the_end.add(key)
            self.store.promote(next(record for record in records if record.key == key))
        return self.store.claim()

    def _owed(self, records: Sequence[Record]) -> list[str]:
        """The furthest paused trial of each seed and of manual and of learned methods that has no complete one.

        Without them a small study could end with every trial paused, or with nothing to compare learning with.
        """
        asha = self._halving(records)
        kinds = {(record.seed, manual(record)) for record in records}
        done = {(record.seed, manual(record)) for record in records if record.state == "complete"}
        owed: list[str] = []
        for kind in sorted(kinds - done):
            paused = (r.key for r in records if (r.seed, manual(r)) == kind and r.state == "pruned")
            if (key := asha.furthest(paused)) is not None:
                owed.append(key)
        return owed
