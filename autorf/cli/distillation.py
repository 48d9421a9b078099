"""``autorf distill``: teacher and student, what they score and what they cost."""

import json
import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table as Lines

from autorf.cli.exit_codes import DONE, FAILED_TRIALS
from autorf.cli.json_stdout import json_stdout
from autorf.cli.models import check_format
from autorf.cli.studies import name_code, read_study
from autorf.distillation.distill import REPORT, Outcome
from autorf.distillation.distill import distill as run
from autorf.distillation.report import interval
from autorf.distillation.table import LABELS, Row, Table, sentences


def distill(study: str, root: Path, overrides: list[str], format: str, *, force: bool, quiet: bool) -> int:
    """Run what is missing of a distillation, then show its table."""
    check_format(format)
    spec, source = read_study(study, overrides)
    name_code(spec, source)
    if format == "json":
        # What networks of the user's own print meanwhile is no JSON.
        with json_stdout():
            outcome = run(spec, source, root, force=force, quiet=True)
        if outcome.table is not None:
            print(json.dumps(outcome.table.to_json(), indent=2))
    else:
        outcome = run(spec, source, root, force=force, quiet=quiet)
        if outcome.table is not None:
            _print(outcome, outcome.table)
    if outcome.table is None:
        print(f"autorf: a stage failed: {outcome.reason}; the same command continues", file=sys.stderr)
        return FAILED_TRIALS
    return DONE


def _print(outcome: Outcome, table: Table) -> None:
    console = Console()
    lines = Lines(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("", "mIoU", "F1", "parameters", "frames/s", "seeds", "steps"):
        lines.add_column(column, justify="left" if not column else "right", no_wrap=True)
    for row in table.rows:
        lines.add_row(*_cells(row))
    console.print(lines)
    for sentence in (*sentences(table), *table.notes):
        console.print(sentence, highlight=False, soft_wrap=True)
    console.print(
        f"On {table.n_images} validation images; intervals are of 95 %, over seeds and images.\n"
        f"Predictions side by side: {outcome.folder / REPORT}",
        highlight=False,
        soft_wrap=True,
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        LABELS[row.stage],
        interval(row.metrics["miou"]),
        interval(row.metrics["f1"]),
        f"{row.cost.parameters:,}",
        f"{row.cost.frames_per_second:.4g}",
        str(len(row.seeds)),
        f"{row.steps:,}" if row.steps else "none",
    )
