"""How a trial is trained."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from autorf.specification import PositiveFloat, PositiveInt, Specification

Seed = Annotated[int, Field(ge=0, lt=2**31)]


class TrainingSpec(Specification):
    """Optimisation settings; every trial of a study trains with the same.

    Attributes:
        epochs: passes over the training split.
        batch_size: images a step.
        lr: peak learning rate of AdamW.
        weight_decay: of the model's own parameters.
        warmup: share of the steps in which the learning rate rises linearly; a cosine to zero follows.
        seeds: one trial a configuration and seed.
        class_weights: ``none``, or ``balanced``: cross-entropy weighted by the inverse root of the class's pixels.
        precision: ``32`` or ``bf16`` (autocast).
        threads: CPU threads a trial computes with.
    """

    epochs: PositiveInt = 12
    batch_size: PositiveInt = 16
    lr: PositiveFloat = 3e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    seeds: tuple[Seed, ...] = (0,)
    class_weights: Literal["none", "balanced"] = "none"
    precision: Literal["32", "bf16"] = "32"
    threads: PositiveInt = 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must be a list of different integers, got {list(self.seeds)}")
        return self
