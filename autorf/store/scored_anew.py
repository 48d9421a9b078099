"""Stored results scored anew by the rule of today, from what the study's files say of the truth."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from autorf.store.record import Record
from autorf.training.rescoring import is_settled, rescored


class LabelledClasses:
    """Which classes have a labelled pixel in the validation split: the same in every trial of a study.

    Args:
        folder: of the study.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: frozenset[str] | None = None

    def of(self, records: Iterable[Record]) -> frozenset[str] | None:
        """From the first trial that left evidence; None where none of them did."""
        if self._known is None:
            from autorf.running.evidence import labelled_classes

            folders = (self._folder / "trials" / record.key for record in records if record.state == "complete")
            self._known = next((names for folder in folders if (names := labelled_classes(folder)) is not None), None)
        return self._known


def scored_anew(records: Sequence[Record], labelled: LabelledClasses) -> list[Record]:
    """The records, results of earlier versions by the rule of today where that can be told."""
    old = [record for record in records if record.result is not None and not is_settled(record.result)]
    if not old:
        return list(records)
    doubtful = any(value == 0 for record in old if record.result for value in record.result.iou_per_class.values())
    names = labelled.of(records) if doubtful else None
    return [
        record if record.result is None else replace(record, result=rescored(record.result, names))
        for record in records
    ]
