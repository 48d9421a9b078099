"""What the statistical contextual loss costs beside cross-entropy: alone, and in a whole training step.

    python benchmarks/contextual_loss.py [--pairs 7] [--write]

On scores of (8, 11, 256, 256): cross-entropy with its gradient, against the contextual loss with its gradient and the
step of its centres, for every setting of its switches that the paper tells apart. Then a training step of
``largefov:resnet18``, with cross-entropy and with both. First the loss and the centres' step are checked against plain
formulas, class by class. The two take turns, and who goes first alternates; the table says the median of the ratios of
the pairs, of processor time, and the quartiles between which half of them lie. ``--write`` records it beside this
script.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from autorf.data import SegmentationSet, Splits
from autorf.data.sources import InMemory
from autorf.losses.contextual import ContextualLoss
from autorf.losses.contextual_spec import ContextualSpec
from autorf.networks import build
from autorf.training.module import SegmentationModule
from autorf.training.spec import TrainingSpec

SHAPE, IGNORED = (8, 11, 256, 256), 255
MOST_ALONE, MOST_STEP = 4.0, 1.15
SWITCHES: dict[str, dict[str, Any]] = {
    "all improvements": {},
    "without centre decay": {"centre_decay": False},
    "hard-aware alone": {"centre_decay": False, "class_aware": False},
    "center loss and distance": {"centre_decay": False, "class_aware": False, "hard_aware": False},
    "center loss": {"centre_decay": False, "class_aware": False, "hard_aware": False, "inter": False},
}
TRAINED = {"name": "contextual", "weight": 0.01}


def batch() -> tuple[Tensor, Tensor]:
    """Scores and a mask of squares, a tenth of it without a label."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(SHAPE, generator=generator)
    coarse = torch.randint(0, SHAPE[1], (SHAPE[0], 16, 16), generator=generator)
    mask = coarse.repeat_interleave(16, 1).repeat_interleave(16, 2)
    mask[torch.rand(mask.shape, generator=generator) < 0.1] = IGNORED
    return scores, mask


def check() -> None:
    """Raise unless loss and centres are those of plain formulas, class by class in double precision."""
    scores, mask = (part[:2, ..., :64, :64] for part in batch())
    loss = ContextualLoss(SHAPE[1], IGNORED).double()
    scores = scores.double()
    for _ in range(3):
        before, n_pixels = loss.centres.clone(), int((mask != IGNORED).sum())
        entropy = functional.cross_entropy(scores, mask, ignore_index=IGNORED, reduction="none")
        within, expected = 0.0, before.clone()
        for label in range(SHAPE[1]):
            own = mask == label
            x = scores.movedim(1, -1)
            within += (x[own] - before[label]).square().sum().item() / 2 / n_pixels
            easy = x[own & (entropy < entropy[own].mean())]
            expected[label] -= 0.1 * (before[label] - easy).sum(0) / (1 + len(easy))
        between = loss._between(before)
        torch.testing.assert_close(loss(scores, mask), within + between)
        expected -= 0.1 * loss._gradient(before)
        loss.update(scores, mask)
        torch.testing.assert_close(loss.centres, expected)


def seconds(run: Callable[[], object]) -> float:
    """Processor time of one run."""
    began = time.process_time()
    run()
    return time.process_time() - began


def paired(plain: Callable[[], object], other: Callable[[], object], pairs: int) -> tuple[list[float], list[float]]:
    """The times of both, in turns, after one pair that warms up."""
    times: tuple[list[float], list[float]] = ([], [])
    for pair in range(pairs + 1):
        for which in (0, 1) if pair % 2 else (1, 0):
            times[which].append(seconds((plain, other)[which]))
    return times[0][1:], times[1][1:]


def row(name: str, plain: list[float], other: list[float], most: float) -> str:
    """A row of the table."""
    ratios = [b / a for a, b in zip(plain, other, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    milliseconds = (1e3 * statistics.median(times) for times in (plain, other))
    line = "| {} | {:.0f} | {:.0f} | {:.2f} | {:.2f} to {:.2f} | {:g} |".format(
        name, *milliseconds, middle, low, high, most
    )
    print(line, flush=True)
    return line


def alone(pairs: int) -> list[str]:
    """Each setting of the loss against cross-entropy."""
    scores, mask = batch()
    scores.requires_grad_()

    def cross_entropy() -> None:
        functional.cross_entropy(scores, mask, ignore_index=IGNORED).backward()

    rows = []
    for name, switches in SWITCHES.items():
        loss = ContextualLoss(SHAPE[1], IGNORED, ContextualSpec(**switches))

        def contextual(loss: ContextualLoss = loss) -> None:
            loss(scores, mask).backward()
            loss.update(scores, mask)

        rows.append(row(name, *paired(cross_entropy, contextual, pairs), MOST_ALONE))
    return rows


def stepping(loss: Any) -> Callable[[], None]:
    """A training step of the network by a loss."""
    images = torch.zeros(2, 3, *SHAPE[2:], dtype=torch.uint8)
    alike = SegmentationSet(InMemory(images, images[:, 0]), SHAPE[2:], IGNORED)
    names = tuple(f"class {number}" for number in range(SHAPE[1]))
    splits = Splits(alike, alike, None, SHAPE[1], IGNORED, names, SHAPE[2:])
    torch.manual_seed(0)
    model = build("largefov:resnet18", classes=SHAPE[1])
    module = SegmentationModule(model, TrainingSpec.model_validate({"loss": loss}), splits).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    image, mask = torch.rand(SHAPE[0], 3, *SHAPE[2:]), batch()[1]

    def step() -> None:
        module.training_step((image, mask), 0).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def head(pairs: int) -> list[str]:
    """What stands above the rows."""
    return [
        "# Cost of the statistical contextual loss",
        "",
        f"{platform.machine()}, 1 thread, torch {torch.__version__}, {pairs} interleaved pairs, processor time; loss "
        "and centres are those of plain formulas. Cross-entropy with its gradient against the loss with its gradient "
        f"and the step of its centres, on scores of {SHAPE}; in the last row a whole training step of "
        "`largefov:resnet18`, without and with it. Other work shared the machine. "
        "`python benchmarks/contextual_loss.py --write`",
        "",
        "| | cross-entropy, ms | with it, ms | ratio, median | half of the ratios | at most |",
        "|---|---|---|---|---|---|",
    ]


def main() -> None:
    """Check, compare, and record where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    check()
    rows = alone(options.pairs)
    plain, both = stepping("cross_entropy"), stepping(["cross_entropy", TRAINED])
    rows.append(row("a training step with all, weight 0.01", *paired(plain, both, options.pairs), MOST_STEP))
    if options.write:
        path = Path(__file__).parent / "results" / "contextual_loss.md"
        path.write_text("\n".join([*head(options.pairs), *rows]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
