"""What a training step at f = 2 costs beside the arithmetic it must do: the region on a map of twice the side.

    python benchmarks/inflation_cost.py [--threads 2] [--rounds 9] [--write]

The region is two 3 x 3 convolutions with batch norm and ReLU, as a head has. The adapted region at ``f = 2`` and the
plain one on the inflated map first give the same result; then both take turns, forward and backward, and the ratio of
the medians is printed. Asked for: at most 1.25. ``--write`` records the table beside this script.
"""

import argparse
import platform
import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn

from autorf.files import write_atomically
from autorf.methods import Inflation
from autorf.ops import inflate, interpolate
from autorf.surgery import adapt

SHAPES = [(16, 64, 24, 24), (8, 128, 24, 32), (4, 128, 48, 48), (2, 256, 64, 64)]


def region(channels: int) -> nn.Sequential:
    """A head's convolutions."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(2):
        convolution = nn.Conv2d(channels, channels, 3, padding=2, dilation=2, bias=False)
        layers += [convolution, nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*layers)


def measured(shape: tuple[int, int, int, int], rounds: int) -> tuple[float, float]:
    """Median seconds of a step of the inflated region, and of the plain region on a map of twice the side."""
    plain, adapted = region(shape[1]), region(shape[1])
    adapt(adapted, Inflation(start="0", end="5", factor=2.0))
    map = torch.randn(shape, requires_grad=True)
    factor = torch.tensor(2.0)
    inflated = inflate(map, factor).detach().requires_grad_()
    expected = interpolate(plain(inflated), 1 / factor, map.shape[2:])
    torch.testing.assert_close(adapted(map), expected, rtol=1e-4, atol=1e-5)
    calls: tuple[Callable[[], Tensor], ...] = (lambda: adapted(map), lambda: plain(inflated))
    taken: list[list[float]] = [[], []]
    for _ in range(rounds + 2):
        for seconds, call in zip(taken, calls, strict=True):
            began = perf_counter()
            call().sum().backward()
            seconds.append(perf_counter() - began)
    return statistics.median(taken[0][2:]), statistics.median(taken[1][2:])


def main() -> None:
    """Print the table, and record it with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    lines = [
        "# Cost of a step at f = 2",
        "",
        f"{datetime.now(UTC).date()}, {platform.machine()}, {given.threads} threads, torch {torch.__version__}, "
        f"medians of {given.rounds} interleaved rounds, results checked equal first; "
        "`python benchmarks/inflation_cost.py --write`.",
        "",
        "| (N, C, H, W) | inflated region, ms | plain region on twice the side, ms | ratio |",
        "|---|---|---|---|",
    ]
    for shape in SHAPES:
        ours, least = measured(shape, given.rounds)
        lines.append(f"| {shape} | {1e3 * ours:.1f} | {1e3 * least:.1f} | {ours / least:.2f} |")
    text = "\n".join([*lines, ""])
    print(text)
    if given.write:
        write_atomically(Path(__file__).parent / "results" / "inflation_cost.md", text)


if __name__ == "__main__":
    main()
