"""What a report is made from: a study's records, its comparison, and the evidence of its trials."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from autorf.study.comparison import Comparison, Row, compare
from autorf.study.evidence import Evidence, read_evidence
from autorf.study.store import Record, Store


@dataclass(frozen=True)
class StudyResults:
    """A study as it stands, finished or not.

    Attributes:
        name: of the study.
        spec: its study file as plain values; None for a study that never began.
        records: the newest attempt at every trial.
        comparison: rows, groups and verdict.
        folder: the study's own; trials' evidence lies below it.
    """

    name: str
    spec: Mapping[str, Any] | None
    records: Sequence[Record]
    comparison: Comparison
    folder: Path

    def evidence(self, key: str) -> Evidence | None:
        """What the trial ``key`` left behind, or None."""
        return read_evidence(self.folder / "trials" / key)

    @cached_property
    def states(self) -> dict[str, int]:
        """Trials by state, in the order of a trial's life."""
        order = ("complete", "pruned", "running", "waiting", "failed")
        found = [record.state for record in self.records]
        return {state: found.count(state) for state in order if state in found}

    @property
    def unfinished(self) -> int:
        """How many trials are running or waiting."""
        return self.states.get("running", 0) + self.states.get("waiting", 0)

    def complete_rows(self, group: Mapping[str, Any]) -> list[Row]:
        """The finished trials of a configuration, by seed."""
        rows = [
            row
            for row in self.comparison.rows
            if row.state == "complete" and (row.method, row.params) == (group["method"], group["params"])
        ]
        return sorted(rows, key=lambda row: row.seed)

    def first_evidence(self, rows: Iterable[Row]) -> Evidence | None:
        """The evidence of the first of ``rows`` that left some."""
        return next((found for row in rows if (found := self.evidence(row.key)) is not None), None)


def read_results(store: Store) -> StudyResults:
    """The results of a study from its store and folder."""
    records = store.records()
    return StudyResults(store.name, store.spec, records, compare(store.name, records), store.folder)
