"""What becomes of each method in the flows that people put models through, and how many graphs a compiler makes of it.

    python benchmarks/wrapper_matrix.py

A cell *works* when the flow gives the trajectory of a plain loop, bit for bit where arithmetic allows; it is *refused*
when a line of ours says what is wrong, before or while it happens. What is *silent* is wrong without a word. The cells
are those of `tests/matrix`; the table is written to `benchmarks/results/wrapper_matrix.md`.
"""

import argparse
import platform
import re
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

import autorf  # noqa: E402
from autorf.files import write_atomically  # noqa: E402
from tests.matrix import distributed  # noqa: E402
from tests.matrix.behaviours import BEHAVIOURS  # noqa: E402
from tests.matrix.loop import METHODS, STEPS  # noqa: E402
from tests.matrix.outcome import RIGHT, Outcome, outcome  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "wrapper_matrix.md"
COMPILED = ("compile after", "compile, dynamic")

Cells = dict[tuple[str, str], Outcome]


def run(only: str) -> Cells:
    """Every cell whose behaviour matches ``only``."""
    cells: Cells = {}
    for behaviour, check in BEHAVIOURS.items():
        if not re.search(only, behaviour):
            continue
        for method in METHODS:
            cells[behaviour, method] = outcome(lambda check=check, method=method: check(method))  # type: ignore[misc]
            print(behaviour, "|", method, "|", cells[behaviour, method], flush=True)
    if any(re.search(only, behaviour) for behaviour in distributed.BEHAVIOURS):
        cells |= distributed.outcomes(tuple(METHODS))
    return cells


def table(cells: Cells, seconds: float) -> str:
    counts = [f"{sum(cell.kind == kind for cell in cells.values())} {kind}" for kind in kinds(cells)]
    documents = {**BEHAVIOURS, **distributed.BEHAVIOURS}
    lines = [
        "# Methods in other people's pipelines",
        "",
        f"Made by `benchmarks/wrapper_matrix.py` in {seconds:.0f} s ({versions()});",
        f"a network of four convolutions, {STEPS} steps.",
        "*works*: the trajectory of the plain loop, bit for bit where arithmetic allows.",
        "*refused*: an error or a warning of ours says what is wrong, below.",
        "A dash: the flow does not concern the method.",
        f"{len(cells)} cells: {', '.join(counts)}.",
        "",
        f"| flow | {' | '.join(METHODS)} |",
        f"|{'---|' * (len(METHODS) + 1)}",
    ]
    for behaviour in dict.fromkeys(behaviour for behaviour, _ in cells):
        marks = (mark(cells[behaviour, method]) for method in METHODS)
        lines.append(f"| {behaviour} | {' | '.join(marks)} |")
    lines += ["", "## The flows", ""]
    for behaviour in dict.fromkeys(behaviour for behaviour, _ in cells):
        lines.append(f"* **{behaviour}**: {first_sentence(documents[behaviour].__doc__)}")
    lines += ["", "## What was said", "", *said(cells)]
    lines += ["", "## Graphs of `torch.compile`", "", *graphs(cells)]
    return "\n".join(lines) + "\n"


def versions() -> str:
    return f"{platform.machine()}, autorf {autorf.__version__}, torch {torch.__version__.split('+')[0]}"


def kinds(cells: Cells) -> list[str]:
    return list(dict.fromkeys(cell.kind for cell in cells.values()))


def mark(cell: Outcome) -> str:
    if cell.kind in RIGHT:
        return "-" if cell.kind == "does not apply" else cell.kind
    return f"**{cell.kind}**"


def first_sentence(document: str | None) -> str:
    return (document or "").splitlines()[0]


def said(cells: Cells) -> list[str]:
    """The line of every refusal and failure, once for the methods that share it."""
    lines: dict[str, str] = {}
    for (behaviour, method), cell in cells.items():
        if cell.kind != "works" or (cell.words and behaviour not in COMPILED):
            lines.setdefault(f"{behaviour}: {cell.words}", method)
    return [f"* {line} ({method})" for line, method in lines.items()]


def graphs(cells: Cells) -> list[str]:
    """How many graphs were compiled while a method searches or learns at first, and afterwards."""
    rows = []
    for method in METHODS:
        compiled = [cells[behaviour, method] for behaviour in COMPILED if (behaviour, method) in cells]
        rows.append(f"| {method} | {' | '.join(cell.words or cell.kind for cell in compiled)} |")
    note = (
        "Backend `aot_eager`. What is drawn or learned anew in every step runs outside the graphs, "
        "so their number does not grow with the steps."
    )
    return [note, "", "| method | default | dynamic=True |", "|---|---|---|", *rows]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="regular expression over the flows")
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    cells = run(arguments.only)
    write_atomically(arguments.output, table(cells, time.perf_counter() - began))
    return 0 if all(cell.kind in RIGHT for cell in cells.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
