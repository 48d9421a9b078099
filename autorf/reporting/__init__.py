"""Figures of a study and the self-contained HTML report."""

from autorf.reporting.costs import cost_figure
from autorf.reporting.figures import ReportFigure
from autorf.reporting.heat_map import heat_map_figure
from autorf.reporting.metric import metric_figure
from autorf.reporting.page import report_page
from autorf.reporting.pareto import pareto_figure
from autorf.reporting.report_data import ReportData, report_data
from autorf.reporting.search_window import loss_profile_figure
from autorf.reporting.trajectories import trajectory_figure
from autorf.reporting.writing import write_report

__all__ = [
    "ReportData",
    "ReportFigure",
    "cost_figure",
    "heat_map_figure",
    "loss_profile_figure",
    "metric_figure",
    "pareto_figure",
    "report_data",
    "report_page",
    "trajectory_figure",
    "write_report",
]
