"""The studies under a root at a glance."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autorf.errors import InputError, in_one_line
from autorf.specification import parse
from autorf.store.ranking import objective, ranked, score
from autorf.store.replicates import replicates
from autorf.store.storage import POINTER
from autorf.store.store import open_store
from autorf.study.search_spec import SearchSpec


@dataclass(frozen=True)
class StudySummary:
    """One study.

    Attributes:
        name: of the study and its folder.
        n_bytes: of its files on this machine.
        trials: how many there are in each state; a running one without a driver is ``interrupted``.
        metric: what the study aims at first; None where nothing is complete.
        best: the highest mean over seeds, or the lowest of a cost.
        best_label: the configuration that has it.
        problem: why nothing can be said of it; None where something can.
    """

    name: str
    n_bytes: int
    trials: Mapping[str, int] = field(default_factory=dict)
    metric: str | None = None
    best: float | None = None
    best_label: str = ""
    problem: str | None = None


def summaries(root: Path) -> Iterator[StudySummary]:
    """Every study under ``root`` by name; one in a database elsewhere is named, and nobody is waited for."""
    for folder in sorted(path for path in root.glob("*") if path.is_dir()):
        if (folder / "study.db").is_file():
            yield _summary(root, folder)
        elif (folder / POINTER).is_file():
            yield StudySummary(folder.name, _bytes(folder), problem=f"in a database: autorf compare {folder.name}")


def _summary(root: Path, folder: Path) -> StudySummary:
    n_bytes = _bytes(folder)
    try:
        store = open_store(root, folder.name)
        records = store.records()
        states = Counter(
            "interrupted" if record.state == "running" and store.is_abandoned(record) else record.state
            for record in records
        )
        search = parse(SearchSpec, (store.spec or {}).get("search") or {}, f"study {folder.name}")
        groups = ranked(replicates(records, (store.spec or {}).get("data") or {}), search)
    except InputError as error:
        # Beside its name, where it lies is no news; a long path would hide why.
        reason = in_one_line(error).replace(f"{folder}{os.sep}", "")
        return StudySummary(folder.name, n_bytes, problem=reason[:120])
    if not groups:
        return StudySummary(folder.name, n_bytes, dict(states))
    values = [score(record, search) for record in groups[0]]
    label = f"{groups[0][0].method} ({groups[0][0].setting})"
    mean = sum(values) / len(values)
    return StudySummary(folder.name, n_bytes, dict(states), objective(search), mean, label)


def _bytes(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 (a path may be too long for Path)
            except OSError:
                continue
    return total
