"""The report's tables."""

from collections.abc import Callable, Sequence

from autorf.report.blocks import Column, Line, Table, table
from autorf.report.results import StudyResults
from autorf.report.words import METRIC_NAMES, NONE, duration, fixed, number, setting
from autorf.study.comparison import Group, Row
from autorf.study.trial import side_text

_STATES = ("complete", "pruned", "running", "failed")


def trial_table(results: StudyResults) -> Table:
    """Every trial that began: the best first, then those without a result; with the reason where there is one."""
    rows = sorted(results.comparison.rows, key=lambda row: (_STATES.index(row.state), -(row.miou or 0)))
    cells: dict[Column, Callable[[Row], str]] = {
        Column("configuration", False): lambda row: f"{row.method} ({row.setting})",
        Column("seed"): lambda row: str(row.seed),
        Column("state", False): lambda row: row.state,
        Column("mIoU"): lambda row: fixed(row.miou),
        Column("F1"): lambda row: fixed(row.f1),
        Column("accuracy"): lambda row: fixed(row.pixel_accuracy),
        Column("rf"): lambda row: NONE if row.rf is None else side_text(row.rf),
        Column("rnorm"): lambda row: fixed(row.rnorm, 2),
        Column("f"): lambda row: fixed(row.f, 2),
        Column("dilation"): lambda row: number(row.dilation, 2),
        Column("epochs"): lambda row: str(row.epochs or 0),
        Column("time"): lambda row: duration(row.train_seconds),
        Column("key", False): lambda row: row.key,
    }
    kept = {column: cell for column, cell in cells.items() if any(cell(row) != NONE for row in rows)}
    marks = _marks(results)
    lines = [Line(tuple(cell(row) for cell in kept.values()), _mark(row, marks), row.reason or "") for row in rows]
    return table(f"All trials of {results.name}", tuple(kept), lines)


def group_table(groups: Sequence[Group], metric: str) -> Table:
    """The points of the figures of the metric against the receptive field."""
    columns = (
        Column("method", False),
        Column("setting", False),
        *("rf", "rnorm", METRIC_NAMES.get(metric, metric), "95 % interval", "seeds"),
    )
    lines = [
        (
            group.method,
            setting(group.method, group.params),
            side_text(group.rf),
            fixed(group.rnorm, 2),
            fixed(group.miou_mean),
            NONE if group.miou_ci95 is None else f"± {group.miou_ci95:.3f}",
            str(group.n),
        )
        for group in sorted(groups, key=lambda group: max(group.rf))
    ]
    return table("Every configuration with a complete trial", columns, lines)


def _marks(results: StudyResults) -> list[tuple[str, str, object]]:
    verdict = results.comparison.verdict
    chosen = (("best manual", verdict.best_manual), ("best learned", verdict.best_learned))
    return [(title, best["method"], best["params"]) for title, best in chosen if best is not None]


def _mark(row: Row, marks: Sequence[tuple[str, str, object]]) -> str:
    if row.state != "complete":
        return ""
    return next((title for title, method, params in marks if (row.method, row.params) == (method, params)), "")
