"""What a training step of an adapted model costs, against the plain model's step and what the method must do.

    python benchmarks/method_cost.py [--pairs 21] [--network NAME] [--write]

Two networks: the U-Net of ``real_networks.py``, three layers of which are targets, on 8 images of 128 x 160; and the
digits network of ``studies/quickstart.yaml`` on 24 of 96 x 96. For every method and phase one process takes in turns:
the adapted model's step (``autorf.advance``, forward, backward, optimizer), the plain model's, that of another plain
model, which shows the noise, and what the method must do beside the plain step: its operators alone, with what they
got in that very step, less the convolutions or the region that they replace. Each round of turns has its own random
numbers, so its own draws, the same for all that are compared. Compared are processor seconds, the quickest of three a
round.

First it is checked that both do the same: the operators alone give what the layers gave in the step, and once a
dilation is fixed, the adapted model gives what the plain one gives.
"""

import argparse
import math
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from method_parts import Call, Parts, parts_of
from real_networks import LAYERS, UNET
from torch import nn
from torch.nn import functional

import autorf
from autorf.files import write_atomically
from autorf.methods.base import Method

PAGE = Path(__file__).parent / "results" / "method_cost.md"
TURNS, CLASSES, STEPS = 3, 11, 10**6
"""A training is so long that all steps that are timed are in the same phase."""


@dataclass(frozen=True)
class Network:
    """A network, what it is trained on, and what of it is adapted.

    Attributes:
        spec: as a study file names it.
        shape: ``(N, C, H, W)`` of a batch.
        targets: of the methods that adapt layers.
        region: the first and the last module of the methods that adapt regions; of one sequence, or the same.
    """

    spec: dict[str, Any]
    shape: tuple[int, int, int, int]
    targets: str
    region: tuple[str, str]

    def build(self) -> nn.Module:
        torch.manual_seed(0)
        return autorf.build(autorf.ModelSpec(**self.spec), CLASSES)

    def plain_region(self) -> nn.Module:
        """The modules of the region, one after the other."""
        first, last = self.region
        model = self.build()
        if first == last:
            return model.get_submodule(first)
        prefix, _, start = first.rpartition(".")
        names = [name for name, _ in model.get_submodule(prefix).named_children()]
        end = last.rpartition(".")[2]
        inside = names[names.index(start) : names.index(end) + 1]
        return nn.Sequential(*(model.get_submodule(f"{prefix}.{name}") for name in inside))


NETWORKS = {
    "U-Net": Network(UNET, (8, 3, 128, 160), LAYERS, ("encoder.layer2.1", "encoder.layer2.1")),
    "digits": Network(
        {"name": "largefov:test_byobnet", "stage": 1, "channels": [64, 64], "head_norm": True},
        (24, 3, 96, 96),
        r"head\.conv6",
        ("head.conv6", "head.output"),
    ),
}


@dataclass(frozen=True)
class Case:
    """A method in one phase of a training.

    Attributes:
        name: of the table's row.
        method: its class in ``autorf``.
        options: of the method, beside targets or region.
        progress: the share of the training from which steps are taken.
        rate: the dilation of the plain model, and so of the convolutions that are replaced; None for its own.
    """

    name: str
    method: str
    options: dict[str, Any] = field(default_factory=dict)
    progress: float = 0.0
    rate: int | None = None

    def on(self, network: Network) -> Method:
        where: dict[str, Any] = {"targets": network.targets}
        if self.method == "Inflation":
            where = dict(zip(("start", "end"), network.region, strict=True))
        method: Method = getattr(autorf, self.method)(**where, **self.options)
        return method


CASES = (
    Case("learned dilation, searching, all images explore", "LearnedDilation"),
    Case("learned dilation, searching, a quarter explores", "LearnedDilation", {"explore": 0.25}),
    Case("learned dilation, fixed at 1", "LearnedDilation", progress=0.5),
    Case("learned dilation, fixed at 4", "LearnedDilation", {"start": 4}, progress=0.5, rate=4),
    Case("inflation, searching", "Inflation", {"search": 0.2}),
    Case("inflation, learning, f = 1", "Inflation"),
    Case("inflation, learning, f = 1.5", "Inflation", {"factor": 1.5}),
    Case("scale-adaptive", "ScaleAdaptive"),
    Case("pixel-adaptive", "PixelAdaptive"),
)


class Training:
    """A model, its optimizer, and one batch that every step takes again; ``done`` of a long training's steps."""

    def __init__(self, network: Network, model: nn.Module, done: int = 0) -> None:
        torch.manual_seed(1)
        self.images = torch.rand(network.shape)
        self.labels = torch.randint(CLASSES, (network.shape[0], *network.shape[2:]))
        self.model, self.done = model, done
        self.optimizer = torch.optim.AdamW(autorf.parameter_groups(model, lr=1e-5))

    def plain_step(self) -> None:
        loss = functional.cross_entropy(self.model(self.images), self.labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def step(self) -> None:
        autorf.advance(self.model, self.done, STEPS)
        self.plain_step()
        self.done += 1


def adapted_training(network: Network, case: Case) -> Training:
    """One that is in the phase of the case."""
    model = autorf.adapt(network.build(), case.on(network))
    done = int(case.progress * STEPS)
    for step in sorted({0, done}):
        # A search begins before it ends.
        autorf.advance(model, step, STEPS)
    return Training(network, model, done)


def plain_training(network: Network, case: Case) -> Training:
    """The plain network, with the dilation that the method has fixed."""
    model = network.build()
    if case.rate is not None:
        autorf.freeze(autorf.adapt(model, autorf.Dilation(targets=network.targets, rate=case.rate)))
    return Training(network, model)


def check_alike(adapted: Training, plain: Training) -> None:
    """Raise unless two models that should be the same give the same, bit for bit."""
    with torch.no_grad():
        assert torch.equal(adapted.model(adapted.images), plain.model(plain.images)), "not the plain model's output"


@dataclass
class Round:
    """Processor milliseconds of one round of turns: steps of three trainings, and the method's parts."""

    adapted: float
    plain: float
    again: float
    more: float
    less: float

    @property
    def parts(self) -> float:
        """What the method must do beside the plain step."""
        return self.more - self.less

    @property
    def total(self) -> float:
        """The plain step and what the method must do."""
        return self.plain + self.parts


def measured(network: Network, case: Case, pairs: int) -> list[Round]:
    """The rounds of a case."""
    adapted, plain, again = adapted_training(network, case), *(plain_training(network, case) for _ in range(2))
    if case.progress:
        check_alike(adapted, plain)
    region, rounds = network.plain_region(), []
    for seed in range(pairs + 1):
        torch.manual_seed(seed)
        parts = parts_of(adapted.model, adapted.step, case.rate, region)
        calls = [adapted.step, plain.plain_step, again.plain_step, *together(parts)]
        rounds.append(Round(*quickest(calls, seed)))
    # The first round warms up.
    return rounds[1:]


def together(parts: Parts) -> tuple[Call, Call]:
    def run(calls: list[Call]) -> None:
        for call in calls:
            call()

    return lambda: run(parts.more), lambda: run(parts.less)


def quickest(calls: list[Callable[[], object]], seed: int) -> list[float]:
    """Processor milliseconds of each call, the quickest of a few turns that begin with another one each."""
    least = [math.inf] * len(calls)
    for turn in range(TURNS):
        for place in range(len(calls)):
            at = (place + seed + turn) % len(calls)
            torch.manual_seed(seed)
            began = time.process_time()
            calls[at]()
            least[at] = min(least[at], 1e3 * (time.process_time() - began))
    return least


def quartiles(values: list[float], digits: int = 3) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"**{middle:.{digits}f}** ({low:.{digits}f} to {high:.{digits}f})"


def interval(values: list[float]) -> tuple[float, float]:
    """95 % of the median, by order statistics: how many of the values lie below it is binomial."""
    n, outside = len(values), 0.0
    for rank in range(n // 2):
        outside += math.comb(n, rank) / 2**n
        if outside > 0.025:
            return sorted(values)[max(rank - 1, 0)], sorted(values)[n - max(rank, 1)]
    return min(values), max(values)


def row(case: Case, rounds: list[Round]) -> str:
    """A case's row of the table."""

    def median(value: Callable[[Round], float]) -> float:
        return statistics.median(value(each) for each in rounds)

    to_total = [each.adapted / each.total for each in rounds]
    low, high = interval(to_total)
    cells = [
        case.name,
        str(len(rounds)),
        f"{median(lambda each: each.plain):.1f}",
        f"{median(lambda each: each.adapted):.1f}",
        quartiles([each.adapted / each.plain for each in rounds]),
        f"{median(lambda each: each.parts):+.1f}",
        quartiles(to_total),
        f"{low:.3f} to {high:.3f}",
        f"{median(lambda each: each.adapted - each.total):+.2f}",
        quartiles([each.again / each.plain for each in rounds]),
    ]
    line = "| " + " | ".join(cells) + " |"
    print(line, flush=True)
    return line


HEAD = (
    "| method and phase | rounds | plain step, ms | adapted step, ms | adapted / plain | must do beside, ms | "
    "adapted / sum | 95 % of that median | adapted - sum, ms | plain / plain |"
)


def main() -> None:
    """Print the tables, and record them with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=21)
    parser.add_argument("--network", choices=list(NETWORKS), action="append")
    parser.add_argument("--case", help="only those whose name holds this")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    lines = [
        "# Cost of a step by method",
        "",
        f"{platform.machine()}, 1 thread, torch {torch.__version__}, medians (and quartiles) over rounds; "
        "`python benchmarks/method_cost.py --write`.",
    ]
    for name in given.network or NETWORKS:
        print(f"\n{name}\n{HEAD}", flush=True)
        cases = [case for case in CASES if given.case is None or given.case in case.name]
        rows = [row(case, measured(NETWORKS[name], case, given.pairs)) for case in cases]
        lines += ["", f"## {name}", "", HEAD, "|---" * 10 + "|", *rows]
    if given.write:
        write_atomically(PAGE, "\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
