"""Which rule names a good receptive field before any training? Judged on published curves and on our own.

A rule sees the objects' size and the picture's side, never the curve it is judged on. Its factor, where it has one, is
the one that loses least on average on the other families of data: one family is left out at a time, and sister
networks, sizes and synthetic variants of one source are one family. Regret is the curve's best score less the score of
the grid's field nearest (by ratio) to the one that the rule asks for; a family's regret is the mean over its curves.

Curves: Loos et al. and RegSeg (``benchmarks/data/README.md``), what earlier pages of ``benchmarks/results`` record, and
the trainings of ``field_curves.py``.

Run: ``python benchmarks/field_rules.py > benchmarks/results/field_rules.md``
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from public_curves import SIDE, fields_of_patterns, last_scores, table
from public_curves import curves as loos_curves

from autorf.statistics import half_width

DATA = Path(__file__).parent / "data"
FACTORS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
CITYSCAPES_SIDE = 1024
PLACE = ("data", "network", "short_side_px", "long_side_px", "median_object_px", "largest_object_px")


@dataclass(frozen=True)
class Curve:
    """One network's scores on one set, fields ascending.

    Attributes:
        grown: what sets the field: ``depth`` (and kernels), or the ``dilation`` of a few layers.
        side, long_side: of the pictures, in pixels.
        objects: the median and the largest of the classes' typical sides in pixels; None where they are not known.
    """

    family: str
    data: str
    network: str
    grown: str
    side: float
    long_side: float
    objects: tuple[float, float] | None
    rf: NDArray[np.float64]
    score: NDArray[np.float64]

    @property
    def rest(self) -> float:
        """What is seen without the dilated layers: the field is a line over the dilation, and grids begin with 1, 2."""
        return float(2 * self.rf[0] - self.rf[1])

    def nearest(self, field: float) -> int:
        return int(np.abs(np.log(self.rf / field)).argmin())

    def regret(self, field: float) -> float:
        return float(self.score.max() - self.score[self.nearest(field)])


Rule = Callable[[Curve, float], float]
"""The field to ask for, from a curve's objects and side, and the rule's factor."""


def median_object(curve: Curve, factor: float) -> float:
    return factor * objects(curve)[0]


def largest_object(curve: Curve, factor: float) -> float:
    return factor * objects(curve)[1]


def span(curve: Curve, factor: float) -> float:
    """The taps of the dilated layers span a share of the object."""
    return curve.rest + factor * objects(curve)[0]


def share_of_side(curve: Curve, factor: float) -> float:
    return factor * curve.side


def largest(curve: Curve, _: float) -> float:
    return float(curve.rf[-1])


def whole_picture(curve: Curve, _: float) -> float:
    """The smallest field of the grid that is no smaller than the picture, else the largest."""
    return float(min(curve.rf[curve.rf >= curve.long_side], default=curve.rf[-1]))


def by_growth(of_dilation: Rule) -> Rule:
    """The whole picture where depth sets the field, another rule where a dilation does."""

    def rule(curve: Curve, factor: float) -> float:
        return whole_picture(curve, factor) if curve.grown == "depth" else of_dilation(curve, factor)

    return rule


def by_what_the_rest_sees(curve: Curve, factor: float) -> float:
    """The objects where the network without its dilated layers sees less than they are, else the whole picture."""
    if curve.grown == "dilation" and curve.rest < objects(curve)[0]:
        return factor * objects(curve)[0]
    return whole_picture(curve, factor)


def capped(rule: Rule) -> Rule:
    """No more than the picture's side."""
    return lambda curve, factor: min(rule(curve, factor), curve.long_side)


FREE: dict[str, Rule] = {
    "k x median object": median_object,
    "k x largest object": largest_object,
    "k x largest object, at most the side": capped(largest_object),
    "k x side": share_of_side,
    "by depth the whole picture, by dilation k x median object": by_growth(median_object),
    "by depth the whole picture, by dilation k x largest object": by_growth(capped(largest_object)),
    "by depth the whole picture, by dilation k x side": by_growth(share_of_side),
    "by depth the whole picture, by dilation the rest's field + k x median object": by_growth(span),
}
FIXED: dict[str, Rule] = {
    "1 x median object (`rf = object size`)": lambda curve, _: median_object(curve, 1),
    "1 x largest object, at most the side": lambda curve, _: capped(largest_object)(curve, 1),
    "2.5 x median object": lambda curve, _: median_object(curve, 2.5),
    "the whole picture": whole_picture,
    "the whole picture, nearest": lambda curve, _: curve.long_side,
    "by depth the whole picture, by dilation 1 x median object": by_growth(lambda curve, _: median_object(curve, 1)),
    "by what the rest sees: 1 x median object or the whole picture": lambda curve, _: by_what_the_rest_sees(curve, 1),
    "the grid's largest": largest,
}


def objects(curve: Curve) -> tuple[float, float]:
    assert curve.objects is not None
    return curve.objects


def rows(name: str) -> list[dict[str, str]]:
    path = DATA / name
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def published() -> Iterator[Curve]:
    for curve in loos_curves():
        family = "shapes" if curve.data.startswith("shapes") else curve.data
        sizes = (curve.object_px, curve.object_px)
        yield Curve(family, curve.data, curve.network, "depth", SIDE, SIDE, sizes, curve.rf, curve.dice)


def regseg() -> Curve:
    """RegSeg's patterns: what their objects measure is not stated."""
    fields, scores = fields_of_patterns(), last_scores("miou")
    points = defaultdict(list)
    for pattern, trainings in scores.items():
        points[fields[pattern]].append(float(trainings.mean()) / 100)
    means = np.array(sorted((field, fmean(values)) for field, values in points.items()))
    return Curve("cityscapes", "cityscapes", "regseg", "dilation", CITYSCAPES_SIDE, 2 * CITYSCAPES_SIDE, None, *means.T)


def own(name: str) -> Iterator[Curve]:
    points: dict[tuple[str, ...], list[tuple[float, float]]] = defaultdict(list)
    for row in rows(name):
        points[tuple(row[column] for column in PLACE)].append((float(row["rf_px"]), float(row["miou"])))
    for (data, network, *sizes), pairs in points.items():
        grown = "depth" if network == "unet" else "dilation"
        short, long, median, most = map(float, sizes)
        place = (data.split()[0], data, network, grown, short, long, (median, most))
        yield Curve(*place, *np.array(sorted(pairs)).T)


def curves() -> list[Curve]:
    return [*published(), *own("recorded_curves.csv"), *own("field_curves.csv")]


def mean_regret(rule: Rule, factor: float, every: Sequence[Curve]) -> dict[str, float]:
    """Of each family, over its curves."""
    regrets = defaultdict(list)
    for curve in every:
        regrets[curve.family].append(curve.regret(rule(curve, factor)))
    return {family: fmean(values) for family, values in regrets.items()}


def best_factor(rule: Rule, every: Sequence[Curve]) -> float:
    """The factor that loses least on average over families."""
    return min(FACTORS, key=lambda factor: fmean(mean_regret(rule, factor, every).values()))


def chosen_factors(rule: Rule, every: Sequence[Curve]) -> dict[str, float]:
    """For each family the factor that the others choose."""
    return {
        family: best_factor(rule, [curve for curve in every if curve.family != family])
        for family in dict.fromkeys(curve.family for curve in every)
    }


@dataclass(frozen=True)
class Judged:
    """A rule on every curve: its factor by family, and what it lost."""

    name: str
    factors: Mapping[str, float]
    regrets: tuple[float, ...]
    shares: tuple[float, ...]
    by_family: Mapping[str, float]

    @property
    def worst(self) -> float:
        return max(self.regrets)


def judged(name: str, rule: Rule, factors: Mapping[str, float], every: Sequence[Curve]) -> Judged:
    fields = [rule(curve, factors[curve.family]) for curve in every]
    regrets = tuple(curve.regret(field) for curve, field in zip(every, fields, strict=True))
    shares = tuple(curve.rf[curve.nearest(field)] / curve.side for curve, field in zip(every, fields, strict=True))
    lost = defaultdict(list)
    for curve, regret in zip(every, regrets, strict=True):
        lost[curve.family].append(regret)
    return Judged(name, factors, regrets, shares, {family: fmean(values) for family, values in lost.items()})


def every_rule(every: Sequence[Curve]) -> list[Judged]:
    families = dict.fromkeys(curve.family for curve in every)
    fixed = [judged(name, rule, dict.fromkeys(families, 1.0), every) for name, rule in FIXED.items()]
    free = [judged(name, rule, chosen_factors(rule, every), every) for name, rule in FREE.items()]
    return sorted([*fixed, *free], key=lambda each: fmean(each.by_family.values()))


def summary(results: Sequence[Judged]) -> None:
    lines = []
    for each in results:
        means = list(each.by_family.values())
        factors = sorted(set(each.factors.values())) if each.name.find("k x") >= 0 else []
        interval = half_width(means)
        loses = f"{sum(regret > 0.01 for regret in each.regrets)} of {len(each.regrets)}"
        cells = [f"{fmean(means):.3f} ± {interval:.3f}", f"{each.worst:.3f}", loses, f"{fmean(each.shares):.2f}"]
        lines.append([each.name, ", ".join(f"{factor:g}" for factor in factors), *cells])
    titles = ["rule", "k that other families choose", "regret over families, 95 %", "worst curve", "loses > .01"]
    table([*titles, "field over side"], lines)


def families_table(results: Sequence[Judged]) -> None:
    families = list(results[0].by_family)
    lines = [[each.name, *(f"{each.by_family[family]:.3f}" for family in families)] for each in results]
    table(["rule", *families], lines)


def each_curve(every: Sequence[Curve]) -> None:
    lines = []
    for curve in every:
        sizes = " ".join(f"{size:.0f}" for size in objects(curve))
        best = curve.rf[curve.score.argmax()]
        near = curve.rf[curve.score >= curve.score.max() - 0.01]
        cells = [f"{best:.0f}", f"{near.min():.0f} to {near.max():.0f}", f"{best / curve.side:.2f}"]
        lines.append([curve.data, curve.network, f"{curve.side:.0f}", sizes, f"{len(curve.rf)}", *cells])
    table(["data", "network", "side", "objects", "fields", "best", "within .01", "best over side"], lines)


def later_curves(every: Sequence[Curve]) -> None:
    chosen = [curve for curve in every if (curve.data, curve.network) in LATER]
    lines = []
    for curve in chosen:
        fields = [rule(curve, 1.0) for rule in FIXED.values()]
        regrets = (f"{curve.regret(field):.3f}" for field in fields)
        lines.append([curve.data, curve.network, *regrets])
    means = [fmean(curve.regret(rule(curve, 1.0)) for curve in chosen) for rule in FIXED.values()]
    table(["data", "network", *FIXED], [*lines, ["mean", "", *(f"{mean:.3f}" for mean in means)]])


def main() -> None:
    every = curves()
    names = {grown: [curve for curve in every if curve.grown == grown] for grown in ("depth", "dilation")}
    print("# A field before any training: which rule holds\n")
    print(ABOUT)
    for title, part in (("All curves", every), *((f"Fields set by {grown}", part) for grown, part in names.items())):
        families = len({curve.family for curve in part})
        print(f"## {title}: {len(part)} in {families} families\n")
        results = every_rule(part)
        summary(results)
        families_table(results)
    print("## Curves that were trained after the rule was formed: regret\n")
    later_curves(every)
    curve = regseg()
    print("## Cityscapes, RegSeg: no size of objects is stated\n")
    points = zip(curve.rf, curve.score, strict=True)
    lines = [[f"{field:.0f}", f"{field / curve.side:.2f}", f"{score:.4f}"] for field, score in points]
    table(["field", "over the side", "mIoU"], lines)
    print("## Each curve\n")
    each_curve(every)


LATER = {
    ("digits 20", "unet"),
    ("digits 56", "unet"),
    ("digits mixed", "unet"),
    ("digits 56", "largefov:test_byobnet"),
    ("camvid", "unet"),
}
"""Curves, by data and network, that were not there when the rule was formed."""

ABOUT = """\
`python benchmarks/field_rules.py` makes this page. One family of data is left out at a time, and judged by the factor
`k` that loses least on the others; a row without `k` has nothing to choose. Scores are Dice (Loos et al., one training
a point) or mIoU (ours, means over two or three seeds), so some thousandths are noise. `objects` are the median and the
largest of the classes' typical sides (the side up to which objects hold half of a class's pixels).

`by what the rest sees` is the rule that `autorf check` prints: 1 x the median object where the network without its
dilated layers sees less than that, else the whole picture. It has no factor to choose, but it was formed on all but the
five curves of the section before the last two, and one of many was picked: on others it may lose more. Where depth sets
the field, the largest of the grid lost less still, at a higher price; where a dilation does, no rule comes near, and a
search pays.
"""


if __name__ == "__main__":
    main()
