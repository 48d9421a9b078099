"""Replicates: what counts as one training of a configuration under one seed, where the data is in folds.

The trials of one seed on all folds validate every image once, each by a model that never saw it. Their confusion
matrices, or of a classification their tallies of right pictures, add up to that of the whole data set, and its scores
are the replicate's. Folds share training images, so a trial on one of them is never a replicate, and neither are the
folds of a seed that is not whole.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

import torch

from autorf.accuracy import accuracies
from autorf.data import Labels, labels_in
from autorf.metrics import scores
from autorf.store.record import Record, State
from autorf.study.settings import FOLD
from autorf.training.results import LABELLED, METRICS, Field, Matrix, TrialResult


@dataclass(frozen=True)
class Replicate(Record):
    """The trials of one configuration under one seed, on every fold of the data.

    Its ``configuration``, ``trial`` and ``setting`` are those of the trials without the fold, its ``key`` is that of
    the first one. Complete is one whose every fold is: its ``result`` has the scores of all images pooled, and of
    everything else the mean over the folds' trainings.

    Attributes:
        folds: the trials, by fold; those that there are.
        n_folds: how many folds the data has.
    """

    folds: tuple[Record, ...] = ()
    n_folds: int = 0

    @property
    def missing(self) -> str:
        """How much of it there is, for people: ``3 of 5 folds are complete (fold 3 failed, fold 4 waiting)``."""
        complete = [record for record in self.folds if record.state == "complete"]
        others = [f"fold {record.fold} {record.state}" for record in self.folds if record.state != "complete"]
        there = {record.fold for record in self.folds}
        others += [f"fold {fold} missing" for fold in range(self.n_folds) if fold not in there]
        rest = f" ({', '.join(others)})" if others else ""
        return f"{len(complete)} of {self.n_folds} folds are complete{rest}"


def trials_of(record: Record) -> tuple[Record, ...]:
    """The trials that a record stands for: the folds of a replicate, or itself."""
    return record.folds if isinstance(record, Replicate) else (record,)


def replicates(records: Iterable[Record], data: Mapping[str, Any]) -> list[Record]:
    """The trials of a study as they are compared: its replicates where the data is in folds, else as they are.

    Args:
        records: the newest attempt at every trial.
        data: the ``data`` section of the study file.
    """
    n_folds = data.get("folds")
    if not isinstance(n_folds, int):
        return list(records)
    labels = labels_in(data)
    together: dict[str, list[Record]] = {}
    for record in records:
        control = None if record.control is None else record.control.to_json()
        # One that cannot be read is nobody's fold.
        place = [record.key] if record.fold is None else [_whole(record), record.seed, control]
        together.setdefault(json.dumps(place, sort_keys=True), []).append(record)
    return [_replicate(members, n_folds, labels) for members in together.values()]


def _whole(record: Record) -> dict[str, Any]:
    """The configuration without the fold."""
    return {name: value for name, value in record.configuration.items() if name != FOLD}


def _replicate(members: Sequence[Record], n_folds: int, labels: Labels | None) -> Record:
    if members[0].fold is None:
        return members[0]
    folds = tuple(sorted(members, key=lambda record: record.fold or 0))
    first, state = folds[0], _state(folds, n_folds)
    result = _pooled(folds, labels) if state == "complete" else None
    if state == "complete" and result is None:
        state = "failed"
    ends = [record.ended for record in folds if record.ended is not None]
    whole = Replicate(
        row=min(record.row for record in folds),
        key=first.key,
        configuration=_whole(first),
        seed=first.seed,
        state=state,
        attempt=max(record.attempt for record in folds),
        trial=None if first.trial is None else first.trial.without_fold,
        result=result,
        ended=max(ends) if len(ends) == n_folds else None,
        control=first.control,
        folds=folds,
        n_folds=n_folds,
    )
    return replace(whole, reason=_reason(whole))


def _state(folds: Sequence[Record], n_folds: int) -> State:
    states = {record.state for record in folds}
    if "failed" in states:
        return "failed"
    if states == {"complete"} and [record.fold for record in folds] == list(range(n_folds)):
        return "complete"
    return "waiting" if states == {"waiting"} else "running"


def _reason(whole: Replicate) -> str | None:
    reasons = [f"fold {record.fold}: {record.reason}" for record in whole.folds if record.reason]
    if whole.state == "complete" or whole.state == "waiting":
        return "; ".join(reasons) or None
    if all(record.state == "complete" for record in whole.folds) and len(whole.folds) == whole.n_folds:
        return "the folds cannot be pooled: their counts are missing, or of different classes"
    return "; ".join([whole.missing, *reasons])


def _pooled(folds: Sequence[Record], labels: Labels | None) -> TrialResult | None:
    """The result of all folds together; None where their counts cannot be added up."""
    results = [record.result for record in folds if record.result is not None]
    if labels is None or len(results) < len(folds):
        return None
    first = results[0]
    scored = _pooled_pictures(results) if first.tally else _pooled_pixels(results, labels)
    if scored is None:
        return None
    return TrialResult(
        **scored,
        mean_over=LABELLED,
        learned=_means([result.learned for result in results]),
        field=_mean_field(results),
        costs=_means([result.costs for result in results]),
        epochs=max(result.epochs for result in results),
        steps=_common([result.steps for result in results]),
        seconds=_mean([result.seconds for result in results]),
        cpu_seconds=_mean([result.cpu_seconds for result in results]),
        device=_common([result.device for result in results]),
        split=first.split,
    )


def _pooled_pixels(results: Sequence[TrialResult], labels: Labels) -> dict[str, Any] | None:
    """What the confusion matrices of all folds add up to, and its scores."""
    names = list(results[0].iou_per_class)
    if not all(result.confusion and list(result.iou_per_class) == names for result in results):
        return None
    confusion = _added_up([result.confusion for result in results])
    whole = scores(confusion, names, labels.groups, labels.left_out)
    return {
        "metrics": {name: getattr(whole, name) for name in METRICS},
        "groups": whole.known_groups,
        "iou_per_class": whole.iou,
        "f1_per_class": whole.f1_per_class,
        "confusion": tuple(map(tuple, confusion.tolist())),
    }


def _pooled_pictures(results: Sequence[TrialResult]) -> dict[str, Any] | None:
    """Of a classification: what the tallies of all folds add up to, and its accuracies."""
    names = list(results[0].accuracy_per_class)
    if not all(result.tally and list(result.accuracy_per_class) == names for result in results):
        return None
    tally = _added_up([result.tally for result in results])
    whole = accuracies(tally, names)
    return {
        "metrics": whole.by_name,
        "accuracy_per_class": whole.accuracy_per_class,
        "tally": tuple(map(tuple, tally.tolist())),
    }


def _added_up(matrices: Sequence[Matrix]) -> torch.Tensor:
    return torch.tensor(matrices, dtype=torch.int64).sum(0)


def _means(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of the numbers that every fold has."""
    names = [name for name in values[0] if all(name in each for each in values)]
    return {name: mean(each[name] for each in values) for name in names}


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return mean(numbers) if len(numbers) == len(values) else None


def _common(values: Sequence[Any]) -> Any:
    return values[0] if len(set(values)) == 1 else None


def _mean_field(results: Sequence[TrialResult]) -> Field | None:
    fields = [result.field for result in results if result.field is not None]
    if len(fields) < len(results):
        return None
    height, width = (round(mean(field.rf[axis] for field in fields), 2) for axis in (0, 1))
    return Field((height, width), mean(field.rnorm for field in fields))
