"""Where trials run, behind one small interface."""

from autorf.study.executors.base import Event, Executor, Job, RunTrial

__all__ = ["Event", "Executor", "Job", "RunTrial", "make"]


def make(kind: str, workers: int) -> Executor:
    """The executor of that kind."""
    assert kind == "local", kind
    from autorf.study.executors.local import LocalExecutor

    return LocalExecutor(workers)
