"""``autorf studies`` and ``autorf clean``: what lies under the root."""

from collections.abc import Iterable
from pathlib import Path

from rich import box
from rich.table import Table

from autorf.cli.exit_codes import DONE
from autorf.cli.piped import console_for
from autorf.comparison.judging import metric_name
from autorf.data.cache_place import PICTURES, cache_folder
from autorf.errors import InputError, near_names
from autorf.files import size_in_words
from autorf.store.cleaning import clean as clean_store
from autorf.store.store import open_store
from autorf.store.summaries import StudySummary, summaries
from autorf.study import builtin

KINDS: dict[builtin.Kind, str] = {"studies": "Studies", "search_spaces": "Search spaces"}


def list_studies(root: Path) -> int:
    """Print the built-in studies and search spaces with the first line of each file's comment, and those under root."""
    for kind, title in KINDS.items():
        print(f"{title} ({builtin.folder(kind)})")
        for name in builtin.names(kind):
            first = (builtin.folder(kind) / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
            print(f"  {name:<20} {first.removeprefix('# ')}")
    own = list(summaries(root))
    print(f"Under {root} (--root){'' if own else ': none'}")
    if own:
        _print(own)
    return DONE


def print_builtin(name: str) -> int:
    """Print a built-in study or search space whole.

    Raises:
        InputError: when there is none of that name.
    """
    for kind in KINDS:
        if name in builtin.names(kind):
            print((builtin.folder(kind) / f"{name}.yaml").read_text(encoding="utf-8"), end="")
            return DONE
    names = [name for kind in KINDS for name in builtin.names(kind)]
    raise InputError(
        f"NAME: no built-in study or search space {name!r}{near_names(name, names)}; autorf studies lists them"
    )


def clean(study: str, root: Path) -> int:
    """Remove the checkpoints of a study and unused decoded pictures, and say how much room that made."""
    cleaned = clean_store(open_store(root, study))
    print(f"{study}: {cleaned.n_files} checkpoints removed, {size_in_words(cleaned.n_bytes)}")
    if cleaned.begun_anew:
        print(f"  {cleaned.begun_anew} trials that are not over begin anew when the search goes on")
    from autorf.data.picture_cache import remove_all_unused

    n_bytes = remove_all_unused(cache_folder(root) / PICTURES)
    if n_bytes:
        print(
            f"  decoded pictures that no process uses removed, {size_in_words(n_bytes)}; they are decoded when needed"
        )
    return DONE


def _print(own: Iterable[StudySummary]) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("study", "trials", "best", "", "size"):
        table.add_column(column, justify="right" if column == "size" else "left", no_wrap=True)
    for study in own:
        states = study.problem or ", ".join(f"{count} {state}" for state, count in sorted(study.trials.items()))
        best = "" if study.metric is None else f"{metric_name(study.metric)} {study.best:.4g}"
        table.add_row(study.name, states or "no trials", best, study.best_label, size_in_words(study.n_bytes))
    console_for(table).print(table)
