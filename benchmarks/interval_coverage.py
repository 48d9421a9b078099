"""How often the comparison's 95 % intervals hold the truth, and how often "better" is claimed wrongly.

Simulated studies with known truth: every configuration is trained under a few seeds and predicts the same validation
images; classes differ in size, images in difficulty; a seed moves a configuration (``seed``), an image favours one
configuration over another (``image``), and both together leave a rest (``rest``), all on the logit of a class's recall.
mIoU comes from the pooled counts, as in a study. The truth is the mean over many seeds on many images.

Run: ``python benchmarks/interval_coverage.py [--simulations 1000] > benchmarks/results/interval_coverage.md``
"""

import argparse
import sys
import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from autorf.statistics import difference_of_best, half_width, image_variance, influence, pooled

Array = NDArray[np.float64]

SHARES = np.array([0.62, 0.2, 0.1, 0.05, 0.03])
PIXELS = 96 * 96
RECALL = np.array([3.0, 1.2, 0.8, 0.4, 0.0])  # logits of the classes' recall


@dataclass(frozen=True)
class World:
    """A study to simulate: the quality of each configuration, on the logit of recall, and what varies."""

    title: str
    first: tuple[float, ...]
    second: tuple[float, ...]
    n_seeds: int = 3
    n_images: int = 100
    seed: float = 0.08
    image: float = 0.15
    rest: float = 0.3
    unequal: float = 0.0
    """Standard deviation of the logarithm of ``seed`` among configurations."""
    noisier: float = 1.0
    """How many times as much a seed moves the first group's configurations."""


def tallies(world: World, quality: Array, n_seeds: int, n_images: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``(configurations, seeds, images, classes, 3)``: right, labelled, predicted pixels."""
    noisier = np.where(np.arange(len(quality)) < len(world.first), world.noisier, 1.0)
    g, c = len(quality), len(SHARES)
    labelled = np.round(rng.dirichlet(6 * SHARES, n_images) * PIXELS)
    difficulty = rng.normal(0, 0.7, (n_images, 1)) + rng.normal(0, 0.5, (n_images, c))
    sigma = world.seed * noisier[:, None, None, None] * np.exp(world.unequal * rng.normal(size=(g, 1, 1, 1)))
    logit = quality[:, None, None, None] + RECALL + difficulty
    logit = logit + sigma * (rng.normal(size=(g, n_seeds, 1, 1)) + rng.normal(size=(g, n_seeds, 1, c)))
    logit = logit + world.image * rng.normal(size=(g, 1, n_images, c))
    logit = logit + world.rest * rng.normal(size=(g, n_seeds, n_images, c))
    hits = np.round(labelled / (1 + np.exp(-logit)))
    missed = labelled - hits
    to_others = SHARES / (1 - SHARES[:, None]) * (1 - np.eye(c))
    predicted = hits + np.round(missed @ to_others)
    return np.stack([hits, np.broadcast_to(labelled, hits.shape), predicted], -1).astype(np.int64)


def truth(world: World, quality: Array, rng: np.random.Generator) -> Array:
    """Each configuration's mean over many seeds of its mIoU on many images."""
    counts = [tallies(world, quality, 40, 400, rng) for _ in range(10)]
    return np.mean([[[pooled(seed, "miou") for seed in one] for one in part] for part in counts], axis=(0, 2))


@dataclass
class Tally:
    """What 1 000 simulations came to, for one way to judge."""

    covered: int = 0
    better: int = 0
    worse: int = 0
    widths: tuple[float, ...] = ()

    def add(self, low: float, high: float, true: float) -> None:
        self.covered += low <= true <= high
        self.better += low > 0
        self.worse += high < 0
        self.widths += (high - low,)


def judged(world: World, simulations: int, seed: int = 0) -> tuple[float, dict[str, Tally]]:
    """The true difference of the best, and each way's tally."""
    rng = np.random.default_rng(seed)
    quality, m = np.array([*world.first, *world.second]), len(world.first)
    calm = replace(world, noisier=1.0)
    ours, theirs = (
        max(truth(one, np.array([value]), np.random.default_rng(99))[0] for value in sorted({*group}))
        for one, group in ((world, world.first), (calm, world.second))
    )
    true = ours - theirs
    ways = {"autorf": Tally(), "student": Tally(), "bootstrap": Tally()}
    for _ in range(simulations):
        counts = tallies(world, quality, world.n_seeds, world.n_images, rng)
        scores = np.array([[pooled(one, "miou") for one in seeds] for seeds in counts])
        moved = np.array([[influence(one, "miou") for one in seeds] for seeds in counts])
        images = np.array([[image_variance(a - b) for b in moved[m:]] for a in moved[:m]])
        found = difference_of_best(scores[:m], scores[m:], images, world.n_images)
        ways["autorf"].add(found.low, found.high, true)
        pairs = scores[found.first] - scores[m + found.second]
        spread = half_width(pairs.tolist()) or 0.0
        ways["student"].add(pairs.mean() - spread, pairs.mean() + spread, true)
        means = rng.choice(pairs, (400, world.n_seeds)).mean(1)
        ways["bootstrap"].add(*np.quantile(means, [0.025, 0.975]).tolist(), true)
    return float(true), ways


EQUAL, BETTER = (0.0,), (0.15,)
GRID = (-0.9, -0.3, 0.0, -0.15, -0.6, -1.2)
WORLDS = (
    World("two equal methods", EQUAL, EQUAL),
    World("two equal, images matter more", EQUAL, EQUAL, seed=0.03, image=0.5),
    World("two equal, seeds matter more", EQUAL, EQUAL, seed=0.3, image=0.05),
    World("two equal, few images", EQUAL, EQUAL, n_images=25),
    World("two equal, five seeds", EQUAL, EQUAL, n_seeds=5),
    World("one better by a known margin", BETTER, EQUAL),
    World("one better, images matter more", BETTER, EQUAL, seed=0.03, image=0.5),
    World("one better, five seeds", BETTER, EQUAL, n_seeds=5),
    World("best of 1 against best of 6, all equal", EQUAL, EQUAL * 6),
    World("best of 5 against best of 6, all equal", EQUAL * 5, EQUAL * 6),
    World("best of 5 against 1, all equal", EQUAL * 5, EQUAL),
    World("best of 20 against best of 20, all equal", EQUAL * 20, EQUAL * 20),
    World("best of 5 against best of 6, unequal noise", EQUAL * 5, EQUAL * 6, unequal=0.7),
    World("best of 1, 4 times the noise, against best of 6", EQUAL, EQUAL * 6, noisier=4),
    World("best of 3, 4 times the noise, against best of 6", EQUAL * 3, EQUAL * 6, noisier=4),
    World("best of 1 against a grid with a peak, equal", EQUAL, GRID),
    World("best of 5 against a grid with a peak, equal", EQUAL * 5, GRID),
    World("1 better than a grid's peak", (0.3,), GRID),
    World("5 better than a grid's peak", (0.3, 0.2, 0.3, 0.0, -0.3), GRID),
    World("1 better than a grid's peak, five seeds", (0.3,), GRID, n_seeds=5),
)


def means(world: World, simulations: int, seed: int = 0) -> dict[str, Tally]:
    """How often the interval of one configuration's mean holds its truth, with and without what images add."""
    rng, quality = np.random.default_rng(seed), np.array(world.first)
    true = float(truth(world, quality, np.random.default_rng(99))[0])
    ways = {"seeds and images": Tally(), "seeds alone": Tally()}
    for _ in range(simulations):
        (counts,) = tallies(world, quality, world.n_seeds, world.n_images, rng)
        scores = [pooled(one, "miou") for one in counts]
        images = image_variance([influence(one, "miou") for one in counts])
        for tally, variance in zip(ways.values(), (images, 0.0), strict=True):
            half = half_width(scores, variance, world.n_images) or 0.0
            tally.add(np.mean(scores) - half, np.mean(scores) + half, true)
    return ways


def line(world: World, simulations: int) -> str:
    true, ways = judged(world, simulations)
    ours, student, bootstrap = ways.values()

    def share(count: int) -> str:
        return f"{count / simulations:.1%}"

    cells = [
        world.title, str(world.n_seeds), str(world.n_images), f"{true:+.4f}", share(ours.covered),
        share(ours.better), share(ours.worse), f"{np.median(ours.widths) / 2:.4f}", share(student.covered),
        share(student.better), share(bootstrap.covered), share(bootstrap.better),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=1000)
    simulations = parser.parse_args().simulations
    began = time.perf_counter()
    print("# Coverage of the comparison's 95 % intervals\n")
    print(f"{simulations} simulated studies a line; `python benchmarks/interval_coverage.py` makes this table.\n")
    print(
        "`holds`: the interval holds the true difference of the best. `better`, `worse`: the verdict; where the truth"
    )
    print("is 0 both are wrong. `±`: median half-width. Beside it, for the same pair of bests: Student's interval over")
    print("seeds alone, and a plain bootstrap of the seeds; neither knows of images or of having chosen.\n")
    titles = "study, seeds, images, truth, holds, better, worse, ±, Student holds, better, bootstrap holds, better"
    print(f"| {' | '.join(titles.split(', '))} |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for world in WORLDS:
        print(line(world, simulations), flush=True)
    print("\n## The mean of one configuration\n")
    print(
        "| study | seeds | images | seeds and images hold | ± | seeds alone hold | ± |\n|---|---|---|---|---|---|---|"
    )
    for world in WORLDS[:5]:
        cells = [
            f"{way.covered / simulations:.1%} | {np.median(way.widths) / 2:.4f}"
            for way in means(world, simulations).values()
        ]
        title = world.title.replace("two equal methods", "as above").replace("two equal, ", "")
        print(f"| {title} | {world.n_seeds} | {world.n_images} | {' | '.join(cells)} |", flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
