"""The best learned against manual configurations that were trained equally: as many steps, or for the same cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any

from autorf.comparison.groups import Group, members_of, steps_in_words
from autorf.comparison.judging import Judge, Judged, interval, judgement, not_told, words
from autorf.comparison.rows import Row
from autorf.methods import method_class
from autorf.study.control import Budget
from autorf.study.trial import side_text

SAME_COST = 0.05
"""A configuration costs as much as another when its seconds differ by at most this share."""

_LENGTH = ("data.", "training.batch_size", "training.steps")


@dataclass(frozen=True)
class Equal:
    """The best learned against the best manual configuration of equal training.

    Attributes:
        manual, learned: ``method``, ``params``, ``keys`` of the trials, ``study``, the ``mean`` score, ``steps`` (None
            where they are not known) and the ``own_seconds`` of a trial.
        difference: learned less manual, the mean over the seeds they share.
        difference_low, difference_high: as of a :class:`autorf.comparison.Verdict`, corrected for having chosen among
            the configurations of equal training.
        outcome: ``better``, ``worse``, ``no difference`` or ``unknown``.
        same_field: whether every seed ended at the manual configuration's very field: the difference then is what the
            search costs or brings, and says nothing of the field.
        sentence: the same in words.
    """

    manual: dict[str, Any]
    learned: dict[str, Any]
    difference: float
    difference_low: float | None
    difference_high: float | None
    outcome: str
    same_field: bool
    sentence: str


def equal_steps(winner: Group, groups: Sequence[Group], judge: Judge) -> Equal | None:
    """At the steps of ``winner``, the best learned configuration; None where no manual one was trained so long."""

    def alike(group: Group) -> bool:
        return trained_alike(group, winner)

    if winner.stopped:
        return None
    if winner.steps is not None:
        budget = f"At equal steps ({winner.steps})"
    else:
        budget = f"At equally many epochs ({winner.epochs}; steps are not known)"
    return _equal(budget, _learned(winner, groups), _manual(winner, groups, "steps", alike), judge)


def equal_cost(winner: Group, groups: Sequence[Group], judge: Judge) -> Equal | None:
    """At the seconds that ``winner`` took; None where no manual configuration took as many, or on several devices."""

    def alike(group: Group) -> bool:
        return isclose(group.own_seconds, winner.own_seconds, rel_tol=SAME_COST)

    if not winner.own_seconds or several_devices(winner, groups):
        return None
    budget = f"At equal cost ({winner.own_seconds:.3g} {seconds_unit(winner)} a trial)"
    return _equal(budget, _learned(winner, groups), _manual(winner, groups, "cost", alike), judge)


def trained_alike(group: Group, other: Group) -> bool:
    """Whether both were trained equally many steps; where those are not known, equally many epochs of one study.

    What was stopped early is alike to nothing: its length came out of what it scored.
    """
    if group.stopped or other.stopped:
        return False
    if group.steps is not None and other.steps is not None:
        return group.steps == other.steps
    same_epochs = group.epochs is not None and group.epochs == other.epochs
    return same_epochs and group.study == other.study and _settings(group) == _settings(other)


def several_devices(winner: Group, groups: Sequence[Group]) -> tuple[str, ...]:
    """The devices of the winner and of all it could be compared with, where there are several; else empty."""
    compared = [winner, *(group for group in groups if group.manual or _controls(group, winner))]
    devices = sorted({device for group in compared for device in group.devices})
    return tuple(devices) if len(devices) > 1 else ()


def seconds_unit(group: Group) -> str:
    """What a group's ``own_seconds`` are."""
    return "GPU-seconds" if "cuda" in group.devices else "CPU-seconds"


def training_words(winner: Group, manual: Group, rows: Sequence[Row]) -> str:
    """That training was not equal, and what became of the controls that would have made it so."""
    ours, theirs = _length(winner, manual), _length(manual, winner)
    lengths = f"the best learned configuration trained {ours}, the best manual one {theirs}"
    controls = [row.state for row in rows if row.winner == _configuration(winner) and not row.counts]
    counts = ", ".join(f"{controls.count(state)} {state}" for state in dict.fromkeys(controls))
    ended = f" (controls: {counts})" if counts else ""
    return f"Training was not equal: {lengths}{ended}"


def _length(group: Group, other: Group) -> str:
    if group.most_steps is not None and other.most_steps is not None:
        early = f", {group.stopped} of {group.n} stopped early" if group.stopped else ""
        return f"{steps_in_words(group.fewest_steps, group.most_steps, 0)} steps{early}"
    if group.epochs is None:
        return "for a length that is not known"
    return f"{group.epochs} epochs (steps are not known)"


def _settings(group: Group) -> dict[str, Any]:
    """Those that change how many steps an epoch has."""
    return {name: value for name, value in group.params.items() if name.startswith(_LENGTH)}


def _configuration(group: Group) -> dict[str, Any]:
    return {"method": group.method, **group.params}


def _controls(group: Group, winner: Group) -> bool:
    """Whether a group is a control of this very winner."""
    return group.control is not None and group.study == winner.study and group.winner == _configuration(winner)


def _learned(winner: Group, groups: Sequence[Group]) -> list[Group]:
    usable = [group for group in groups if group.learned and group.feasible]
    return [group for group in usable if group is winner or trained_alike(group, winner)]


def _manual(winner: Group, groups: Sequence[Group], budget: Budget, alike: Callable[[Group], bool]) -> list[Group]:
    """The manual grid and the winner's controls, as far as they have the budget."""
    ours = [group for group in groups if group.feasible and (group.manual or _controls(group, winner))]
    return [group for group in ours if group.control == budget or alike(group)]


def _equal(budget: str, learned: Sequence[Group], manual: Sequence[Group], judge: Judge) -> Equal | None:
    if not learned or not manual:
        return None
    judged, metric = judge(learned, manual), judge.metric
    same = _same_field(judged, judge.rows)
    choices = f"{len(manual)} manual and {len(learned)} learned" if len(manual) + len(learned) > 2 else ""
    meaning = _price(judged, metric, choices) if same else judgement(judged, metric, choices, "learning is")
    names = f"best learned {words(judged.first, metric)} against best manual {words(judged.second, metric)}"
    return Equal(
        manual=_described(judged.second),
        learned=_described(judged.first),
        difference=judged.difference,
        difference_low=judged.low,
        difference_high=judged.high,
        outcome=judged.outcome,
        same_field=same,
        sentence=f"{budget}: {names}: {meaning}.",
    )


def _described(group: Group) -> dict[str, Any]:
    return {
        "method": group.method,
        "params": group.params,
        "keys": group.keys,
        "study": group.study,
        "mean": group.mean,
        "steps": group.steps,
        "own_seconds": group.own_seconds,
    }


def _same_field(judged: Judged, rows: Sequence[Row]) -> bool:
    """Whether all seeds of both have one field; a field that differs from pixel to pixel is never a manual one."""
    if method_class(judged.first.method).per_pixel:
        return False
    fields = [row.rf for group in (judged.first, judged.second) for row in members_of(group, rows).values()]
    return all(field is not None and field == fields[0] for field in fields)


def _price(judged: Judged, metric: str, choices: str) -> str:
    """The difference between two trainings of one field."""
    same = f"same {_field_words(judged.second)}"
    if judged.outcome == "unknown":
        return f"{same}, so the difference is the price (or worth) of the search: {not_told(judged, metric)}"
    size = interval(judged, metric, choices)
    if judged.outcome == "no difference":
        return f"{same}; the price or worth of the search is within noise at this number of seeds ({size})"
    return f"{same}; the {'worth' if judged.outcome == 'better' else 'price'} of the search is {size}"


def _field_words(manual: Group) -> str:
    rate = manual.params.get("rate")
    return f"field of {side_text(manual.rf)} px" if rate is None else f"dilation as rate {rate}"
