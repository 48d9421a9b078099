"""Figures of a study and the self-contained HTML report."""

from autorf.report.metric import metric_figure
from autorf.report.page import report_page
from autorf.report.pareto import pareto_figure
from autorf.report.results import StudyResults, read_results
from autorf.report.trajectories import trajectory_figure
from autorf.report.writing import write_report

__all__ = [
    "StudyResults",
    "metric_figure",
    "pareto_figure",
    "read_results",
    "report_page",
    "trajectory_figure",
    "write_report",
]
