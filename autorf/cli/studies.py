"""What the commands on studies do."""

import json
import math
import re
import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from autorf.cli.comparison_table import Shown, print_comparison
from autorf.cli.exit_codes import DONE, FAILED_TRIALS
from autorf.cli.json_stdout import json_stdout
from autorf.comparison import compare_studies, results_of
from autorf.comparison.ending import ending
from autorf.errors import InputError, in_short
from autorf.store.storage import remember
from autorf.store.store import Store, open_store
from autorf.study import builtin
from autorf.study.own_code import with_own_code
from autorf.study.plain_yaml import read_yaml
from autorf.study.spec import StudySpec, parse_study
from autorf.tasks import SEGMENTATION

if TYPE_CHECKING:
    from autorf.driver.search import Outcome

FORMATS = ("table", "json", "csv")


def read_study(study: str, overrides: list[str]) -> tuple[StudySpec, str]:
    """The study that a path or built-in name means, and where it was read from."""
    path = builtin.locate("studies", study, field="STUDY")
    source = study if Path(study).exists() else f"{study}.yaml"
    spec = parse_study(read_yaml(path), source, tuple(overrides))
    return with_own_code(spec, source, path.parent), source


def search(
    study: str,
    root: Path,
    overrides: list[str],
    *,
    retry_failed: bool,
    quiet: bool,
    json_lines: bool = False,
    accept_code_change: bool = False,
) -> int:
    """Run what is missing of a study, then show the comparison."""
    from autorf.driver.progress import write_object
    from autorf.driver.search import search as run

    spec, source = read_study(study, overrides)
    name_code(spec, source)
    if json_lines:
        with json_stdout() as stream:
            outcome = run(
                spec,
                source,
                root,
                retry_failed=retry_failed,
                json_lines=stream,
                accept_code_change=accept_code_change,
            )
            final = compare_studies([results_of(open_store(root, spec.name))])
            write_object(stream, "comparison", json.loads(final.to_json()))
        return _status(outcome)
    outcome = run(spec, source, root, retry_failed=retry_failed, quiet=quiet, accept_code_change=accept_code_change)
    store = open_store(root, spec.name)
    print_comparison(compare_studies([results_of(store)]))
    _print_endings([store])
    for warning in outcome.warnings:
        print(f"autorf: warning: {warning}", file=sys.stderr)
    print(f"\n{next_commands(spec, root)}")
    return _status(outcome)


def name_code(spec: StudySpec, source: str) -> None:
    """Say whose code is about to run."""
    if spec.code:
        files = [str(file.path) for file in spec.code.modules.values()]
        places = ", ".join((*files, *(f"module {name}" for name in spec.code.installed)))
        print(f"autorf: {source} runs code of your own: {places}", file=sys.stderr)


def next_commands(spec: StudySpec, root: Path) -> str:
    """What is to be done with a finished study, a command a line."""
    where = "" if root == Path("runs") else f" --root {shlex.quote(str(root))}"
    predicted = "masks" if spec.task == SEGMENTATION.name else "the classes"
    commands = (
        f"Next: autorf compare {spec.name}{where} --format json   the same as data\n"
        f"      autorf report {spec.name}{where}   one page with figures\n"
        f"      autorf retrain {spec.name}{where}   the recommended field, trained and tested\n"
        f"      autorf predict {spec.name} PICTURES --output DIR{where}   {predicted} of your pictures\n"
        f"      autorf export {spec.name}{where}   ONNX"
    )
    if find_spec("mlflow") is None:
        # Then nothing was mirrored either.
        return commands
    return (
        f'{commands}\n      {_opening_mlflow(spec.tracking.uri, root)}   curves of every trial, under "Model training"'
    )


def _opening_mlflow(uri: str | None, root: Path) -> str:
    """The command, or the address, that shows the mirror of a study."""
    from autorf.tracking import shown_uri

    if uri is None and re.fullmatch(r"[\w/.~-]+", str(root), re.ASCII):
        return f"mlflow ui --backend-store-uri sqlite:///{root / 'mlflow.db'}"
    if uri is None:
        # From inside the folder its name is of no matter: MLflow reads some signs of a path in its own way.
        return f"cd {shlex.quote(str(root))} && mlflow ui --backend-store-uri sqlite:///mlflow.db"
    return shown_uri(uri) if uri.startswith("http") else f"mlflow ui --backend-store-uri {shown_uri(uri)}"


def _status(outcome: "Outcome") -> int:
    if outcome.failed:
        print(f"autorf: {outcome.failed} trials failed; run them again with --retry-failed", file=sys.stderr)
        return FAILED_TRIALS
    return DONE


def dry_run(study: str, root: Path, overrides: list[str]) -> int:
    """Print the study's trials with what each would take, and train nothing."""
    from autorf.cli.dry_run import dry_run as run

    spec, source = read_study(study, overrides)
    name_code(spec, source)
    return run(spec, source, root)


def compare(studies: list[str], root: Path, format: str, shown: Shown, margin: float | None = None) -> int:
    """Print the comparison of studies as they stand."""
    if margin is not None and not 0 < margin < math.inf:
        raise InputError(f"--margin {margin:g}: must be above 0; give what may be lost of the metric, such as 0.01")
    if format not in FORMATS:
        raise InputError(f"--format {format}: one of {', '.join(FORMATS)}")
    stores = _stores(studies, root)
    _warn_of_damage(stores)
    comparison = compare_studies([results_of(store) for store in stores], margin=margin)
    if format == "json":
        print(comparison.to_json())
    elif format == "csv":
        print(comparison.to_csv(), end="")
    else:
        print_comparison(comparison, shown)
        _print_endings(stores)
    return DONE


def _print_endings(stores: Sequence[Store]) -> None:
    for store in stores:
        for line in ending(store.notes()):
            print(line if len(stores) == 1 else f"{store.name}: {line}")


def report(studies: list[str], root: Path, output: Path | None, *, force: bool) -> int:
    """Write the report of studies as they stand and print its path."""
    from autorf.reporting import write_report

    stores = _stores(studies, root)
    _warn_of_damage(stores)
    print(write_report(stores, output, force=force))
    return DONE


_MOST_WARNINGS = 3


def _warn_of_damage(stores: Sequence[Store]) -> None:
    """Name the files of finished trials that are there and left out, for intervals and pictures lack them."""
    from autorf.running.evidence import FILE, unreadable_evidence

    places = [store.folder / "trials" / r.key for store in stores for r in store.records() if r.state == "complete"]
    damaged = [f"{place / FILE}: {why}, and left out" for place in places if (why := unreadable_evidence(place))]
    for line in damaged[:_MOST_WARNINGS]:
        print(f"autorf: warning: {in_short(line)}", file=sys.stderr)
    if len(damaged) > _MOST_WARNINGS:
        print(f"autorf: warning: and {len(damaged) - _MOST_WARNINGS} more such files", file=sys.stderr)


def _stores(studies: list[str], root: Path) -> list[Store]:
    """The stores of different studies."""
    names = [study_name(study) for study in studies]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise InputError(f"study {repeated!r} is named twice; name different studies to compare them")
    return [open_store(root, name) for name in names]


def study_name(study: str) -> str:
    """The name of the study that a file describes, or ``study`` itself."""
    if not Path(study).is_file():
        return study
    spec = parse_study(read_yaml(Path(study)), study)
    if spec.storage.url is not None:
        remember(spec.storage.url)
    return spec.name
