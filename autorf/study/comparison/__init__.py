"""Manual against learned receptive fields: rows, groups over seeds, cost, tables, and a verdict."""

from autorf.statistics import half_width
from autorf.study.comparison.breakdown import ClassRow, ScaleRow, SizeMean, SizeRow
from autorf.study.comparison.comparison import Comparison, compare, compare_studies
from autorf.study.comparison.costs import Cost, Curve
from autorf.study.comparison.field_map import FieldMap, object_map, study_map
from autorf.study.comparison.named import NamedGroup
from autorf.study.comparison.results import StudyResults, results_of
from autorf.study.comparison.rows import Group, Row
from autorf.study.comparison.verdict import Verdict

__all__ = [
    "ClassRow",
    "Comparison",
    "Cost",
    "Curve",
    "FieldMap",
    "Group",
    "NamedGroup",
    "Row",
    "ScaleRow",
    "SizeMean",
    "SizeRow",
    "StudyResults",
    "Verdict",
    "compare",
    "compare_studies",
    "half_width",
    "object_map",
    "results_of",
    "study_map",
]
