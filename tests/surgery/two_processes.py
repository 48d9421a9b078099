"""One of two processes that train every method under default DistributedDataParallel.

``python two_processes.py ROOT RANK``; it writes what it ended with to ``ROOT/RANK.pt``.
"""

import sys
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from autorf.errors import InputError
from autorf.methods import Inflation, LearnedDilation, PixelAdaptive, ScaleAdaptive, loss_profile, processes
from autorf.methods.base import Method
from autorf.methods.recorded import Recorded
from autorf.surgery import adapt, advance, freeze, learned_values, load, parameter_groups, save, verify

STEPS, BATCH = 12, 3
METHODS: dict[str, Method] = {
    "learned": LearnedDilation(targets=("2",), search=0.5, memory=1e6),
    "shared": LearnedDilation(targets=("0", "2"), shared=True, search=0.5),
    "together": LearnedDilation(targets=("0", "2"), shared="then_neighbours", explore=0.5, search=0.5),
    "inflation": Inflation(start="2", end="2", per_axis=True),
    "held": Inflation(start="2", end="2", hold=0.5),
    "searched": Inflation(start="2", end="2", search=0.5),
    "scale": ScaleAdaptive(targets=("0", "2"), share="stage"),
    "pixel": PixelAdaptive(targets=("0", "2"), aggregation="gated"),
}


def network(method: Method) -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 2, 1)
    return adapt(nn.Sequential(*layers), method)


def trained(method: Method, rank: int) -> dict[str, Any]:
    model = network(method)
    wrapped = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.Adam(parameter_groups(model, lr=0.05))
    torch.manual_seed(1 + rank)
    held: list[dict[str, float]] = []
    for step in range(STEPS):
        advance(model, step, STEPS)
        held.append(learned_values(model))
        image = torch.rand(BATCH, 3, 16, 16)
        loss = nn.functional.cross_entropy(wrapped(image), (image.mean(1) > 0.5).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    advance(model, STEPS, STEPS)
    records = [module.record for module in model.modules() if isinstance(module, Recorded)]
    n_pairs = len(records[0].profile) // loss_profile.ROWS
    state = {name: value for name, value in model.state_dict().items() if "map_state" not in name}
    steps = {name: optimizer.state[p]["step"].item() for name, p in model.named_parameters() if p in optimizer.state}
    return {
        "state": state,
        "heard": [(record.phase.value, record.heard, sum(record.profile[:n_pairs])) for record in records],
        "values": held,
        "steps": steps,
    }


def advanced_by(rank: int, told: Callable[[int], int | None], *, tried_out: bool = False) -> str:
    """What happens where this process is told at a step that it is at step ``told(step)``, or nothing where None.

    After a pass without gradients ``DistributedDataParallel`` does not copy the first process's state for the next one.
    """
    model = network(METHODS["learned"])
    wrapped = nn.parallel.DistributedDataParallel(model)
    if tried_out:
        with torch.no_grad():
            wrapped(torch.rand(BATCH, 3, 16, 16))
    try:
        for step in range(STEPS):
            if (at := told(step)) is not None:
                advance(model, at, STEPS)
            wrapped(torch.rand(BATCH, 3, 16, 16)).square().mean().backward()
    except InputError as error:
        return f"refused: {error}"
    except RuntimeError as error:
        return f"failed: {error}"
    return "trained"


def sharded(root: Path, rank: int) -> dict[str, Any]:
    """What one does with a sharded model right after it was evaluated, which leaves its parameters whole."""
    mesh = init_device_mesh("cpu", (2,))
    model = fully_shard(network(METHODS["inflation"]), mesh=mesh)
    optimizer = torch.optim.SGD(parameter_groups(model, lr=0.1))
    with torch.no_grad():
        model(torch.rand(BATCH, 3, 16, 16))
    advance(model, 1, STEPS)
    parts = all(hasattr(parameter, "full_tensor") for parameter in model.parameters())
    with torch.no_grad():
        model(torch.rand(BATCH, 3, 16, 16))
    answers: dict[str, Any] = {"parts": parts, "verify": verify(model, optimizer)}
    with torch.no_grad():
        model(torch.rand(BATCH, 3, 16, 16))
    folder = save(model, root / f"model of {rank}")
    answers["written"] = sorted(file.name for file in folder.iterdir()) if folder.exists() else []
    try:
        load(lambda: fully_shard(network(METHODS["inflation"]), mesh=mesh), root / "model of 0")
    except InputError as error:
        answers["load"] = str(error)
    freeze(model)
    return {**answers, "state": model.state_dict(), "values": [type(each).__name__ for each in model.modules()]}


def join(file: Path, rank: int) -> None:
    torch.distributed.init_process_group("gloo", file.as_uri(), timedelta(seconds=60), world_size=2, rank=rank)


def misled(root: Path, rank: int) -> dict[str, str]:
    """What happens in each case in which the processes are told different things, each in a group of its own."""
    processes.PATIENCE = 3.0
    cases: dict[str, Callable[[], str]] = {
        "tried out": lambda: advanced_by(rank, lambda step: None if rank else step, tried_out=True),
        "alone": lambda: advanced_by(rank, lambda step: None if rank else step),
        "later alone": lambda: advanced_by(rank, lambda step: step if step < 3 or not rank else None),
        "later the second alone": lambda: advanced_by(rank, lambda step: step if step < 3 or rank else None),
        "apart": lambda: advanced_by(rank, lambda step: step + (step > 2) * rank),
    }
    answers: dict[str, str] = {}
    for name, case in cases.items():
        join(root / name, rank)
        began = time.monotonic()
        answers[name] = case()
        assert time.monotonic() - began < 30, f"{name} took {time.monotonic() - began:.0f} s"
        torch.distributed.destroy_process_group()
    return answers


def main(root: Path, rank: int) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    patience = processes.PATIENCE
    results: dict[str, Any] = misled(root, rank)
    processes.PATIENCE = patience
    join(root / "together", rank)
    results |= {name: trained(method, rank) for name, method in METHODS.items()}
    results["sharded"] = sharded(root, rank)
    torch.save(results, root / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
