"""What pruning by rank promises where the differences are small: ASHA replayed on RegSeg's published curves.

Ten hand-made patterns of dilations of one Cityscapes network, 500 epochs each, one of them trained four times; read
every 25 epochs. Asked is from when on the ranks tell anything: the ranks' agreement with the last ones (Kendall's tau),
how far the patterns spread beside how far trainings of one pattern do, and what ASHA would have found and spent.

Run: ``python benchmarks/asha_on_plateaus.py > benchmarks/results/asha_on_plateaus.md``
"""

import csv
import random
import statistics
from collections import defaultdict
from pathlib import Path

import numpy as np
from asha_against_grid import replay
from numpy.typing import NDArray
from scipy.stats import f as f_distribution
from scipy.stats import kendalltau

Array = NDArray[np.float64]

DATA = Path(__file__).parent / "data" / "regseg_cityscapes_curves.csv"
EVERY, LAST_EPOCHS = 25, 10
METRICS = {"miou": "mIoU of 19 classes", "miou_without_train_bus_truck": "without train, bus and truck"}
REPEATED, SAME_TRAINING = "exp49", "00_epochs_fai0"
"""The repeated pattern, and which of its repeats is the pattern's own row once more."""
ORDERS, REDUCTIONS, WORKERS = 1000, (2, 3, 4), 2


def curves(metric: str) -> dict[tuple[str, str], Array]:
    """By pattern and run: the score at every 25th epoch, the last the mean over ten; between epochs interpolated."""
    points = defaultdict(list)
    with DATA.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            points[row["pattern"], row["run"]].append((int(row["epoch"]), float(row[metric])))
    read = {}
    for place, pairs in points.items():
        epochs, scores = np.array(sorted(pairs)).T
        steps = np.interp(np.arange(EVERY - 1, epochs[-1] + 1, EVERY), epochs, scores)
        steps[-1] = scores[-LAST_EPOCHS:].mean()
        read[place] = steps
    return read


def patterns_of(read: dict[tuple[str, str], Array]) -> dict[str, Array]:
    return {pattern: scores for (pattern, _), scores in read.items() if not pattern.endswith("_repeat")}


def ranks(read: dict[tuple[str, str], Array]) -> list[str]:
    """One line for some epochs."""
    patterns = np.stack(list(patterns_of(read).values()))
    repeats = np.stack([scores for (pattern, _), scores in read.items() if pattern == f"{REPEATED}_repeat"])
    lines = []
    for step in (0, 1, 3, 5, 7, 9, 11, 13, 15, 16, 17, 18, 19):
        tau = kendalltau(patterns[:, step], patterns[:, -1]).statistic
        spread, noise = patterns[:, step].std(ddof=1), repeats[:, step].std(ddof=1)
        # The spread of single trainings holds the noise of one each; equal patterns would give a ratio of about 1.
        chance = f_distribution.sf((spread / noise) ** 2, len(patterns) - 1, len(repeats) - 1)
        leader = patterns[:, -1].max() - patterns[patterns[:, step].argmax(), -1]
        lines.append(f"| {EVERY * (step + 1)} | {tau:.2f} | {spread:.2f} | {noise:.2f} | {chance:.2f} | {leader:.2f} |")
    return lines


def replays(read: dict[tuple[str, str], Array]) -> list[str]:
    """One line a reduction: what ASHA found in a thousand orders of the patterns."""
    patterns = {name: scores.tolist() for name, scores in patterns_of(read).items()}
    best = max(scores[-1] for scores in patterns.values())
    by_chance = best - statistics.mean(scores[-1] for scores in patterns.values())
    orders = [random.Random(at).sample(list(patterns), len(patterns)) for at in range(ORDERS)]
    lines = []
    for reduction in REDUCTIONS:
        ends = [replay(patterns, order, WORKERS, reduction, finish=True) for order in orders]
        regrets = [best - patterns[name][-1] for name, _ in ends if name is not None]
        share = statistics.mean(steps for _, steps in ends) / sum(map(len, patterns.values()))
        kept = sum(regret == 0 for regret in regrets) / len(regrets)
        mean = statistics.mean(regrets)
        lines.append(f"| {reduction} | {share:.0%} | {mean:.2f} | {max(regrets):.2f} | {kept:.0%} | {by_chance:.2f} |")
    return lines


NOTES = """\
*Tau*: agreement of the ten patterns' ranks with those at the end. *One pattern's s.d.*: of four trainings of the same
pattern at that epoch. *p, all alike*: of an F test; where it is large, single trainings differ no more than repeats of
one do, and ranks are chance. *Leader's regret*: what the pattern that leads then is behind the best in the end, in
points. Below each, ASHA in random orders: the share of all epochs it spends, and how far what it finds is behind; *by
chance*: a pattern taken at random.
"""


def main() -> None:
    print("# Pruning by rank on a plateau: RegSeg's curves\n")
    print(NOTES)
    print(f"{ORDERS} orders, {WORKERS} workers; `python benchmarks/asha_on_plateaus.py` makes these tables.\n")
    for metric, title in METRICS.items():
        read = curves(metric)
        print(f"## {title}, percent\n")
        print("| epochs | tau with the last | patterns' s.d. | one pattern's s.d. | p, all alike | leader's regret |")
        print("|---|---|---|---|---|---|")
        print("\n".join(ranks(read)))
        print("\n| reduction | epochs spent | mean regret | largest | found the best | regret by chance |")
        print("|---|---|---|---|---|---|")
        print("\n".join(replays(read)) + "\n")


if __name__ == "__main__":
    main()
