"""Where trials run, and what each gets there."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from autorf import plugins
from autorf.specification import Number, PositiveFloat, PositiveInt, Specification

if TYPE_CHECKING:
    from autorf.study.spec import StudySpec


class ResourcesSpec(Specification):
    """What one trial gets under Ray.

    A trial in several processes is trained data-parallel, through Ray Train: ``training.batch_size`` images a step are
    shared equally among them, batch norm normalises each process's part with that part's own statistics (the first
    process's running ones are kept), and validation counts every image once.

    Attributes:
        cpu: CPUs, fractions too; None for ``training.threads`` a process.
        gpu: GPUs; a fraction shares one among trials, more than one gives each a process.
        processes: of a trial without GPUs.
    """

    cpu: PositiveFloat | None = None
    gpu: Annotated[Number, Field(ge=0)] = 0.0
    processes: PositiveInt = 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.gpu > 1 and self.gpu != int(self.gpu):
            raise ValueError(f"gpu must be a share of one GPU or a whole number of them, got {self.gpu:g}")
        if self.gpu and self.processes > 1:
            raise ValueError("processes is for trials without GPUs; gpu above 1 gives each GPU one")
        return self

    @property
    def count(self) -> int:
        """How many processes train a trial."""
        return int(self.gpu) if self.gpu > 1 else self.processes


EXECUTORS: plugins.Registry[Callable[["StudySpec", Path, int | None], Any]] = plugins.Registry(
    plugins.EXECUTORS,
    "executor",
    ("local", "ray"),
    lambda _, make: None if callable(make) else "cannot be called",
)
"""Kinds of executors that packages add: ``(spec, folder, jobs) -> Executor``, see :func:`autorf.executors.make`."""


def _executor_kind(name: str) -> str:
    if not EXECUTORS.knows(name):
        raise ValueError(EXECUTORS.unknown(name))
    return name


def _address(address: str) -> str:
    if address != "auto" and not re.fullmatch(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}", address):
        raise ValueError("must be host:port, as 'ray start --head' prints it, or auto")
    return address


class ExecutorSpec(Specification):
    """Where trials run.

    Attributes:
        kind: ``local``: worker processes on this machine. ``ray``: Ray Tune, on a cluster or on this machine. Or a
            kind that an installed package adds.
        workers: how many trials run at once; None for one where there is a GPU, else one a ``training.threads`` CPU
            cores, under Ray for as many as the cluster holds.
        resources: of one trial under Ray.
        address: of a Ray cluster, ``host:port`` or ``auto`` for the one running on this machine; None starts one that
            only this machine can reach, for the time of the search.
    """

    kind: Annotated[str, AfterValidator(_executor_kind)] = "local"
    workers: Annotated[PositiveInt, Field(le=1024)] | None = None
    resources: ResourcesSpec = ResourcesSpec()
    address: Annotated[str, AfterValidator(_address)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("resources", "address"):
            # A stored study file names every field; the defaults are no wish.
            if self.kind == "local" and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is for kind: ray")
        return self
