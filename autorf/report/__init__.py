"""Figures of a study and the self-contained HTML report."""

from autorf.report.costs import cost_figure
from autorf.report.findings import Findings, findings
from autorf.report.heat_map import heat_map_figure
from autorf.report.metric import metric_figure
from autorf.report.page import report_page
from autorf.report.pareto import pareto_figure
from autorf.report.search_window import loss_profile_figure
from autorf.report.trajectories import trajectory_figure
from autorf.report.writing import write_report

__all__ = [
    "Findings",
    "cost_figure",
    "findings",
    "heat_map_figure",
    "loss_profile_figure",
    "metric_figure",
    "pareto_figure",
    "report_page",
    "trajectory_figure",
    "write_report",
]
