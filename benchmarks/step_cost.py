"""What a training step of an adapted model costs, against another version of the library, method by method.

    python benchmarks/step_cost.py BEFORE [AFTER] [--pairs 21] [--write]

``BEFORE`` and ``AFTER`` are folders that hold the package `autorf`, such as a worktree of an earlier commit and this
one. A process of each trains the same tiny network from the same seeds; the two take turns, and who goes first
alternates. Both must come to the same losses, up to rounding, before their times are compared: processor seconds of the
whole step, from ``advance`` to the optimizer's, of the quickest step of each phase. The table says the median of the
ratios of the pairs and the quartiles between which half of them lie. Where other work shares the machine that is
coarse, so what a step does beside the network's arithmetic is also timed alone, in this network and in a U-Net of 223
modules, and torch's operations in a step are counted, which no load changes; ``--pairs 0`` does only that. ``--write``
records it beside this script.
"""

import argparse
import json
import math
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
STEPS = 20
"""Of each phase of a training."""

BESIDE = 400
"""Steps of each phase without the network's arithmetic."""

CASES: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "learned_dilation": ("LearnedDilation", {"targets": ("1", "3"), "search": 0.5}, ("search", "fixed")),
    "inflation": ("Inflation", {"start": "1", "end": "3"}, ("learning",)),
    "inflation with search": (
        "Inflation",
        {"start": "1", "end": "3", "search": 0.5, "low": 0.5, "high": 2.0},
        ("search", "learning"),
    ),
    "scale_adaptive": ("ScaleAdaptive", {"targets": ("1", "3")}, ("learning",)),
    "pixel_adaptive": ("PixelAdaptive", {"targets": ("1", "3")}, ("learning",)),
}
"""By method: its class, its options, and the phases that its training has."""

Answer = dict[str, list[float]]
"""By phase: processor seconds of its quickest step, which other work disturbs least, then the losses of its steps."""


def adapted(case: str) -> Any:
    """The tiny network, adapted, and an optimizer of it."""
    import torch
    from torch import nn

    import autorf

    kind, options, _ = CASES[case]
    torch.manual_seed(0)
    layers = [nn.Conv2d(width, 16, 3, padding=1) for width in (3, 16, 16)]
    model = nn.Sequential(layers[0], layers[1], nn.ReLU(), layers[2], nn.ReLU(), nn.Conv2d(16, 2, 1))
    autorf.adapt(model, getattr(autorf, kind)(**options))
    return model, torch.optim.SGD(autorf.parameter_groups(model, lr=0.01), lr=0.01)


def steps(case: str, count: int = STEPS) -> Iterator[tuple[str, Callable[[], float]]]:
    """Every step's phase, and what takes it and returns its loss; ``count`` of each phase."""
    import torch
    from torch import nn

    import autorf

    phases = CASES[case][2]
    model, optimizer = adapted(case)
    images = torch.rand(4, 3, 32, 40)
    labels = (images.mean(1) > 0.5).long()
    total = count * len(phases)

    def take(step: int) -> float:
        torch.manual_seed(step)
        autorf.advance(model, step, total)
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    for step in range(total):
        yield phases[step // count], partial(take, step)


def trained(case: str) -> Answer:
    """Train the network by the method of that case, in the version that is imported."""
    answer = {phase: [math.inf] for phase in CASES[case][2]}
    for phase, take in steps(case):
        began = time.process_time()
        loss = take()
        answer[phase][0] = min(answer[phase][0], time.process_time() - began)
        answer[phase].append(loss)
    return answer


def counted(case: str) -> Answer:
    """How many of torch's operations the last step of each phase takes."""
    from torch.profiler import ProfilerActivity, profile

    answer: Answer = {}
    for index, (phase, take) in enumerate(steps(case)):
        if index % STEPS != STEPS - 1:
            take()
            continue
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            take()
        answer[phase] = [sum(each.count for each in profiled.key_averages() if each.key.startswith("aten::"))]
    return answer


def beside(case: str) -> Answer:
    """Microseconds of ``advance`` and of the optimizer's step in each phase, without the network's arithmetic."""
    import torch

    import autorf

    phases = CASES[case][2]
    model, optimizer = adapted(case)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    total, answer = BESIDE * len(phases), {phase: list[float]() for phase in phases}
    for step in range(total):
        began = time.process_time()
        autorf.advance(model, step, total)
        optimizer.step()
        answer[phases[step // BESIDE]].append(1e6 * (time.process_time() - began))
    return {phase: [statistics.median(taken)] for phase, taken in answer.items()}


def large(_: str) -> Answer:
    """Microseconds of ``advance`` in a U-Net with a ResNet-50 encoder, five layers of which search their dilation."""
    import segmentation_models_pytorch as smp

    import autorf

    model = smp.Unet("resnet50", encoder_weights=None, classes=4)
    targets = tuple(f"encoder.layer3.{block}.conv2" for block in range(1, 6))
    autorf.adapt(model, autorf.LearnedDilation(targets=targets, search=0.5))
    answer: Answer = {"search": [], "fixed": []}
    for step in range(2 * BESIDE):
        began = time.process_time()
        autorf.advance(model, step, 2 * BESIDE)
        answer["fixed" if step >= BESIDE else "search"].append(1e6 * (time.process_time() - began))
    return {phase: [statistics.median(taken)] for phase, taken in answer.items()}


def work(folder: str) -> None:
    """Answer requests, a case a line, with the version in ``folder``."""
    sys.path.insert(0, folder)
    import torch

    import autorf

    assert Path(autorf.__file__).is_relative_to(Path(folder).resolve()), f"autorf comes from {autorf.__file__}"
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        measure, case = line.strip().split(maxsplit=1)
        print(json.dumps(MEASURES[measure](case)), flush=True)


MEASURES = {"train": trained, "beside": beside, "count": counted, "large": large}


class Version:
    """A process that trains with the version of the library in a folder."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--work", str(folder.resolve())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measured(self, case: str, measure: str = "train") -> Answer:
        """Have it train once, or do what is beside the arithmetic."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{measure} {case}\n")
        self._process.stdin.flush()
        answer: Answer = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def check_same(case: str, before: Answer, after: Answer) -> None:
    """Raise unless both versions trained alike."""
    for phase in before:
        for step, (old, new) in enumerate(zip(before[phase][1:], after[phase][1:], strict=True)):
            if not math.isclose(old, new, rel_tol=1e-4):
                raise SystemExit(f"{case}, {phase}, step {step}: loss {new} after, {old} before")


def compared(case: str, versions: tuple[Version, Version], pairs: int) -> list[str]:
    """A row of the table for each phase of a case."""
    runs: tuple[list[Answer], list[Answer]] = ([], [])
    for pair in range(pairs + 1):
        for which in (0, 1) if pair % 2 else (1, 0):
            runs[which].append(versions[which].measured(case))
    for before, after in zip(*runs, strict=True):
        check_same(case, before, after)
    # The first pair warms both up.
    return [row(case, phase, *[[run[phase][0] for run in each[1:]] for each in runs]) for phase in runs[0][0]]


def row(case: str, phase: str, before: list[float], after: list[float]) -> str:
    """The medians of a phase, in milliseconds a step, and the ratios of the pairs."""
    ratios = [new / old for old, new in zip(before, after, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    old, new = (1e3 * statistics.median(seconds) for seconds in (before, after))
    line = f"| {case} | {phase} | {old:.3f} | {new:.3f} | {middle:.3f} | {low:.3f} to {high:.3f} |"
    print(line, flush=True)
    return line


def rows_beside(versions: tuple[Version, Version], rounds: int = 5) -> list[str]:
    """A row for each phase of each case: what it costs beside the arithmetic, the least of some interleaved rounds."""
    rows = []
    for case in CASES:
        taken = [[version.measured(case, "beside") for version in versions] for _ in range(rounds)]
        for phase in taken[0][0]:
            old, new = (min(each[which][phase][0] for each in taken) for which in (0, 1))
            rows.append(f"| {case} | {phase} | {old:.0f} | {new:.0f} | {new - old:+.0f} |")
            print(rows[-1], flush=True)
    return rows


def rows_of_large(versions: tuple[Version, Version], rounds: int = 5) -> list[str]:
    """A row for each phase of the large network's ``advance``."""
    taken = [[version.measured("learned_dilation", "large") for version in versions] for _ in range(rounds)]
    rows = []
    for phase in taken[0][0]:
        old, new = (min(each[which][phase][0] for each in taken) for which in (0, 1))
        rows.append(f"| U-Net, `advance` alone | {phase} | {old:.0f} | {new:.0f} | {new - old:+.0f} |")
        print(rows[-1], flush=True)
    return rows


def rows_counted(versions: tuple[Version, Version]) -> list[str]:
    """A row for each phase of each case: how many of torch's operations a step takes."""
    rows = []
    for case in CASES:
        before, after = (version.measured(case, "count") for version in versions)
        rows += [f"| {case} | {phase} | {before[phase][0]:.0f} | {after[phase][0]:.0f} |" for phase in before]
    print("\n".join(rows), flush=True)
    return rows


def main() -> None:
    """Print the table, and record it with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path, nargs="?", default=ROOT)
    parser.add_argument("--pairs", type=int, default=21)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    versions = Version(given.before), Version(given.after)
    operations = rows_counted(versions)
    least = [*rows_beside(versions), *rows_of_large(versions)]
    rows = [line for case in CASES for line in compared(case, versions, given.pairs)] if given.pairs else []
    for version in versions:
        version.close()
    import torch

    lines = [
        "# Cost of a step against an earlier version",
        "",
        f"{platform.machine()}, 1 thread, torch {torch.__version__}, {given.pairs} interleaved pairs of {STEPS} steps "
        "a phase, processor time of the quickest step; both versions come to the same losses. A network of four "
        "convolutions of 16 channels on images of 32 x 40, so what a step costs beside the arithmetic weighs most. "
        "`python benchmarks/step_cost.py BEFORE --write`, with 407565e, before the state moved into buffers.",
        "",
        "| method | phase | before, ms | after, ms | ratio, median | half of the ratios |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        f"Without the arithmetic: `advance` and the optimizer's step alone, the least of five medians of {BESIDE}.",
        "",
        "| method | phase | before, us | after, us | more |",
        "|---|---|---|---|---|",
        *least,
        "",
        "Torch's operations in the last step of each phase, forward and backward.",
        "",
        "| method | phase | before | after |",
        "|---|---|---|---|",
        *operations,
    ]
    if given.write:
        (ROOT / "benchmarks" / "results" / "step_cost.md").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2])
    else:
        main()
