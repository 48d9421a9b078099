"""Where trials run, behind one small interface."""

from autorf.study.executors.base import Event, Executor, Job

__all__ = ["Event", "Executor", "Job", "make"]


def make(kind: str, workers: int) -> Executor:
    """The executor of that kind."""
    assert kind == "local", kind
    from autorf.study.executors.local import LocalExecutor

    return LocalExecutor(workers)
