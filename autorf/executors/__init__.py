"""Where trials run, behind one small interface."""

import os
from pathlib import Path

from autorf.executors.base import Event, Executor, Failure, RunTrial
from autorf.study.executor_spec import EXECUTORS, ExecutorSpec
from autorf.study.spec import StudySpec

__all__ = ["Event", "Executor", "Failure", "RunTrial", "check_address", "make", "make_local", "worker_count"]


def make(spec: StudySpec, folder: Path, jobs: int | None) -> Executor:
    """The executor a study asks for.

    Args:
        spec: the study.
        folder: of the study.
        jobs: how many trials there are to run at most, where that is known.
    """
    if spec.executor.kind == "ray":
        from autorf.executors.ray import RayExecutor

        return RayExecutor(spec.executor, spec.training.threads, folder, jobs)
    if spec.executor.kind == "local":
        return make_local(spec, jobs)
    executor: Executor = EXECUTORS[spec.executor.kind](spec, folder, jobs)
    return executor


def check_address(spec: ExecutorSpec) -> None:
    """Raise ``InputError`` where nobody answers at the address of a Ray cluster, before anything is written."""
    if spec.kind == "ray" and spec.address not in (None, "auto"):
        from autorf.executors.knocking import knock

        knock(str(spec.address))


def make_local(spec: StudySpec, jobs: int | None) -> Executor:
    """Worker processes on this machine, as many as the study asks for and there are ``jobs``."""
    from autorf.executors.local import LocalExecutor

    workers = worker_count(spec)
    return LocalExecutor(min(workers, jobs or workers))


def worker_count(spec: StudySpec) -> int:
    """How many trials run at once on this machine: what the study says, else one on a GPU, or one a few CPU cores."""
    if spec.executor.workers is not None:
        return spec.executor.workers
    import torch

    # As many as there are cores would share one GPU's memory, and fail.
    return 1 if torch.cuda.is_available() else max(1, len(os.sched_getaffinity(0)) // spec.training.threads)
