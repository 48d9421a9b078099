"""How near the quickstart's trainings are to their plateau: the same dilations at once and at three times its epochs.

Every dilation of the quickstart is trained with three seeds for its own number of epochs and for three times as many.
Asked is whether the answer depends on the length: whether the dilations within the margin of the best mean are the same
ones, and whether the ends of the grid keep their order.

Run: ``python benchmarks/quickstart_plateau.py [--root DIR] > benchmarks/results/quickstart_plateau.md``; the same
command goes on where it stopped.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml

from autorf.driver.search import search
from autorf.store.store import open_store
from autorf.study import builtin
from autorf.study.spec import parse_study

SEEDS, LONGER, MARGIN = [0, 1, 2], 3, 0.01
Scores = Mapping[int, list[float]]


def quickstart() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((builtin.folder("studies") / "quickstart.yaml").read_text())
    return values


def scores(root: Path, epochs: int) -> Scores:
    """The seeds' mIoU of each dilation, trained for ``epochs``; read where it is done."""
    values, name = quickstart(), f"plateau{epochs}"
    grid = next(space for space in values["search_space"] if space["method"] == "dilation")
    training = {**values["training"], "epochs": epochs, "seeds": SEEDS}
    study = {**values, "name": name, "search_space": [grid], "training": training}
    search(parse_study(study, name), name, root)
    by_rate = defaultdict(list)
    for record in open_store(root, name).records():
        by_rate[int(record.configuration["rate"])].append(record.value("miou"))
    return dict(sorted(by_rate.items()))


def within(means: Mapping[int, float]) -> list[int]:
    """The dilations whose mean lies within the margin of the best."""
    return [rate for rate, score in means.items() if score >= max(means.values()) - MARGIN]


def ends(means: Mapping[int, float]) -> str:
    """The smallest and the largest dilation, the better one first."""
    smallest, largest = min(means), max(means)
    return " > ".join(str(rate) for rate in sorted((smallest, largest), key=lambda rate: -means[rate]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("runs"))
    root = parser.parse_args().root
    epochs = quickstart()["training"]["epochs"]
    lengths = {length: scores(root, length) for length in (epochs, LONGER * epochs)}
    means = {length: {rate: mean(seeds) for rate, seeds in by_rate.items()} for length, by_rate in lengths.items()}
    rates = list(lengths[epochs])
    print(f"# The quickstart's dilations at {epochs} and {LONGER * epochs} epochs\n")
    print(f"mIoU, mean and standard deviation of {len(SEEDS)} seeds; `python benchmarks/quickstart_plateau.py`.\n")
    print("| epochs | " + " | ".join(f"dilation {rate}" for rate in rates) + f" | within {MARGIN} of the best | ends |")
    print("|" + "---|" * (len(rates) + 3))
    for length, by_rate in lengths.items():
        cells = [f"{means[length][rate]:.3f} ({stdev(by_rate[rate]):.3f})" for rate in rates]
        named = ", ".join(map(str, within(means[length])))
        print(f"| {length} | " + " | ".join(cells) + f" | {named} | {ends(means[length])} |")


if __name__ == "__main__":
    main()
