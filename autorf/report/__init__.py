"""Figures of a study and the self-contained HTML report."""

from autorf.report.page import report_page
from autorf.report.results import StudyResults, read_results

__all__ = ["StudyResults", "read_results", "report_page"]
