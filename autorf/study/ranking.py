"""Which trials did best on the validation split, and finding a trial by its key."""

import json
from collections.abc import Iterable, Sequence
from statistics import mean

from autorf.errors import InputError, near_names
from autorf.methods import MANUAL
from autorf.study.store import Record


def ranked(records: Iterable[Record], metric: str = "miou") -> list[list[Record]]:
    """Complete trials, together by configuration: the best mean over seeds first, in each the best seed first."""
    together: dict[str, list[Record]] = {}
    for record in records:
        if record.state == "complete":
            together.setdefault(json.dumps(record.configuration, sort_keys=True), []).append(record)
    groups = [sorted(group, key=lambda one: -score(one, metric)) for group in together.values()]
    return sorted(groups, key=lambda group: -mean(score(one, metric) for one in group))


def score(record: Record, metric: str = "miou") -> float:
    """A complete trial's metric on the validation split."""
    return float(record.result[metric])


def manual(record: Record) -> bool:
    """Whether the trial's receptive field was set by hand."""
    return record.configuration["method"] in MANUAL


def winner(study: str, records: Sequence[Record], metric: str = "miou") -> Record:
    """The best seed of the best configuration.

    Raises:
        InputError: when no trial is complete.
    """
    groups = ranked(records, metric)
    if not groups:
        states = ", ".join(f"{n} {state}" for state, n in _counts(records).items()) or "none at all"
        raise InputError(f"study {study!r} has no complete trial ({states}); finish it first: autorf search {study}")
    return groups[0][0]


def trial_named(study: str, records: Sequence[Record], prefix: str) -> Record:
    """The trial whose key begins with ``prefix``.

    Raises:
        InputError: when no key or more than one does, or the trial is not complete.
    """
    found = [record for record in records if record.key.startswith(prefix)] if prefix else []
    if len(found) > 1:
        some = ", ".join(f"{record.key} {record.label}" for record in found[:4])
        raise InputError(f"--trial {prefix}: {len(found)} trials begin so: {some}; give more digits")
    if not found:
        near = near_names(prefix, [record.key for record in records])
        best = "".join(f"; the best is {group[0].key} {group[0].label}" for group in ranked(records)[:1])
        raise InputError(
            f"--trial {prefix}: study {study!r} has no such trial{near}{best}; see: autorf compare {study}"
        )
    if found[0].state != "complete":
        reason = f" ({found[0].reason})" if found[0].reason else ""
        raise InputError(f"--trial {prefix}: {found[0].label} is {found[0].state}{reason}; choose a complete trial")
    return found[0]


def _counts(records: Sequence[Record]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for record in records:
        counts[record.state] = counts.get(record.state, 0) + 1
    return counts
