"""The field that the comparison of a study recommends, as its parent run in MLflow shows it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autorf.comparison import StudyResults, compare_studies
from autorf.store.record import Record
from autorf.study.spec import StudySpec


@dataclass(frozen=True)
class Recommended:
    """Texts and numbers by name; none where nothing is recommended."""

    tags: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, float] = field(default_factory=dict)


def recommended(spec: StudySpec, folder: Path, records: Sequence[Record]) -> Recommended:
    """What to use, from the trials whose field was measured; the others have none that could be recommended."""
    measured = tuple(record for record in records if record.result is not None and record.result.field is not None)
    if not measured:
        return Recommended()
    study = StudyResults(spec.name, measured, measured, json.loads(spec.model_dump_json()), folder)
    answer = compare_studies([study]).recommendation
    if answer is None:
        return Recommended()
    tags = {"autorf.recommendation": answer.text}
    if answer.smallest_sufficient is not None:
        tags["autorf.recommended_trial_keys"] = ", ".join(answer.smallest_sufficient["keys"])
    if answer.shape is not None:
        tags["autorf.recommendation_shape"] = answer.shape
    sides = {"recommended_rf_low": answer.rf_low, "recommended_rf_high": answer.rf_high}
    return Recommended(tags, {name: side for name, side in sides.items() if side is not None})
