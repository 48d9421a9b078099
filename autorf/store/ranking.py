"""Which trials did best on the validation split, and finding a trial by its key."""

import json
from collections.abc import Iterable, Sequence
from statistics import mean

from autorf.errors import InputError, near_names
from autorf.methods import is_manual, method_class
from autorf.store.store import Record
from autorf.study.objectives import is_metric, parse_constraint, sign
from autorf.study.search_spec import SearchSpec


def ranked(records: Iterable[Record], search: SearchSpec) -> list[list[Record]]:
    """Complete trials within the constraints, together by configuration: the best mean over seeds of what the search
    aims at first, in each the best seed first; no controls, which were trained longer than the rest, and nothing that
    is not trained at all."""
    limits = [parse_constraint(text) for text in search.constraints]
    together: dict[str, list[Record]] = {}
    for record in records:
        if record.state != "complete" or record.result is None or not searched(record):
            continue
        if all(limit.holds(record.result.by_name) for limit in limits):
            together.setdefault(json.dumps(record.configuration, sort_keys=True), []).append(record)
    groups = [sorted(group, key=lambda record: -_value(record, search)) for group in together.values()]
    return sorted(groups, key=lambda group: -mean(_value(record, search) for record in group))


def objective(search: SearchSpec) -> str:
    """What chooses one trial: the first metric among the objectives, or the first cost where there is none."""
    return next((name for name in search.objectives if is_metric(name)), search.objectives[0])


def score(record: Record, search: SearchSpec) -> float:
    """A complete trial's :func:`objective`, on the validation split."""
    return record.value(objective(search))


def _value(record: Record, search: SearchSpec) -> float:
    return sign(objective(search)) * score(record, search)


def searched(record: Record) -> bool:
    """Whether the trial is one of those that are chosen from: no control, and no checkpoint that is only measured."""
    return record.control is None and method_class(record.method).trained


def manual(record: Record) -> bool:
    """Whether the trial's receptive field was set by hand."""
    return is_manual(record.method)


def winner(study: str, records: Sequence[Record], search: SearchSpec) -> Record:
    """The best seed of the best configuration.

    Raises:
        InputError: when no trial is complete, or none within the constraints.
    """
    groups = ranked(records, search)
    if not groups and any(record.state == "complete" for record in records):
        limits = " and ".join(search.constraints)
        raise InputError(f"study {study!r}: no complete trial keeps {limits}; name one with --trial KEY")
    if not groups:
        states = ", ".join(f"{n} {state}" for state, n in _counts(records).items()) or "none at all"
        raise InputError(f"study {study!r} has no complete trial ({states}); finish it first: autorf search {study}")
    return groups[0][0]


def trial_named(study: str, records: Sequence[Record], prefix: str) -> Record:
    """The trial whose key begins with ``prefix``.

    Raises:
        InputError: when no key or more than one does, or the trial is not complete.
    """
    matching = [record for record in records if record.key.startswith(prefix)] if prefix else []
    if len(matching) > 1:
        some = ", ".join(f"{record.key} {record.label}" for record in matching[:4])
        raise InputError(f"--trial {prefix}: {len(matching)} trials begin so: {some}; give more digits")
    if not matching:
        near = near_names(prefix, [record.key for record in records])
        some = ", ".join(f"{record.key} {record.label}" for record in records[:3])
        raise InputError(
            f"--trial {prefix or '(empty)'}: study {study!r} has no such trial{near}; it has {some}, ...: "
            f"autorf compare {study} --format json lists every key"
        )
    if matching[0].state != "complete":
        reason = f" ({matching[0].reason})" if matching[0].reason else ""
        raise InputError(
            f"--trial {prefix}: {matching[0].label} is {matching[0].state}{reason}; choose a complete trial"
        )
    return matching[0]


def _counts(records: Sequence[Record]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for record in records:
        counts[record.state] = counts.get(record.state, 0) + 1
    return counts
