"""Which controls a study is due: its best manual configurations, trained as long as its best learned one.

Controls are planned once all other trials have ended. How long one is trained is part of its configuration and never
computed again: seeds that are added later run at the stored length.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from autorf.comparison.spending import own_seconds
from autorf.data.fold_spec import folds_of
from autorf.driver.stopping import by_configuration, score
from autorf.store.ranking import manual, searched
from autorf.store.record import Record
from autorf.store.replicates import replicates
from autorf.study.control import Budget, Control
from autorf.study.objectives import is_metric
from autorf.study.spec import StudySpec
from autorf.study.trial import LENGTH, Trial, in_folds

MOST = 3
"""So many manual configurations have controls, the best ones."""

SAME_COST = 0.05
"""Lengths that differ by no more of the shorter control's are one."""


@dataclass(frozen=True)
class PlannedControl:
    """A control as it is enqueued."""

    trial: Trial
    control: Control


@dataclass(frozen=True)
class ControlPlan:
    """What is due.

    Attributes:
        controls: every control that the study should have, those that it has already included.
        notes: what they are, or why there are none for a budget, in a line each.
    """

    controls: tuple[PlannedControl, ...] = ()
    notes: tuple[str, ...] = ()


def without_controls(records: Iterable[Record]) -> list[Record]:
    """The trials that were searched."""
    return [record for record in records if searched(record)]


def planned_controls(records: Sequence[Record], spec: StudySpec) -> ControlPlan:
    """The controls of a study whose other trials have ended.

    The winner is the learned configuration with the best mean of the first objective over its seeds. Controls are of
    the best manual configuration and of those not worse by more than ``search.margin``, under the winner's seeds.
    For equal steps they are trained for the winner's steps; for equal cost for its seconds, by the seconds that a step
    of theirs took (medians over seeds), unless that is what one of the two was trained for already. Of data in folds
    all that is asked of replicates, and a control is a trial on every fold.

    Args:
        records: the newest attempt at every trial, controls included.
        spec: the study.

    Returns:
        Nothing where the study wants no controls, its first objective is a cost, or it has no complete configuration of
        one of the two kinds.
    """
    if not spec.search.controls or not is_metric(spec.search.objectives[0]):
        return ControlPlan()
    records = replicates(records, spec.data.model_dump(mode="json"))
    groups = [group for group in by_configuration(without_controls(records)) if group[0].trial is not None]
    learned = _best_first([group for group in groups if not manual(group[0])], spec)
    by_hand = _best_first([group for group in groups if manual(group[0])], spec)
    if not learned or not by_hand:
        return ControlPlan()
    least = by_hand[0][0] - spec.search.margin
    near_best = [group for value, group in by_hand if value >= least][:MOST]
    return _Planner(records, spec, learned[0][1], near_best).plan()


def _best_first(groups: Iterable[list[Record]], spec: StudySpec) -> list[tuple[float, list[Record]]]:
    """Complete configurations within the constraints with their scores; of equals the first one comes first."""
    scored = [(value, group) for group in groups if (value := score(group, spec.search)) is not None]
    return sorted(scored, key=lambda pair: -pair[0])


class _Planner:
    """Plans the controls of one winner.

    Args:
        records: of the study.
        spec: of the study.
        winner: the records of the best learned configuration.
        groups: those of the manual configurations that get controls.
    """

    def __init__(
        self, records: Sequence[Record], spec: StudySpec, winner: Sequence[Record], groups: Sequence[Sequence[Record]]
    ) -> None:
        self.winner, self.groups = winner, groups
        self.by_hand = [record for group in groups for record in group]
        self.stored = [r for r in records if r.control is not None and r.control.winner == winner[0].configuration]
        on_gpu = any(record.result is not None and record.result.device == "cuda" for record in records)
        self.rate = 1 if on_gpu else spec.training.threads
        self.folds = folds_of(spec.data)

    def plan(self) -> ControlPlan:
        winner_steps, manual_steps = _median_of(self.winner, _steps), _median_of(self.by_hand, _steps)
        if winner_steps is None or manual_steps is None:
            return ControlPlan(notes=("no controls: trials of an earlier version did not count their steps",))
        lengths: dict[Budget, int] = {}
        notes: list[str] = []
        stopped = any(record.result is not None and record.result.stopped_early for record in self._compared)
        if stopped:
            notes.append("no controls of equal steps: trials were stopped early, after different numbers of steps")
        elif (steps := self._stored_length("steps")) is not None or winner_steps != manual_steps:
            lengths["steps"] = steps or round(winner_steps)
        cost = self._stored_length("cost")
        if cost is None and len(devices := self._devices()) > 1:
            notes.append(f"no controls of equal cost: the trials ran on {' and '.join(devices)}, whose seconds differ")
        elif cost is not None or (cost := self._equal_cost((winner_steps, manual_steps))) is not None:
            lengths["cost"] = cost
        controls = [planned for budget, length in lengths.items() for planned in self._controls(budget, length)]
        notes += [self._note(budget, length) for budget, length in lengths.items()]
        return ControlPlan(tuple(controls), tuple(notes))

    def _controls(self, budget: Budget, steps: int) -> Iterable[PlannedControl]:
        control = Control(budget, self.winner[0].configuration)
        for seed in (record.seed for record in self.winner):
            for group in self.groups:
                trial = group[0].trial
                assert trial is not None
                settings = tuple(sorted({**dict(trial.settings), LENGTH: steps}.items()))
                for member in in_folds(Trial(trial.method, seed, settings), self.folds):
                    yield PlannedControl(member, control)

    def _stored_length(self, budget: Budget) -> int | None:
        """What controls of this winner were planned for before."""
        ours = (record for record in self.stored if record.control is not None and record.control.budget == budget)
        return next((int(record.configuration[LENGTH]) for record in ours if LENGTH in record.configuration), None)

    def _equal_cost(self, trained: Sequence[float]) -> int | None:
        """The manual steps that cost what the winner did; None where trials of that length are there already."""
        seconds = _median_of(self.winner, lambda record: own_seconds(record, self.rate))
        step_seconds = _median_of(self.by_hand, self._step_seconds)
        if not seconds or not step_seconds:
            return None
        steps = max(1, round(seconds / step_seconds))
        return None if any(abs(steps - other) <= SAME_COST * other for other in trained) else steps

    def _step_seconds(self, record: Record) -> float | None:
        seconds, steps = own_seconds(record, self.rate), _steps(record)
        return None if seconds is None or not steps else seconds / steps

    @property
    def _compared(self) -> list[Record]:
        return [*self.winner, *self.by_hand]

    def _devices(self) -> list[str]:
        results = [record.result for record in self._compared if record.result is not None]
        return sorted({result.device for result in results if result.device is not None})

    def _note(self, budget: Budget, steps: int) -> str:
        n = len(self.groups) * len(self.winner) * (self.folds or 1)
        names = ", ".join(f"{group[0].method} ({group[0].setting})" for group in self.groups)
        winner = f"{self.winner[0].method} ({self.winner[0].setting})"
        shared = f"as long as {winner}" if budget == "steps" else f"which cost as much as {winner}"
        return f"{n} {'control' if n == 1 else 'controls'}: {names} for {steps} steps, {shared}"


def _steps(record: Record) -> float | None:
    return None if record.result is None else record.result.steps


def _median_of(records: Iterable[Record], value: Callable[[Record], float | None]) -> float | None:
    """The median of a value over the trials that have it; None where none does."""
    values = [number for record in records if (number := value(record)) is not None]
    return median(values) if values else None
