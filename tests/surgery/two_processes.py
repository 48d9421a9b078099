"""One of two processes that train every method under default DistributedDataParallel.

``python two_processes.py ROOT RANK``; it writes what it ended with to ``ROOT/RANK.pt``.
"""

import sys
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autorf.errors import InputError
from autorf.methods import Inflation, LearnedDilation, PixelAdaptive, ScaleAdaptive, processes
from autorf.methods.base import Method
from autorf.methods.recorded import Recorded
from autorf.surgery import adapt, advance, learned_values, parameter_groups

STEPS, BATCH = 12, 3
METHODS: dict[str, Method] = {
    "learned": LearnedDilation(targets=("2",), search=0.5, memory=1e6),
    "shared": LearnedDilation(targets=("0", "2"), shared=True, search=0.5),
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
    n_pairs = len(records[0].profile) // 2
    state = {name: value for name, value in model.state_dict().items() if "map_state" not in name}
    steps = {name: optimizer.state[p]["step"].item() for name, p in model.named_parameters() if p in optimizer.state}
    return {
        "state": state,
        "heard": [(record.phase.value, record.heard, sum(record.profile[:n_pairs])) for record in records],
        "values": held,
        "steps": steps,
    }


def advanced_alone(rank: int, *, tried_out: bool) -> str:
    """What happens where only the first process is told of the training.

    After a pass without gradients ``DistributedDataParallel`` does not copy the first process's state for the next one.
    """
    model = network(METHODS["learned"])
    wrapped = nn.parallel.DistributedDataParallel(model)
    if tried_out:
        with torch.no_grad():
            wrapped(torch.rand(BATCH, 3, 16, 16))
    try:
        for step in range(STEPS):
            if rank == 0:
                advance(model, step, STEPS)
            wrapped(torch.rand(BATCH, 3, 16, 16)).square().mean().backward()
    except InputError as error:
        return f"refused: {error}"
    except RuntimeError as error:
        return f"failed: {error}"
    return "trained"


def join(file: Path, rank: int) -> None:
    torch.distributed.init_process_group("gloo", file.as_uri(), timedelta(seconds=60), world_size=2, rank=rank)


def after_a_try(root: Path, rank: int) -> str:
    processes.PATIENCE = 2.0
    join(root / "first", rank)
    answer = advanced_alone(rank, tried_out=True)
    torch.distributed.destroy_process_group()
    return answer


def main(root: Path, rank: int) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    results: dict[str, Any] = {"tried out": after_a_try(root, rank)}
    join(root / "second", rank)
    results |= {name: trained(method, rank) for name, method in METHODS.items()}
    results["alone"] = advanced_alone(rank, tried_out=False)
    torch.save(results, root / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
