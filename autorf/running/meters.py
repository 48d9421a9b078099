"""What is measured of a trial's model beside its scores: its receptive field, and what it costs to run."""

import json
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from autorf.fields import receptive_field
from autorf.running.cost import PeakMemory, costs
from autorf.study.objectives import COSTS
from autorf.study.spec import StudySpec
from autorf.surgery import learned_values
from autorf.surgery.dry_run import input_channels
from autorf.training.results import EpochReport, Field

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


class FieldMeter:
    """The receptive field of one model under study, measured anew only when a learned value changed."""

    def __init__(self, model: nn.Module, image_size: tuple[int, int]) -> None:
        self.model, self.image_size = model, image_size
        self._known: dict[str, Field] = {}

    def __call__(self) -> Field:
        """As it is now, to a hundredth of a pixel."""
        values = json.dumps(learned_values(self.model), sort_keys=True)
        if values not in self._known:
            measured = receptive_field(self.model, self.image_size, in_channels=input_channels(self.model))
            height, width = (round(float(length), 2) for length in measured.size)
            self._known[values] = Field((height, width), measured.rnorm)
        return self._known[values]
