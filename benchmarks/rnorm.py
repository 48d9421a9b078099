"""Does one normalised receptive field fit all image sizes, and does the one found at a size serve the others?

    python benchmarks/rnorm.py STUDY [STUDY ...] [--root DIR] [--write]

Reads studies whose space has ``data.image_size`` as an axis, such as ``rnorm_digits``, and prints for each:

1. mIoU by image size and dilation, the mean over seeds, the best of each size in bold.
2. The winners, the line through the origin that fits them, and how many steps of its grid each is away.
3. For each pair of sizes: with the winner's rnorm of the one as a prior, which configuration of the other's grid, the
   nearest to the prior first, is its best one, and which is the first to lose no more than the margin.

Asked for: each winner within one step of the line, and the best of another size within two trials.
Paper: Wei et al., *Accurate facial image parsing at real-time speed*, 2019, figure 2.
``--write`` records the tables in ``benchmarks/results/rnorm.md``.
"""

import argparse
import platform
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from autorf.comparison import Comparison, FieldMap, compare_studies, results_of
from autorf.comparison.sufficient import MARGIN
from autorf.files import write_atomically
from autorf.store.store import open_store

RESULTS = Path(__file__).parent / "results" / "rnorm.md"


def score_rows(grid: FieldMap) -> Iterator[str]:
    """mIoU by size and dilation."""
    columns = [f"{setting}, rf {field:g}" for setting, field in zip(grid.settings, grid.fields, strict=True)]
    yield f"| image side, px | {' | '.join(columns)} |"
    yield f"|---{'|---' * len(columns)}|"
    for size, scores, best in zip(grid.sizes, grid.scores, grid.best, strict=True):
        cells = [_cell(score, bold=at == best) for at, score in enumerate(scores)]
        yield f"| {size:g} | {' | '.join(cells)} |"


def _cell(score: float | None, *, bold: bool) -> str:
    text = "" if score is None else f"{score:.3f}"
    return f"**{text}**" if bold else text


def winner_rows(grid: FieldMap) -> Iterator[str]:
    """The winners and their distance from the line."""
    yield "| image side, px | winner | rf | rnorm | end of its grid | steps from the line |"
    yield "|---|---|---|---|---|---|"
    for winner in grid.line.winners:
        off = "" if winner.off is None else f"{winner.off:.2f}"
        cells = (f"{winner.size:g}", winner.setting, f"{winner.field:g}", f"{winner.rnorm:.2f}", winner.end or "", off)
        yield f"| {' | '.join(cells)} |"


def transfer_rows(grid: FieldMap) -> Iterator[str]:
    """The prior of one size at every other."""
    yield f"| prior from | its rnorm | at | best is trial | first within {MARGIN:g} is trial |"
    yield "|---|---|---|---|---|"
    winners = {winner.size: winner for winner in grid.line.winners}
    for source in grid.sizes:
        for row, target in enumerate(grid.sizes):
            if source != target:
                best, near = trials_needed(grid, row, winners[source].rnorm, winners[target].setting)
                yield f"| {source:g} | {winners[source].rnorm:.2f} | {target:g} | {best} | {near} |"


def trials_needed(grid: FieldMap, row: int, rnorm: float, winner: str) -> tuple[int, int]:
    """How many configurations of a size, the nearest to a prior first, until its winner, and one within the margin."""
    scores = {at: score for at, score in enumerate(grid.scores[row]) if score is not None}
    order = sorted(scores, key=lambda at: abs(grid.fields[at] / grid.sizes[row] - rnorm))
    highest = max(scores.values())
    near = next(place for place, at in enumerate(order, 1) if scores[at] >= highest - MARGIN)
    return [grid.settings[at] for at in order].index(winner) + 1, near


def tables(name: str, comparison: Comparison) -> Iterator[str]:
    """Everything about one study."""
    states = [row.state for row in comparison.rows]
    seeds = sorted({row.seed for row in comparison.rows})
    yield f"\n## {name}\n"
    yield f"{states.count('complete')} complete trials, seeds {', '.join(map(str, seeds))}.\n"
    for grid in comparison.rnorm:
        yield from score_rows(grid)
        yield f"\n{grid.line.text}\n"
        yield from winner_rows(grid)
        yield ""
        yield from transfer_rows(grid)
    if not comparison.rnorm:
        yield "No two image sizes with complete manual trials."


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+")
    parser.add_argument("--root", type=Path, default=Path("runs"))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    head = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, torch {torch.__version__}."
    lines = ["# One rnorm for all image sizes", "", head]
    for name in options.studies:
        lines += tables(name, compare_studies([results_of(open_store(options.root, name))]))
    text = "\n".join(lines) + "\n"
    print(text)
    if options.write:
        write_atomically(RESULTS, text)


if __name__ == "__main__":
    main()
