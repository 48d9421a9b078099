"""What a trial's network costs to run, told while it trains and at its end."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from autorf.running.cost import PeakMemory, costs
from autorf.study.objectives import COSTS
from autorf.study.spec import StudySpec
from autorf.training.results import EpochReport

Report = Callable[[EpochReport], None]


class RunningCosts:
    """What a trial's network costs to run."""

    def __init__(self, spec: StudySpec, memory: PeakMemory) -> None:
        self.spec, self.memory, self.device = spec, memory, torch.device("cpu")

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Parameters, FLOPs, latency and the peak memory of the training so far."""
        memory = self.memory.megabytes()
        return {**costs(model, self.spec.data.image_size, self.device), "peak_memory_mb": memory}

    def told_with(self, report: Report, model: nn.Module) -> Report:
        """A report that also says the cost which is an objective, where pruning compares trials of similar cost.

        It is measured once, at the first epoch told.
        """
        cost = next((name for name in self.spec.search.objectives[1:] if name in COSTS), None)
        if cost is None or self.spec.search.pruning is None:
            return report
        measured: dict[str, float] = {}

        def with_cost(epoch: EpochReport) -> None:
            measured.update({} if measured else {cost: self(model)[cost]})
            report(replace(epoch, costs=dict(measured)))

        return with_cost
