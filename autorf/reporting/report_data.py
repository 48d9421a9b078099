"""What a report is made from: one study or several, their comparison, and the evidence of their trials."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autorf.comparison import Comparison, Group, StudyResults, compare_studies
from autorf.comparison.breakdown import EvidenceOf
from autorf.running.evidence import Evidence
from autorf.store.store import Record

BEST = ("best manual", "best learned")
_STATES = ("complete", "pruned", "running", "waiting", "failed")


@dataclass(frozen=True)
class ReportData:
    """Studies as they stand, finished or not.

    Attributes:
        studies: at least one; the first one's study file is shown.
        comparison: of all of them.
    """

    studies: tuple[StudyResults, ...]
    comparison: Comparison

    @property
    def name(self) -> str:
        """The studies' names."""
        return self.comparison.study

    @property
    def records(self) -> list[Record]:
        """The newest attempt at every trial of every study."""
        return [record for study in self.studies for record in study.records]

    @property
    def states(self) -> dict[str, int]:
        """Trials by state, in the order of a trial's life."""
        states = [record.state for record in self.records]
        return {state: states.count(state) for state in _STATES if state in states}

    @property
    def unfinished(self) -> int:
        """How many trials are running or waiting."""
        return self.states.get("running", 0) + self.states.get("waiting", 0)

    @property
    def unit(self) -> str:
        """What seconds of training are: of a CPU or of a GPU."""
        return self.comparison.unit

    def part(self, name: str) -> Mapping[str, Any]:
        """One part of the first study file, such as ``data``."""
        return self.studies[0].part(name)

    @property
    def evidence_of(self) -> EvidenceOf:
        """Reads what the trials of a group left behind, by seed."""
        return EvidenceOf(self.studies, self.comparison.members)

    def first_evidence(self, group: Group) -> Evidence | None:
        """The evidence of a group's first seed that left some."""
        by_seed = self.evidence_of(group)
        return by_seed[min(by_seed)] if by_seed else None

    def best(self) -> Iterator[tuple[str, Group]]:
        """The best manual and the best learned configuration, those there are."""
        verdict = self.comparison.verdict
        for name, best in zip(BEST, (verdict.best_manual, verdict.best_learned), strict=True):
            group = self.comparison.group_of(best)
            if group is not None:
                yield name, group


def report_data(studies: Sequence[StudyResults]) -> ReportData:
    """Compare ``studies``.

    Raises:
        InputError: when they cannot be compared.
    """
    return ReportData(tuple(studies), compare_studies(studies))
