"""What the commands on studies do."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from autorf.cli.exit_codes import DONE, FAILED_TRIALS
from autorf.cli.json_stdout import json_stdout
from autorf.errors import InputError
from autorf.study import builtin
from autorf.study.comparison import Comparison, Row
from autorf.study.comparison import compare as compared
from autorf.study.spec import StudySpec, parse_study, read_yaml
from autorf.study.store import open_store
from autorf.study.trial import side_text

if TYPE_CHECKING:
    from autorf.study.search import Outcome

FORMATS = ("table", "json", "csv")


def read_study(study: str, overrides: list[str]) -> tuple[StudySpec, str]:
    """The study that a path or built-in name means, and where it was read from."""
    path = builtin.locate("studies", study, field="STUDY")
    source = study if Path(study).exists() else f"{study}.yaml"
    return parse_study(read_yaml(path), source, tuple(overrides)), source


def search(
    study: str, root: Path, overrides: list[str], *, retry_failed: bool, quiet: bool, json_lines: bool = False
) -> int:
    """Run what is missing of a study, then show the comparison."""
    from autorf.study.progress import write_object
    from autorf.study.search import search as run
    from autorf.tracking import shown_uri

    spec, source = read_study(study, overrides)
    if json_lines:
        with json_stdout() as stream:
            outcome = run(spec, source, root, retry_failed=retry_failed, json_lines=stream)
            final = compared(spec.name, open_store(root, spec.name).records())
            write_object(stream, "comparison", json.loads(final.to_json()))
        return _status(outcome)
    outcome = run(spec, source, root, retry_failed=retry_failed, quiet=quiet)
    _print_table(compared(spec.name, open_store(root, spec.name).records()))
    where = "" if root == Path("runs") else f" --root {root}"
    mirror = shown_uri(spec.tracking.uri or f"sqlite:///{root / 'mlflow.db'}")
    opened = mirror if mirror.startswith("http") else f"mlflow ui --backend-store-uri {mirror}"
    print(f"\nNext: autorf compare {spec.name}{where} --format json   the same as data")
    print(f"      autorf report {spec.name}{where}   one page with figures")
    print(f"      {opened}   curves of every trial")
    return _status(outcome)


def _status(outcome: "Outcome") -> int:
    if outcome.failed:
        print(f"autorf: {outcome.failed} trials failed; run them again with --retry-failed", file=sys.stderr)
        return FAILED_TRIALS
    return DONE


def dry_run(study: str, root: Path, overrides: list[str]) -> int:
    """Print the study's trials with what each would take, and train nothing."""
    from autorf.cli.dry_run import dry_run as run

    return run(*read_study(study, overrides), root)


def compare(study: str, root: Path, format: str) -> int:
    """Print the comparison of a study as it stands."""
    if format not in FORMATS:
        raise InputError(f"--format {format}: one of {', '.join(FORMATS)}")
    name = study_name(study)
    comparison = compared(name, open_store(root, name).records())
    if format == "json":
        print(comparison.to_json())
    elif format == "csv":
        print(comparison.to_csv(), end="")
    else:
        _print_table(comparison)
    return DONE


def report(study: str, root: Path, output: Path | None, *, force: bool) -> int:
    """Write the report of a study as it stands and print its path."""
    from autorf.report import write_report

    print(write_report(open_store(root, study_name(study)), output, force=force))
    return DONE


def study_name(study: str) -> str:
    """The name of the study that a file describes, or ``study`` itself."""
    return parse_study(read_yaml(Path(study)), study).name if Path(study).is_file() else study


def list_builtin() -> int:
    """Print the built-in studies and search spaces with the first line of each file's comment."""
    titles: dict[builtin.Kind, str] = {"studies": "Studies", "search_spaces": "Search spaces"}
    for kind, title in titles.items():
        print(f"{title} ({builtin.folder(kind)})")
        for name in builtin.names(kind):
            first = (builtin.folder(kind) / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
            print(f"  {name:<20} {first.removeprefix('# ')}")
    return DONE


def _print_table(comparison: Comparison) -> None:
    table = Table(
        title=f"{comparison.study}: validation split", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for column in ("", "method", "setting", "seed", "rf", "rnorm", "f", "dil.", "mIoU", "F1", "s"):
        table.add_column(column, justify="left" if column in ("", "method", "setting") else "right", no_wrap=True)
    best = {
        json.dumps([group["method"], group["params"]]): mark
        for group, mark in (
            (comparison.verdict.best_manual, "best manual"),
            (comparison.verdict.best_learned, "best learned"),
        )
        if group is not None
    }
    for row in comparison.rows:
        mark = best.get(json.dumps([row.method, row.params]), "") if row.state == "complete" else row.state
        table.add_row(mark, row.method, row.setting, str(row.seed), *_numbers(row), style="bold" if mark else None)
    console = Console()
    if not console.is_terminal:
        # A pipe has no width of its own; a table cut to 80 columns would lose its numbers.
        console.width = 200
    console.print(table)
    for row in comparison.rows:
        if row.reason:
            console.print(
                f"{row.method} ({row.setting}) seed {row.seed}: {row.reason}", highlight=False, soft_wrap=True
            )
    console.print(comparison.verdict.sentence, highlight=False, soft_wrap=True)


def _numbers(row: Row) -> list[str]:
    rf = "" if row.rf is None else side_text(row.rf)
    digits = ((row.rnorm, 2), (row.f, 2), (row.dilation, 2), (row.miou, 3), (row.f1, 3), (row.train_seconds, 0))
    return [rf, *("" if value is None else f"{value:.{places}f}" for value, places in digits)]
