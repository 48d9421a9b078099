"""Scale-adaptive and pixel-adaptive convolution against what one would use otherwise, in one run.

    python benchmarks/per_pixel_operators.py [--threads 2] [--rounds 9] [--write]

Float32, 3 x 3 kernels, C_out = C_in. Each line is first checked for equal results; the competitors then take turns and
ratios of medians are printed, so a busy machine slows both; hard evaluation, a matter of milliseconds, in three fresh
processes, whose median is taken. Memory is what a fresh process needs on top of its inputs for one forward and
backward pass (Linux only). ``--write`` records the tables beside this script.
"""

import argparse
import platform
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, one_hot
from torchvision.ops import deform_conv2d

from autorf.files import write_atomically
from autorf.ops import pixel_adaptive_conv2d, scale_adaptive_conv2d

SHAPES = [(2, 64, 64, 64), (4, 128, 48, 48), (1, 512, 64, 64)]
RATES = (1, 2, 4)
Call = Callable[[], Tensor]


class Inputs:
    """One shape's tensors; hard choices are drawn independently at each pixel, the worst case for any locality."""

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        torch.manual_seed(0)
        n, channels, height, width = shape
        self.image = torch.randn(shape, requires_grad=True)
        self.weight = (torch.randn(channels, channels, 3, 3) / (3 * channels**0.5)).requires_grad_()
        self.scale = (0.3 + 3 * torch.rand(n, 1, height, width)).requires_grad_()
        self.shares = torch.randn(n, len(RATES), height, width).softmax(1).requires_grad_()
        self.hard = one_hot(self.shares.argmax(1), len(RATES)).permute(0, 3, 1, 2).float().contiguous()
        self.pattern = torch.randn(shape)

    def deformable(self) -> Tensor:
        rows, columns = torch.meshgrid(torch.arange(-1, 2), torch.arange(-1, 2), indexing="ij")
        taps = torch.stack([rows, columns], -1).reshape(1, -1, 1, 1)
        return deform_conv2d(self.image, (self.scale - 1) * taps, self.weight, padding=1)

    def scale_adaptive(self, recompute: bool | None = None) -> Tensor:
        return scale_adaptive_conv2d(self.image, self.weight, None, self.scale, recompute=recompute)

    def naive_sum(self) -> Tensor:
        return sum_of_convolutions(self.image, self.weight, self.shares)

    def pixel_adaptive(self, recompute: bool | None = None) -> Tensor:
        return pixel_adaptive_conv2d(self.image, self.weight, None, self.shares, RATES, recompute=recompute)

    def hard_naive(self) -> Tensor:
        return sum_of_convolutions(self.image, self.weight, self.hard)

    def hard_pixel_adaptive(self) -> Tensor:
        return pixel_adaptive_conv2d(self.image, self.weight, None, self.hard, RATES)

    def one_convolution(self) -> Tensor:
        return conv2d(self.image, self.weight, padding=2, dilation=2)

    def train(self, operator: Call) -> list[Tensor]:
        """The output, and the gradients of everything that it depends on."""
        leaves = [self.image, self.weight, self.scale, self.shares]
        output = operator()
        grads = torch.autograd.grad(output, leaves, self.pattern, allow_unused=True)
        return [output.detach(), *(grad for grad in grads if grad is not None)]


def sum_of_convolutions(image: Tensor, weight: Tensor, shares: Tensor) -> Tensor:
    output = torch.zeros(())
    for option, rate in enumerate(RATES):
        term = conv2d(image, weight, padding=rate, dilation=rate) * shares[:, option : option + 1]
        output = term if option == 0 else output + term
    return output


def check_equal(found: list[Tensor], expected: list[Tensor], what: str) -> None:
    """Stop the benchmark unless all results agree to 1e-4 of their size."""
    for one, other in zip(found, expected, strict=True):
        error = float((one - other).norm() / other.norm())
        if not error < 1e-4:
            sys.exit(f"{what}: results differ by {error:.1e}; no figure is printed for wrong results")


def medians(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each call; they take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = perf_counter()
            call()
            if turn:
                seconds[name].append(perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def scale_row(shape: tuple[int, int, int, int], rounds: int) -> list[str]:
    given = Inputs(shape)
    for recompute in (False, True):
        found = given.train(partial(given.scale_adaptive, recompute))
        check_equal(found, given.train(given.deformable), f"scale_adaptive_conv2d {shape}")
    seconds = medians(
        {
            "deformable": partial(given.train, given.deformable),
            "kept": partial(given.train, partial(given.scale_adaptive, False)),
            "recomputed": partial(given.train, partial(given.scale_adaptive, True)),
            "convolution": partial(given.train, given.one_convolution),
        },
        rounds,
    )
    faster = [f"{seconds['deformable'] / seconds[name]:.1f}x" for name in ("kept", "recomputed", "convolution")]
    memory = [f"{peak_mebibytes(shape, name, again):.0f}" for name, again in MEMORY]
    return [str(shape), *faster, *memory]


def pixel_row(shape: tuple[int, int, int, int], rounds: int) -> list[str]:
    given = Inputs(shape)
    for recompute in (False, True):
        found = given.train(partial(given.pixel_adaptive, recompute))
        check_equal(found, given.train(given.naive_sum), f"pixel_adaptive_conv2d {shape}")
    training = medians(
        {
            "naive": partial(given.train, given.naive_sum),
            "kept": partial(given.train, partial(given.pixel_adaptive, False)),
            "recomputed": partial(given.train, partial(given.pixel_adaptive, True)),
        },
        rounds,
    )
    ratios = [training["kept"] / training["naive"], training["recomputed"] / training["naive"]]
    evaluated = [in_a_fresh_process(_evaluation_ratios_here, shape, 2 * rounds) for _ in range(PROCESSES)]
    ratios += [statistics.median(values) for values in zip(*evaluated, strict=True)]
    return [str(shape), *(f"{ratio:.2f}" for ratio in ratios)]


def _evaluation_ratios_here(shape: tuple[int, int, int, int], rounds: int) -> tuple[float, ...]:
    """The mean over options, the naive sum, the hard choice and its naive form, relative to one convolution."""
    given = Inputs(shape)
    with torch.no_grad():
        check_equal([given.hard_pixel_adaptive()], [given.hard_naive()], f"hard pixel_adaptive_conv2d {shape}")
        check_equal([given.pixel_adaptive()], [given.naive_sum()], f"pixel_adaptive_conv2d {shape}")
        calls = {
            "one": given.one_convolution,
            "mean": given.pixel_adaptive,
            "naive": given.naive_sum,
            "hard": given.hard_pixel_adaptive,
            "naive, hard": given.hard_naive,
        }
        seconds = medians(calls, rounds)
    return tuple(seconds[name] / seconds["one"] for name in list(calls)[1:])


PROCESSES = 3
"""What is short or small differs from one process to the next, by where its memory lies: medians are taken of these."""


def in_a_fresh_process(measured: Callable[..., Any], *arguments: object) -> Any:
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)
    ) as pool:
        return pool.submit(measured, *arguments).result()


MEMORY = [("deformable", None), ("scale_adaptive", False), ("scale_adaptive", True)]


def peak_mebibytes(shape: tuple[int, int, int, int], operator: str, recompute: bool | None) -> float:
    """Highest resident memory of a process in a training step, above what it had with its inputs made."""
    if not Path("/proc/self/clear_refs").exists():
        return float("nan")
    return statistics.median(in_a_fresh_process(_peak_here, shape, operator, recompute) for _ in range(PROCESSES))


def _peak_here(shape: tuple[int, int, int, int], operator: str, recompute: bool | None) -> float:
    for size in ((1, 8, 8, 8), shape):  # the first warms up libraries and their thread pools
        given = Inputs(size)
        arguments = () if recompute is None else (recompute,)
        before = _resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        given.train(partial(getattr(given, operator), *arguments))
    return (_resident("VmHWM") - before) / 1024


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def table(title: str, heads: list[str], rows: list[list[str]]) -> str:
    lines = [f"## {title}", "", "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    scale_heads = ["(N, C, H, W)", "kept", "recomputed", "(plain conv2d)", "MiB deform", "MiB kept", "MiB recomputed"]
    pixel_heads = ["(N, C, H, W)", "training, kept", "training, recomputed", "mean", "(naive)", "hard", "(naive, hard)"]
    text = "\n".join(
        [
            "# Per-pixel operators",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, {options.threads} threads, torch {torch.__version__}, "
            f"float32, 3 x 3, medians of {options.rounds} interleaved runs; results checked equal first.",
            "",
            table(
                "Scale-adaptive convolution: forward + backward, times faster than torchvision's deform_conv2d",
                scale_heads,
                [scale_row(shape, options.rounds) for shape in SHAPES],
            ),
            table(
                f"Pixel-wise adaptive dilation over {RATES}: training relative to the naive sum of convolutions, "
                "evaluation, by the mean over options or the hard choice, relative to one convolution",
                pixel_heads,
                [pixel_row(shape, options.rounds) for shape in SHAPES],
            ),
        ]
    )
    print(text)
    if options.write:
        results = Path(__file__).parent / "results"
        results.mkdir(exist_ok=True)
        write_atomically(results / "per_pixel_operators.md", text)


if __name__ == "__main__":
    main()
