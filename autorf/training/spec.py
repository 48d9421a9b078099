"""How a trial is trained."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from autorf.specification import PositiveFloat, PositiveInt, Specification

Seed = Annotated[int, Field(ge=0, lt=2**31)]


class ScheduleSpec(Specification):
    """How the learning rate falls behind the warm-up.

    Attributes:
        kind: ``cosine`` to zero, ``step``, or ``constant``.
        milestones: ``step``: the shares of the training, increasing in (0, 1), at which the rate is multiplied.
        gamma: ``step``: the factor at each milestone, in (0, 1).
        split: ``step``: make two steps of ``sqrt(gamma)`` this many optimizer steps apart out of each (the inflation
            paper's 0.32 and 200 for its gamma of 0.1), which is gentler on ``f``; None for one.
    """

    kind: Literal["cosine", "step", "constant"] = "cosine"
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75)
    gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1
    split: PositiveInt | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "step" and (not self.milestones or list(self.milestones) != sorted(set(self.milestones))):
            raise ValueError(f"milestones must increase, got {list(self.milestones)}")
        fields = type(self).model_fields
        given = [name for name in ("milestones", "gamma", "split") if getattr(self, name) != fields[name].default]
        if self.kind != "step" and given:
            raise ValueError(f"{' and '.join(given)} belong to kind: step, a {self.kind} schedule has no steps")
        return self


class TrainingSpec(Specification):
    """Optimisation settings; every trial of a study trains with the same.

    Attributes:
        epochs: passes over the training split.
        batch_size: images a step.
        lr: peak learning rate.
        optimizer: ``adamw``, or ``sgd`` with ``momentum``, as in the papers.
        momentum: of ``sgd``.
        weight_decay: of the model's own parameters.
        warmup: share of the steps in which the learning rate rises linearly.
        schedule: how the learning rate falls then.
        seeds: one trial a configuration and seed.
        class_weights: ``none``, or ``balanced``: cross-entropy weighted by the inverse root of the class's pixels.
        precision: ``32`` or ``bf16`` (autocast).
        threads: CPU threads a trial computes with.
    """

    epochs: PositiveInt = 12
    batch_size: PositiveInt = 16
    lr: PositiveFloat = 3e-3
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    schedule: ScheduleSpec = ScheduleSpec()
    seeds: tuple[Seed, ...] = (0,)
    class_weights: Literal["none", "balanced"] = "none"
    precision: Literal["32", "bf16"] = "32"
    threads: PositiveInt = 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must be a list of different integers, got {list(self.seeds)}")
        return self
