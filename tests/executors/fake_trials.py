"""Trials that train nothing, importable by worker processes."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from autorf.study.job import Job
from autorf.training.results import EpochReport, Field, TrialResult


def measured(epoch: int) -> EpochReport:
    score = 0.1 + 0.01 * epoch
    scores = {"miou": score, "f1": score, "pixel_accuracy": score}
    return EpochReport(epoch=epoch, loss=1.0, metrics=scores, field=Field((19, 19), 0.4), seconds=0.0)


def sleeping_trial(
    job: Job,
    report: Callable[[EpochReport], None],
    stopped: Callable[[], bool],
    seconds: float = 0.0,
    gate: Path | None = None,
) -> TrialResult:
    """Epochs of ``seconds`` that keep their count in a file, as a checkpoint would; two until ``gate`` exists."""
    job.folder.mkdir(parents=True, exist_ok=True)
    reached = job.folder / "epochs"
    epoch = int(reached.read_text()) if reached.exists() else 0
    (job.folder / "process").write_text(str(os.getpid()))
    while epoch < job.spec.training.epochs:
        while gate is not None and epoch == 2 and not gate.exists():
            time.sleep(0.05)
        time.sleep(seconds)
        last = measured(epoch)
        report(last)
        epoch += 1
        reached.write_text(str(epoch))
        if stopped():
            break
    last = measured(epoch - 1)
    with (job.folder / "runs").open("a") as log:
        log.write(f"{os.getpid()} {epoch}\n")
    return replace(last.as_result(), seconds=seconds * epoch)


def shared_trial(job: Job, report: Callable[[EpochReport], None], stopped: Callable[[], bool]) -> TrialResult:
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
            report(replace(measured(epoch), loss=float(told[0])))
            told[1] = float(stopped())
        torch.distributed.broadcast(told, 0)
        if told[1]:
            break
    return replace(measured(epoch).as_result(), seconds=0.1)


def dying_trial(job: Job, report: Callable[[EpochReport], None], stopped: Callable[[], bool]) -> TrialResult:
    """Reports an epoch, then kills its process."""
    report(measured(0))
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def failing_trial(job: Job, report: Callable[[EpochReport], None], stopped: Callable[[], bool]) -> TrialResult:
    """Fails as a full disk would."""
    raise OSError(28, "No space left on device", str(Path("checkpoint")))
