"""The sampler ``sufficient`` on real studies beside their whole grids: the same answer, and for how many trainings.

Two studies of eight dilations and three seeds, digits of 32 px and CamVid, each searched once with the sampler and once
whole, independently of each other. Asked is the same answer for at most 60 % of the grid's trainings.

Run: ``python benchmarks/sufficient_sampler_real.py --root DIR [--camvid DIR] [--workers 1] [--page]``; digits first,
and CamVid where its folder is given. The same command goes on where it stopped; ``--page`` trains nothing, and writes
``benchmarks/results/sufficient_sampler_real.md`` of what is complete.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from autorf.comparison import Comparison, compare_studies, results_of
from autorf.driver.search import search
from autorf.files import write_atomically
from autorf.store.store import open_store
from autorf.study import builtin
from autorf.study.spec import parse_study

PAGE = Path(__file__).parent / "results" / "sufficient_sampler_real.md"
RATES, SAMPLERS, MOST_TRAINED = [1, 2, 3, 4, 5, 6, 8, 12], ("sufficient", "grid"), 0.6
STUDIES = {"digits": "learned_dilation_digits", "camvid": "learned_dilation_camvid"}


def study(data: str, sampler: str, camvid: str | None, workers: int) -> dict[str, Any]:
    """The built-in study of a data set with the manual grid alone."""
    values = yaml.safe_load((builtin.folder("studies") / f"{STUDIES[data]}.yaml").read_text(encoding="utf-8"))
    values["search_space"] = [{"method": "dilation", "rate": RATES}]
    if camvid is not None and data == "camvid":
        values["data"]["root"] = camvid
    search_part = {"sampler": sampler, "controls": False}
    return {**values, "name": f"{data}_{sampler}", "search": search_part, "executor": {"workers": workers}}


def compared(root: Path, name: str) -> Comparison | None:
    """A study as it stands; None before it has a complete trial."""
    if not (root / name).exists():
        return None
    comparison = compare_studies([results_of(open_store(root, name))])
    return comparison if any(row.counts for row in comparison.rows) else None


def answer(comparison: Comparison) -> Any:
    """The dilation that is named; None where none is."""
    named = comparison.recommendation and comparison.recommendation.smallest_sufficient
    return None if not named else named["params"].get("rate")


def page(root: Path) -> list[str]:
    """The page's lines."""
    lines = [
        "# The sampler `sufficient` on real studies",
        "",
        f"Dilations {', '.join(map(str, RATES))}, seeds 0, 1, 2, torch {torch.__version__}, one thread a training;",
        "`python benchmarks/sufficient_sampler_real.py --root DIR --camvid DIR`, then `--page`. Asked is the answer of",
        f"the whole grid for at most {MOST_TRAINED:.0%} of its {3 * len(RATES)} trainings. The sampler stops",
        "by itself; a grid with fewer than all its trainings is not complete, and its answer not final.",
        "",
        "| data | sampler | trainings | of the grid | dilation named |",
        "|---|---|---|---|---|",
    ]
    sentences = []
    for data in STUDIES:
        for sampler in SAMPLERS:
            comparison = compared(root, f"{data}_{sampler}")
            if comparison is None:
                lines.append(f"| {data} | {sampler} | not begun | | |")
                continue
            n_complete = sum(row.counts for row in comparison.rows)
            rate = answer(comparison)
            share = f"{n_complete / (3 * len(RATES)):.0%}"
            lines.append(f"| {data} | {sampler} | {n_complete} | {share} | {'none' if rate is None else rate} |")
            sentences += [f"**{data}, {sampler}.** {comparison.answer}", "", *grid_line(comparison), ""]
    return [*lines, "", *sentences]


def grid_line(comparison: Comparison) -> list[str]:
    """The means of what was trained."""
    means: Mapping[int, str] = {
        group.params["rate"]: f"{group.mean:.3f} ({group.n})" for group in comparison.groups if group.params.get("rate")
    }
    told = ", ".join(f"{rate}: {means[rate]}" for rate in sorted(means))
    return [f"Mean mIoU by dilation (seeds): {told}."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--camvid", help="folder of CamVid; without it only digits are run")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--page", action="store_true", help="write the page of what is complete, and train nothing")
    given = parser.parse_args()
    for data in STUDIES:
        for sampler in SAMPLERS:
            if not given.page and (data == "digits" or given.camvid):
                spec = parse_study(study(data, sampler, given.camvid, given.workers), f"{data}_{sampler}")
                search(spec, spec.name, given.root)
    text = "\n".join(page(given.root))
    print(text)
    if given.page:
        write_atomically(PAGE, text)


if __name__ == "__main__":
    main()
