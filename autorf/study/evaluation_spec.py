"""How finished models are evaluated beside their single-scale scores: the ``evaluation:`` part of a study file."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from autorf.specification import PositiveFloat, PositiveInt, Specification

Scale = Annotated[PositiveFloat, Field(le=8)]


class EvaluationSpec(Specification):
    """Multi-scale evaluation of every trial, once it is trained: rows of their own, by which nothing is chosen.

    Attributes:
        scales: factors of the images' sides, above 0 and at most 8, over which class probabilities are averaged, such
            as ``[0.5, 0.75, 1, 1.25, 1.5]``; empty for the images' own size alone.
        flip: average over mirrored images too.
        multiple: sides of the resized images are rounded to multiples of this, for networks that need it.
    """

    scales: tuple[Scale, ...] = ()
    flip: bool = False
    multiple: PositiveInt = 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.scales)) < len(self.scales):
            raise ValueError(f"scales must differ from each other, got {list(self.scales)}")
        return self

    @property
    def asked(self) -> bool:
        """Whether there is anything to evaluate beside the images' own size."""
        return self.flip or self.scales not in ((), (1.0,))

    @property
    def all_scales(self) -> tuple[float, ...]:
        """``scales``, or the images' own size."""
        return self.scales or (1.0,)
