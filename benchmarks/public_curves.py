"""Published curves of score against receptive field: what would have been chosen, and what it would have cost.

Loos et al. trained two networks at ten fields on each of six clinical sets. A field is chosen on one network's curve
and judged on the other's, and the reverse, beside rules that look at no curve. RegSeg's logs hold nine hand-made
patterns of dilations, one of them trained four times: whether any pattern is better than another is asked of the test
behind the smallest sufficient field, with what repeats there are. The figures and their sources: ``benchmarks/data``.

Run: ``python benchmarks/public_curves.py > benchmarks/results/public_curves.md``
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import studentized_range

from autorf.comparison.noninferiority import Pairs, step
from autorf.comparison.sufficient import LEVEL, MARGIN, seeds_needed, sufficient_field

Array = NDArray[np.float64]

DATA = Path(__file__).parent / "data"
SIDE = 570
"""Of Loos et al.'s images, in pixels; also their largest field."""

LAST_EPOCHS = 10
"""RegSeg's validation scores are averaged over so many last epochs, each of which was validated."""

METRICS = {"miou": "mIoU of 19 classes", "miou_without_train_bus_truck": "without train, bus and truck"}


@dataclass(frozen=True)
class Curve:
    """One network's scores on one set, fields ascending."""

    data: str
    network: str
    object_px: float
    rf: Array
    dice: Array

    def regret(self, field: float) -> float:
        return float(self.dice.max() - self.dice[np.flatnonzero(self.rf == field)[0]])

    def at_least(self, side: float) -> float:
        """The smallest field of the grid that is no smaller than ``side``, else the largest."""
        return float(self.rf[min(np.searchsorted(self.rf, side), len(self.rf) - 1)])

    def nearest(self, side: float) -> float:
        return float(self.rf[np.abs(self.rf - side).argmin()])

    @property
    def best(self) -> float:
        return float(self.rf[self.dice.argmax()])

    @property
    def smallest_within_margin(self) -> float:
        return float(self.rf[(self.dice >= self.dice.max() - MARGIN).argmax()])


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def curves() -> list[Curve]:
    points = defaultdict(list)
    for row in rows("loos2024_unet_fields.csv"):
        points[row["data"], row["network"], float(row["object_px"])].append((float(row["rf_px"]), float(row["dice"])))
    return [Curve(*place, *np.array(sorted(pairs)).T) for place, pairs in points.items()]


def sisters(every: Sequence[Curve]) -> Iterator[tuple[Curve, Curve]]:
    """Where chosen, where judged: the two networks of a set, both ways."""
    for chosen_on in every:
        for judged_on in every:
            if chosen_on.data == judged_on.data and chosen_on.network != judged_on.network:
                yield chosen_on, judged_on


RULES: dict[str, Callable[[Curve, Curve], float]] = {
    "the sister's best": lambda sister, curve: sister.best,
    f"the sister's smallest within {MARGIN:g} of her best": lambda sister, curve: sister.smallest_within_margin,
    "the largest field": lambda sister, curve: float(curve.rf[-1]),
    "2.5 x object": lambda sister, curve: curve.at_least(2.5 * curve.object_px),
    "2.5 x object, nearest": lambda sister, curve: curve.nearest(2.5 * curve.object_px),
    "1 x object": lambda sister, curve: curve.at_least(curve.object_px),
    "1 x object, nearest": lambda sister, curve: curve.nearest(curve.object_px),
}


def table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for line in lines:
        print(f"| {' | '.join(line)} |")
    print()


def summary(pairs: Sequence[tuple[Curve, Curve]], names: Sequence[str]) -> None:
    lines = []
    for name in names:
        fields = [RULES[name](sister, curve) for sister, curve in pairs]
        regrets = np.array([curve.regret(field) for field, (_, curve) in zip(fields, pairs, strict=True)])
        lost = sum(regrets > MARGIN)
        shares = f"{np.mean(fields) / SIDE:.2f}", f"{np.min(fields) / SIDE:.2f} to {np.max(fields) / SIDE:.2f}"
        lines.append([name, f"{regrets.mean():.4f}", f"{regrets.max():.4f}", f"{lost} of {len(regrets)}", *shares])
    titles = [
        "rule",
        "mean regret (Dice)",
        "worst",
        f"loses more than {MARGIN:g}",
        "mean share of the side",
        "from, to",
    ]
    table(titles, lines)


def each_curve(pairs: Sequence[tuple[Curve, Curve]]) -> None:
    lines = []
    for sister, curve in pairs:
        fields = [rule(sister, curve) for rule in RULES.values()]
        chosen = [f"{field:.0f} px, {curve.regret(field):.4f}" for field in fields]
        lines.append([curve.data, curve.network, f"{curve.object_px:.0f}", f"{curve.best:.0f}", *chosen])
    table(["set", "judged on", "object", "its best field", *RULES], lines)


def both_networks(every: Sequence[Curve]) -> None:
    """The test, with the two networks in the place of two seeds."""
    lines = []
    for unet, attention in ((a, b) for a, b in sisters(every) if a.network == "unet"):
        grid = sufficient_field(unet.rf.tolist(), np.stack([unet.dice, attention.dice], 1))
        if grid.index is None:
            lines.append([unet.data, "-", "-", grid.shape, f"needs {grid.missing}"])
            continue
        loss = "" if grid.loses_below is None else f"{unet.rf[grid.below]:.0f} px loses {grid.loses_below:.3f}"
        lines.append([unet.data, f"{grid.rf_low:.0f}", f"{grid.rf_high:.0f}", grid.shape, loss])
    table(["set", "from", "to", "shape", ""], lines)


def last_scores(metric: str) -> dict[str, Array]:
    """RegSeg's patterns made by hand, and the score of each of their trainings."""
    scores: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for row in rows("regseg_cityscapes_curves.csv"):
        scores[row["pattern"], row["run"]].append((int(row["epoch"]), float(row[metric])))
    trainings: dict[str, list[float]] = defaultdict(list)
    for (name, _), points in sorted(scores.items()):
        pattern = name.removesuffix("_repeat")
        last = float(np.mean([score for _, score in sorted(points)[-LAST_EPOCHS:]]))
        # One of the four repeats is the pattern's own training, which comes first.
        if pattern != "regnety600mf" and last not in trainings[pattern]:
            trainings[pattern].append(last)
    return {pattern: np.array(last) for pattern, last in trainings.items() if last}


def fields_of_patterns() -> dict[str, float]:
    return {row["pattern"]: float(row["rf_px"]) for row in rows("regseg_cityscapes_curves.csv")}


def unpaired(trainings: dict[str, Array]) -> Pairs:
    """Trainings that share no seeds: the spread of the repeats is lent to every pattern."""
    means = np.array([scores.mean() for scores in trainings.values()])
    counts = np.array([len(scores) for scores in trainings.values()])
    squares = sum(((scores - scores.mean()) ** 2).sum() for scores in trainings.values())
    freedom = int((counts - 1).sum())
    # The variance of a difference is residual (1/n + 1/m): as of so many shared seeds.
    shared = 2 / (1 / counts[:, None] + 1 / counts)
    return Pairs(means[:, None] - means, shared, np.asarray(squares / freedom), freedom)


def regseg() -> None:
    fields, lines, answers = fields_of_patterns(), [], []
    for metric, name in METRICS.items():
        trainings = last_scores(metric)
        pairs = unpaired(trainings)
        one_each = np.array([scores[0] for scores in trainings.values()])
        repeats = next(scores for scores in trainings.values() if len(scores) > 1)
        deviation = float(np.sqrt(pairs.residual))
        range_ = float(studentized_range.sf(np.ptp(one_each) / deviation, len(one_each), pairs.freedom))
        sides = [fields[pattern] for pattern in trainings]
        lines.append([name, f"{np.ptp(one_each):.2f}", f"{np.ptp(repeats):.2f}", f"{deviation:.2f}", f"{range_:.2f}"])
        steps = step(sides, pairs, 100 * MARGIN, LEVEL)
        best, worse = list(trainings)[int(steps.best)], int(steps.worse.sum())
        named = "undecided" if steps.low < 0 else f"from {steps.fields[steps.low]:.0f} px on"
        asked = "" if steps.low >= 0 else str(seeds_needed(pairs, 100 * MARGIN))
        alone = sufficient_field(sides, one_each[:, None], margin=100 * MARGIN)
        answers.append([name, f"needs {alone.missing}", f"{best}, {fields[best]:.0f} px", str(worse), named, asked])
    titles = [
        "score",
        "span of nine patterns",
        "span of four runs of one",
        "deviation of a run",
        "chance of such a span",
    ]
    table(titles, lines)
    titles = [
        "score",
        "one training each",
        "highest mean",
        "fields shown to be worse",
        "nothing is lost",
        "runs asked for",
    ]
    table(titles, answers)


def patterns() -> None:
    fields = fields_of_patterns()
    lines = []
    columns = [last_scores(metric) for metric in METRICS]
    for pattern in sorted(columns[0], key=lambda pattern: fields[pattern]):
        cells = [", ".join(f"{score:.2f}" for score in trainings[pattern]) for trainings in columns]
        lines.append([pattern, f"{fields[pattern]:.0f}", *cells])
    table(["pattern", "field, px", *METRICS.values()], lines)


def main() -> None:
    every = curves()
    pairs = list(sisters(every))
    print("# Public curves of score against receptive field\n")
    print("`python benchmarks/public_curves.py` makes this page; sources are in `benchmarks/data/README.md`.\n")
    print("## U-Nets of ten fields on six clinical sets: chosen on one network, judged on its sister\n")
    print(SISTERS)
    summary(pairs, list(RULES))
    print("Each curve: field chosen, and its regret.\n")
    each_curve(pairs)
    print(BOTH)
    both_networks(every)
    print("## Eight synthetic sets, one network each\n")
    synthetic = [(curve, curve) for curve in every if curve.data.startswith("shapes")]
    summary(synthetic, ["the largest field", "2.5 x object", "1 x object"])
    print("## RegSeg on Cityscapes: is any pattern of dilations better?\n")
    print(REGSEG)
    regseg()
    patterns()


SISTERS = """\
Regret is the judged curve's best Dice less the Dice at the chosen field: of one training a point, so a regret of some
thousandths is noise. `Share of the side` is the field over the image's side of 570 pixels, which is also the largest
field of the grid. A rule's field is the smallest of the grid that is no smaller than it asks for, else the largest;
`nearest`: the nearest of the grid, which may be smaller.

A curve of one training a point, carried over to a sister network, does worse than always taking the largest field: its
best, and the more so its smallest within the margin, are picked from noise (kidneys, thyroid). What is gained is the
side: the smallest within the margin takes a little more than half of it. Whoever wants the small field has to measure
on the network at hand, over seeds.
"""

BOTH = """\
One training a point is one seed, and names nothing. With the two networks in the place of two seeds (what holds is then
said of such networks, not of trainings of one), margin .01:
"""

REGSEG = """\
Mean of the last ten epochs, in points of 100. The four runs of one pattern are the only repeats, so their spread, with
three degrees of freedom, is lent to all nine; `chance of such a span` is that of nine trainings of one pattern spanning
as much (studentized range). One training each has no spread at all and names nothing; with the lent one, at a margin of
1 point (.01), no field is shown to be worse than that of the highest mean, by either score: no pattern is preferred by
noise. Which pattern is highest differs between the two scores.
"""


if __name__ == "__main__":
    main()
