"""That a study was cross-validated, and which of its replicates are not whole."""

from collections.abc import Iterator, Sequence

from autorf.comparison.results import StudyResults
from autorf.store.record import Record
from autorf.store.replicates import Replicate
from autorf.tasks import CLASSIFICATION

MOST = 8
"""So many replicates that are not whole are named."""


def fold_notes(studies: Sequence[StudyResults]) -> Iterator[str]:
    """What a reader of a comparison has to know of folds, a sentence each; nothing where no data is in any.

    Args:
        studies: with their replicates, see :attr:`autorf.comparison.results.StudyResults.pooled`.
    """
    for study in studies:
        if study.folds is None:
            continue
        yield (
            f"{study.name} is cross-validated: a replicate is all {study.folds} folds of a seed{_images(study)}, each "
            "image scored once by a model that never saw it; intervals are over replicates, since folds share training "
            "images."
        )
        begun = [record for record in study.records if record.state not in ("complete", "waiting")]
        yield from map(_not_counted, begun[:MOST])
        if len(begun) > MOST:
            yield f"{len(begun) - MOST} more replicates are not whole and not counted."


def _images(study: StudyResults) -> str:
    """How many images the replicates have, where the study knows its images, and what of them is pooled."""
    counts = "right pictures" if study.task == CLASSIFICATION else "confusions"
    splits = (study.notes.get("data") or {}).get("splits") or {}
    n_images = (splits.get("val") or {}).get("n")
    return f", the {counts} of {n_images} images pooled" if n_images else f", their {counts} pooled"


def _not_counted(record: Record) -> str:
    missing = record.missing if isinstance(record, Replicate) else record.reason
    return f"{record.label} is not counted: {missing}."
