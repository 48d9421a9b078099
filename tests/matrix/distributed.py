"""The behaviours of the matrix that take two processes, all of them in one pair."""

import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import autorf
from autorf.surgery import search_states
from tests.matrix.loop import FOLDS, IMAGE, METHODS, SEARCHING, Loop, adapted, network, output, plain
from tests.matrix.outcome import Outcome, expect, outcome

PROCESSES = 2
DRAWS = (*SEARCHING, "pixel-adaptive")
"""Methods that draw, in every process something else."""


def _together(value: Any) -> list[Any]:
    """The value of every process."""
    values: list[Any] = [None] * PROCESSES
    dist.all_gather_object(values, value)
    return values


def _train(model: nn.Module, forward: nn.Module, name: str) -> Loop:
    """Train on this process' part of every batch, and expect one field, and the plain loop where nothing is drawn."""
    rank = dist.get_rank()
    loop = Loop(model, forward=forward, share=(rank, PROCESSES), seed=1000 + 100 * rank).run()
    expect(not search_states(model), "the search goes on after the last step")
    # The statistics of maps are those of a process' own images.
    learned = _together({} if name in ("scale-adaptive", "pixel-adaptive") else autorf.learned_values(model))
    expect(learned[0] == learned[1], f"the processes end with {learned[0]} and {learned[1]}")
    losses = [sum(step) / PROCESSES for step in zip(*_together([loss for loss, _ in loop.trace]), strict=True)]
    if name not in DRAWS:
        for step, (loss, (due, _)) in enumerate(zip(losses, plain(name).trace, strict=True)):
            expect(abs(loss - due) < 1e-4, f"step {step}: loss {loss:.6f}, by the plain loop {due:.6f}")
    return loop


def ddp_after(name: str) -> str | None:
    """``DistributedDataParallel`` with its defaults around the adapted model."""
    model = adapted(name)
    _train(model, DistributedDataParallel(model), name)
    states = _together({key: value.tolist() for key, value in model.named_parameters()})
    expect(states[0] == states[1], "the processes end with different parameters")
    return None


def ddp_before(name: str) -> str | None:
    """``adapt`` of a model that is wrapped already."""
    wrapped = DistributedDataParallel(network())
    autorf.adapt(wrapped, METHODS[name])
    expect(not any("module" in name for done in autorf.adaptations(wrapped) for name in done.names), "prefixed names")
    Loop(wrapped.module, forward=wrapped).run()
    return None


def _sharded(name: str) -> nn.Module:
    """The adapted network, of which each process holds a part of every block and of the rest."""
    model, mesh = adapted(name), init_device_mesh("cpu", (PROCESSES,))
    for block in (model[1], model[2], model):
        fully_shard(block, mesh=mesh)
    return model


def _evaluated(model: nn.Module) -> Tensor:
    # Not a copy's: sharded models have none.
    with torch.no_grad():
        scores: Tensor = model.eval()(IMAGE)
    return scores


def fsdp2(name: str) -> str | None:
    """``fully_shard`` of every block and of the whole; then ``save`` and ``load``."""
    model = _sharded(name)
    _train(model, model, name)
    folder = _together(tempfile.mkdtemp() if dist.get_rank() == 0 else None)[0]
    autorf.save(model, folder)
    loaded = autorf.load(network, folder)
    expect(torch.allclose(output(loaded), _evaluated(model), atol=1e-5), "the saved model gives another output")
    return None


def fsdp2_frozen(name: str) -> str | None:
    """``freeze`` of a model sharded by ``fully_shard``, and what one does with a frozen model."""
    model = _sharded(name)
    _train(model, model, name)
    before = _evaluated(model)
    frozen = autorf.freeze(model)
    expect(bool(frozen.folded) == (name in FOLDS and name != "dilation"), f"what was folded: {frozen}")
    expect(torch.allclose(output(model), before, atol=1e-5), "the frozen model gives another output")
    whole = _together({key: value.tolist() for key, value in model.state_dict().items()})
    expect(whole[0] == whole[1], "the processes hold different models")
    folder = Path(tempfile.mkdtemp())
    autorf.save(model, folder)
    expect(torch.equal(output(autorf.load(network, folder)), output(model)), "the saved model gives another output")
    program = torch.export.export(model, (IMAGE,)).module()
    expect(torch.allclose(program(IMAGE), output(model), atol=1e-5), "the exported model gives another output")
    return None


BEHAVIOURS: dict[str, Callable[[str], str | None]] = {
    "DDP after adapt": ddp_after,
    "DDP before adapt": ddp_before,
    "FSDP2": fsdp2,
    "FSDP2, frozen": fsdp2_frozen,
}


def outcomes(names: Sequence[str]) -> dict[tuple[str, str], Outcome]:
    """Every behaviour of every method, in one pair of processes."""
    answers = multiprocessing.get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(_work, (str(Path(folder) / "meet"), tuple(names), answers), nprocs=PROCESSES)
    received = [answers.get() for _ in range(PROCESSES)]
    worst = ("ends inside torch", "silent", "refused", "works", "does not apply")
    return {
        cell: min((outcomes[cell] for outcomes in received), key=lambda one: worst.index(one.kind))
        for cell in received[0]
    }


def _work(rank: int, meeting: str, names: tuple[str, ...], answers: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=PROCESSES, timeout=timedelta(seconds=60)
    )
    cells: dict[tuple[str, str], Outcome] = {}
    for behaviour, check in BEHAVIOURS.items():
        for name in names:
            cells[behaviour, name] = outcome(lambda check=check, name=name: check(name))  # type: ignore[misc]
            dist.barrier()
    answers.put(cells)
    dist.destroy_process_group()
