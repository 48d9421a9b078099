"""What the statistical contextual loss is told. Light to import: nothing here loads torch."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from autorf.specification import Number, Specification

NotNegative = Annotated[Number, Field(ge=0)]
CentreRate = Annotated[Number, Field(gt=0, le=1)]


class ContextualSpec(Specification):
    """The switches and numbers of :class:`autorf.losses.contextual.ContextualLoss`; all improvements are on.

    Paper: Wei et al., *Accurate facial image parsing at real-time speed*, 2019, section IV and, for the numbers, VI-A.
    With ``inter``, ``hard_aware``, ``class_aware`` and ``centre_decay`` off, and a ``layer``, it is the center loss.

    Attributes:
        layer: whose input has the centres; None for the class scores themselves.
        inter: whether centres are pushed apart, Eq. 4 or 6.
        hard_aware: whether hard pixels are left out of their centre's step: Eq. 5 instead of 2.
        class_aware: whether the distance of two classes' centres is that of their own two components: Eq. 6, of every
            pair, instead of Eq. 4, of the closest pair.
        centre_decay: whether only positive components of other classes decay: Eq. 7 instead of all components alike.
        margin: the squared distance that centres are pushed apart to, >= 0.
        centre_lr: the centres' learning rate, in (0, 1].
        decay_rate: times which the decay enters a centre's step, >= 0.
    """

    layer: str | None = None
    inter: bool = True
    hard_aware: bool = True
    class_aware: bool = True
    centre_decay: bool = True
    margin: NotNegative = 3.0
    centre_lr: CentreRate = 0.1
    decay_rate: NotNegative = 5e-4

    @model_validator(mode="after")
    def _check(self) -> Self:
        by_class = [name for name in ("class_aware", "centre_decay") if getattr(self, name)]
        if self.layer is not None and by_class:
            raise ValueError(
                f"{' and '.join(by_class)}: in the input of a layer no component belongs to a class; set them to "
                "false, or leave layer out"
            )
        return self
