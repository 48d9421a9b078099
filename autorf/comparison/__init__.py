"""Manual against learned receptive fields: rows, groups over seeds, cost, tables, and a verdict."""

from autorf.comparison.breakdown import ClassRow, GroupRow, ScaleRow, SizeMean, SizeRow
from autorf.comparison.comparison import Comparison, compare, compare_studies
from autorf.comparison.costs import Cost, Curve
from autorf.comparison.equal import Equal
from autorf.comparison.field_line import FieldLine, SizeWinner
from autorf.comparison.field_map import FieldMap, object_map, study_map
from autorf.comparison.groups import Group
from autorf.comparison.image_sizes import at_best_size, image_sizes
from autorf.comparison.mean_classes import MeanClasses
from autorf.comparison.multiscale import MultiScaleGroup
from autorf.comparison.named import NamedGroup
from autorf.comparison.published import PublishedFigure
from autorf.comparison.recommendation import Recommendation
from autorf.comparison.results import StudyResults, results_of
from autorf.comparison.rows import Row
from autorf.comparison.verdict import Verdict
from autorf.statistics import half_width

__all__ = [
    "ClassRow",
    "Comparison",
    "Cost",
    "Curve",
    "Equal",
    "FieldLine",
    "FieldMap",
    "Group",
    "GroupRow",
    "MeanClasses",
    "MultiScaleGroup",
    "NamedGroup",
    "PublishedFigure",
    "Recommendation",
    "Row",
    "ScaleRow",
    "SizeMean",
    "SizeRow",
    "SizeWinner",
    "StudyResults",
    "Verdict",
    "at_best_size",
    "compare",
    "compare_studies",
    "half_width",
    "image_sizes",
    "object_map",
    "results_of",
    "study_map",
]
