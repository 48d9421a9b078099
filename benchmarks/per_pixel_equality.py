"""How far the per-pixel operators are from what they must equal, in float64: the largest difference over all cases.

    python benchmarks/per_pixel_equality.py [--write]

Cases: odd sizes, rectangles, groups, maps smaller than the kernel, scales at both bounds. The output and every gradient
are compared; the script fails where a limit is passed. ``--write`` records the table beside this script.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import conv2d, one_hot
from torchvision.ops import deform_conv2d

from autorf.files import write_atomically
from autorf.ops import pixel_adaptive_conv2d, scale_adaptive_conv2d
from autorf.ops.reference import pixel_adaptive_conv2d_reference, scale_adaptive_conv2d_reference

LOW, HIGH = 0.25, 4.0
RATES = (1, 2, 4)
NAMES = ("output", "d input", "d weight", "d bias", "d map")
Operator = Callable[..., Tensor]


@dataclass(frozen=True)
class Case:
    sizes: tuple[int, int, int, int, int]  # N, C_in, C_out, H, W
    kernel: tuple[int, int]
    dilation: int
    groups: int

    def leaves(self) -> list[Tensor]:
        """Image, weight and bias."""
        n, c_in, c_out, height, width = self.sizes
        shapes = [(n, c_in, height, width), (c_out, c_in // self.groups, *self.kernel), (c_out,)]
        return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]

    def map(self, channels: int = 1) -> Tensor:
        n, _, _, height, width = self.sizes
        return torch.rand(n, channels, height, width, dtype=torch.float64)

    def scale(self) -> Tensor:
        """Anything between the bounds, and some pixels exactly at each."""
        scale = LOW + (HIGH - LOW) * self.map()
        scale[self.map() < 0.15] = LOW
        scale[self.map() < 0.15] = HIGH
        return scale.requires_grad_()

    def shares(self) -> Tensor:
        return (3 * self.map(len(RATES))).softmax(1).requires_grad_()

    def convolution(self, image: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
        padding = (dilation * (self.kernel[0] // 2), dilation * (self.kernel[1] // 2))
        return conv2d(image, weight, bias, padding=padding, dilation=dilation, groups=self.groups)

    def naive_sum(self, image: Tensor, weight: Tensor, bias: Tensor, shares: Tensor) -> Tensor:
        terms = torch.stack([self.convolution(image, weight, None, rate) for rate in RATES], 1)
        return (terms * shares.unsqueeze(2)).sum(1) + bias.view(1, -1, 1, 1)

    def deformable(self, image: Tensor, weight: Tensor, bias: Tensor, scale: Tensor) -> Tensor:
        """Deformable convolution with offsets ``(s - 1) d k``."""
        rows, columns = (torch.arange(side) - side // 2 for side in self.kernel)
        taps = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).reshape(1, -1, 1, 1)
        padding = (self.dilation * (self.kernel[0] // 2), self.dilation * (self.kernel[1] // 2))
        offset = (scale - 1) * self.dilation * taps
        return deform_conv2d(image, offset, weight, bias, padding=padding, dilation=self.dilation)


CASES = [
    Case((2, 4, 6, 7, 11), (3, 3), 1, 1),
    Case((1, 6, 6, 13, 5), (3, 5), 2, 3),
    Case((3, 8, 8, 9, 9), (3, 3), 3, 8),
    Case((2, 4, 4, 8, 15), (5, 3), 2, 2),
    Case((1, 3, 5, 1, 1), (3, 3), 1, 1),
    Case((1, 4, 2, 6, 1), (1, 3), 4, 1),
]


@dataclass(frozen=True)
class Check:
    """``ours`` must equal ``theirs`` on ``leaves``, output and gradients, within ``limit``."""

    name: str
    limit: float
    ours: Operator
    theirs: Operator
    leaves: list[Tensor]


def scale_checks(case: Case) -> Iterator[Check]:
    def operator(image: Tensor, weight: Tensor, bias: Tensor, scale: Tensor) -> Tensor:
        return scale_adaptive_conv2d(image, weight, bias, scale, case.dilation, case.groups)

    def reference(image: Tensor, weight: Tensor, bias: Tensor, scale: Tensor) -> Tensor:
        return scale_adaptive_conv2d_reference(image, weight, bias, scale, case.dilation, case.groups)

    for factor, name in ((1, "SAC, s = 1: conv2d"), (2, "SAC, integer s: conv2d"), (3, "SAC, integer s: conv2d")):
        scale = torch.full_like(case.map(), factor)
        yield Check(
            name,
            1e-12,
            lambda *leaves, scale=scale: operator(*leaves, scale),
            lambda *leaves, factor=factor: case.convolution(*leaves, factor * case.dilation),
            case.leaves(),
        )
    leaves = [*case.leaves(), case.scale()]
    yield Check("SAC, any s: torchvision's deform_conv2d", 1e-9, operator, case.deformable, leaves)
    yield Check("SAC, any s: loops over pixels and taps", 1e-9, operator, reference, leaves)


def pixel_checks(case: Case) -> Iterator[Check]:
    def operator(image: Tensor, weight: Tensor, bias: Tensor, shares: Tensor) -> Tensor:
        return pixel_adaptive_conv2d(image, weight, bias, shares, RATES, case.groups)

    def reference(image: Tensor, weight: Tensor, bias: Tensor, shares: Tensor) -> Tensor:
        return pixel_adaptive_conv2d_reference(image, weight, bias, shares, RATES, case.groups)

    def alone(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return pixel_adaptive_conv2d(image, weight, bias, torch.ones_like(case.map()), (case.dilation,), case.groups)

    def chosen(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        options = torch.stack([case.convolution(image, weight, bias, rate) for rate in RATES], 1)
        index = choice.view(len(choice), 1, 1, *choice.shape[1:]).expand_as(options[:, :1])
        return options.gather(1, index)[:, 0]

    choice = case.shares().argmax(1)
    hard = one_hot(choice, len(RATES)).permute(0, 3, 1, 2).double()
    one = case.leaves()
    yield Check("PAD, one option: conv2d", 1e-12, alone, lambda *found: case.convolution(*found, case.dilation), one)
    yield Check("PAD, one-hot: that option's conv2d", 1e-9, lambda *found: operator(*found, hard), chosen, one)
    with torch.no_grad():
        # Without gradients the hard choice has a path of its own.
        output = operator(*one, hard)
    yield Check("PAD, one-hot, evaluation: that option's conv2d", 1e-9, lambda *_: output, chosen, one)
    leaves = [*case.leaves(), case.shares()]
    yield Check("PAD, shares: naive sum of conv2d", 1e-9, operator, case.naive_sum, leaves)
    yield Check("PAD, shares: loops over pixels and taps", 1e-9, operator, reference, leaves)


def differences(check: Check) -> list[float]:
    """The largest difference of the output and of each gradient, relative to the largest value if that is above 1."""
    found, expected = check.ours(*check.leaves), check.theirs(*check.leaves)
    pairs = [(found, expected)]
    if found.requires_grad:
        pattern = torch.linspace(-1, 2, found.numel(), dtype=found.dtype).view(found.shape).sin()
        ours, theirs = (torch.autograd.grad(output, check.leaves, pattern) for output in (found, expected))
        pairs += zip(ours, theirs, strict=True)
    return [float(((a - b).abs().max() / b.abs().max().clamp(min=1)).detach()) for a, b in pairs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    worst: dict[str, list[float]] = {}
    limits: dict[str, float] = {}
    for checks in (scale_checks, pixel_checks):
        for case in CASES:
            for check in checks(case):
                limits[check.name] = check.limit
                seen, found = worst.get(check.name, []), differences(check)
                worst[check.name] = [max(a, b) for a, b in zip(seen or found, found, strict=True)]
    lines = [
        "# Per-pixel operators: equality",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, torch {torch.__version__}, CPU, float64, {len(CASES)} cases each (odd sizes, "
        f"rectangles, groups, maps smaller than the kernel, scales of {LOW} to {HIGH} and exactly at both bounds); "
        "`python benchmarks/per_pixel_equality.py --write`. Largest differences, relative to the largest value where "
        "that is above 1.",
        "",
        f"| must equal | {' | '.join(NAMES)} | limit |",
        "|---" * (len(NAMES) + 2) + "|",
    ]
    for name, found in worst.items():
        cells = [f"{value:.1e}" for value in found] + ["-"] * (len(NAMES) - len(found))
        lines.append(f"| {name} | {' | '.join(cells)} | {limits[name]:.0e} |")
    text = "\n".join([*lines, ""])
    print(text)
    if failed := [name for name, found in worst.items() if max(found) > limits[name]]:
        sys.exit(f"over the limit: {'; '.join(failed)}")
    if options.write:
        write_atomically(Path(__file__).parent / "results" / "per_pixel_equality.md", text)


if __name__ == "__main__":
    main()
