"""Trials that train nothing, importable by worker processes."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autorf.study.job import Job


def measured(job: Job, epoch: int) -> dict[str, Any]:
    score = 0.1 + 0.01 * epoch
    return {"epoch": epoch, "loss": 1.0, "miou": score, "f1": score, "pixel_accuracy": score} | {
        "rf": [19, 19],
        "rnorm": 0.4,
        "seconds": 0.0,
    }


def sleeping_trial(
    job: Job,
    report: Callable[[dict[str, Any]], None],
    stopped: Callable[[], bool],
    seconds: float = 0.0,
    gate: Path | None = None,
) -> dict[str, Any]:
    """Epochs of ``seconds`` that keep their count in a file, as a checkpoint would; two until ``gate`` exists."""
    job.folder.mkdir(parents=True, exist_ok=True)
    reached = job.folder / "epochs"
    epoch = int(reached.read_text()) if reached.exists() else 0
    (job.folder / "process").write_text(str(os.getpid()))
    while epoch < job.spec.training.epochs:
        while gate is not None and epoch == 2 and not gate.exists():
            time.sleep(0.05)
        time.sleep(seconds)
        last = measured(job, epoch)
        report(last)
        epoch += 1
        reached.write_text(str(epoch))
        if stopped():
            break
    last = measured(job, epoch - 1)
    with (job.folder / "runs").open("a") as log:
        log.write(f"{os.getpid()} {epoch}\n")
    return {**last, "epochs": epoch, "train_seconds": seconds * epoch, "iou_per_class": {}, "values": {}}


def shared_trial(job: Job, report: Callable[[dict[str, Any]], None], stopped: Callable[[], bool]) -> dict[str, Any]:
    """Epochs that the processes of a data-parallel trial add up; the ranks' process ids are files."""
    import torch

    rank = torch.distributed.get_rank()
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / f"process{rank}").write_text(str(os.getpid()))
    for epoch in range(job.spec.training.epochs):
        time.sleep(0.3)
        told = torch.tensor([10.0**rank, 0.0])
        torch.distributed.all_reduce(told)
        if rank == 0:
            report({**measured(job, epoch), "loss": float(told[0])})
            told[1] = float(stopped())
        torch.distributed.broadcast(told, 0)
        if told[1]:
            break
    return {**measured(job, epoch), "epochs": epoch + 1, "train_seconds": 0.1, "iou_per_class": {}, "values": {}}


def dying_trial(job: Job, report: Callable[[dict[str, Any]], None], stopped: Callable[[], bool]) -> dict[str, Any]:
    """Reports an epoch, then kills its process."""
    report(measured(job, 0))
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def failing_trial(job: Job, report: Callable[[dict[str, Any]], None], stopped: Callable[[], bool]) -> dict[str, Any]:
    """Fails as a full disk would."""
    raise OSError(28, "No space left on device", str(Path("checkpoint")))
