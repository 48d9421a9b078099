"""How often a training step waits for a value on the device: never by what need not know one."""

import traceback
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import autorf
from autorf.methods import AdaptiveRegion, Dilation, Inflation, LearnedDilation, Method, PixelAdaptive, ScaleAdaptive

READS = {"aten._local_scalar_dense.default", "aten.is_nonzero.default", "aten.nonzero.default", "aten.equal.default"}
ONLY_ON_THE_CPU = "one_hot"
"""PyTorch checks its classes there alone."""

STEPS, SEARCHING, FIXED = 40, 5, 30


class HostLists(TorchFunctionMode):
    """Notes whole tensors that are read, which on the CPU is no operation that :class:`HostReads` could see."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in ("tolist", "cpu", "numpy"):
            self.names.append(name)
        return func(*args, **(kwargs or {}))


class HostReads(TorchDispatchMode):
    """Notes where in autorf a tensor's value is read."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if str(func) in READS:
            ours = [frame for frame in traceback.extract_stack() if "/autorf/" in frame.filename]
            # The optimizer's own counts of steps are on the host.
            if ours and ONLY_ON_THE_CPU not in (ours[-1].line or ""):
                self.lines.append(f"{ours[-1].filename.rpartition('/')[2]}: {ours[-1].line}")
        return func(*args, **(kwargs or {}))


def reads(method: Method, at: int, values_per_position: float = 0) -> list[str]:
    """What the step ``at`` reads; ``values_per_position``: of a region whose memory was measured."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
    model = autorf.adapt(nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Conv2d(4, 3, 1)), method).train()
    for module in model.modules():
        if isinstance(module, AdaptiveRegion):
            module.values_per_position = values_per_position
    optimizer = torch.optim.SGD(autorf.parameter_groups(model, lr=1e-3), lr=1e-3)

    def step(number: int) -> None:
        autorf.advance(model, number, STEPS)
        loss = cross_entropy(model(torch.rand(2, 3, 12, 12)), torch.randint(3, (2, 12, 12)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for number in range(at):
        step(number)
    with HostReads() as seen:
        step(at)
    return seen.lines


@pytest.mark.parametrize(
    ("method", "at"),
    [
        (Dilation(targets="2", rate=2), SEARCHING),
        (LearnedDilation(targets="2", search=0.5), FIXED),
        (ScaleAdaptive(targets="2"), SEARCHING),
        (PixelAdaptive(targets="2"), SEARCHING),
    ],
    ids=lambda value: getattr(value, "method", value),
)
def test_a_step_reads_no_value(method: Method, at: int) -> None:
    assert reads(method, at) == []


@pytest.mark.parametrize(
    ("method", "at", "most"),
    [
        # Whether what was measured is a number: a sum with one nan would stay so.
        (LearnedDilation(targets="2", search=0.5), SEARCHING, 1),
        # f says how large the next map is, which a program must know to begin with it; and that it is a number.
        (Inflation(start="2", end="3"), FIXED, 3),
        (Inflation(start="2", end="3", search=0.5), SEARCHING, 8),
    ],
    ids=["learned_dilation searching", "inflation", "inflation searching"],
)
def test_what_must_know_a_value_reads_no_more_than_it_needs(method: Method, at: int, most: int) -> None:
    found = reads(method, at)
    assert 0 < len(found) <= most, found


def test_the_bound_that_memory_sets_for_f_reads_nothing() -> None:
    method = Inflation(start="2", end="3", factor=1.5)
    assert reads(method, FIXED, values_per_position=1e3) == reads(method, FIXED)
