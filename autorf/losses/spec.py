"""What a study file may say of its loss. Light to import: nothing here loads torch."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from autorf import plugins
from autorf.losses.contextual_spec import CentreRate, ContextualSpec, NotNegative
from autorf.own_code.reference import is_reference, parse_reference
from autorf.specification import Number, PositiveFloat, Specification

BUILT_IN = ("cross_entropy", "dice", "focal", "tversky", "lovasz", "contextual")

SUM = "sum"
"""The name of a loss that is a weighted sum of others."""

LOSSES: plugins.Registry[Callable[..., Callable[..., Any]]] = plugins.Registry(
    plugins.LOSSES, "loss", (*BUILT_IN, SUM), lambda _, build: None if callable(build) else "cannot be called"
)
"""Losses that packages add: called as ``build(n_classes, ignore_index, class_weights, **args)``.

``class_weights`` is a tensor ``(n_classes,)`` or None; ``args`` are those of the study file. What is built is called as
``loss(scores, mask)`` with scores ``(N, n_classes, H, W)`` and classes ``(N, H, W)``, in which pixels without a label
are ``ignore_index``, and returns one number with a gradient.
"""

_OWN_FIELDS = {
    "label_smoothing": ("cross_entropy",),
    "gamma": ("focal", "tversky"),
    "alpha": ("tversky",),
    "beta": ("tversky",),
    **dict.fromkeys(ContextualSpec.model_fields, ("contextual",)),
}
"""What only some losses have."""


def _loss_name(name: str) -> str:
    if is_reference(name):
        return parse_reference(name).text
    if not LOSSES.knows(name):
        raise ValueError(LOSSES.unknown(name))
    return name


class LossTerm(Specification):
    """One loss of a sum: a name, or keys and values.

    Attributes:
        name: ``cross_entropy``, ``dice``, ``focal``, ``tversky``, ``lovasz`` or ``contextual``; or one that an
            installed package adds; or ``python:./loss.py:build`` for one of your own: what ``build(**args)`` returns is
            called with scores ``(N, C, H, W)`` and classes ``(N, H, W)``. Of ``n_classes``, ``ignore_index`` and
            ``class_weights`` it is given those that it names too.
        weight: times which it enters the loss; 0.01 in the paper of ``contextual``, beside ``cross_entropy``.
        label_smoothing: ``cross_entropy``: the share of a pixel's label that is spread over all classes, in [0, 1).
        gamma: ``focal``: how much less a pixel counts that is right already (None: 2); ``tversky``: the power of the
            whole loss, at least 1 (None: 1).
        alpha: ``tversky``: what a pixel wrongly taken for a class costs (None: 0.5).
        beta: ``tversky``: what a missed pixel costs (None: 0.5); both at 0.5 are ``dice``.
        layer: ``contextual``: a layer by its name in the network, whose input has the centres, as of the center loss;
            None: the class scores have them (the paper's low-dimensional features).
        inter: ``contextual``: whether centres too close to each other are pushed apart (None: true).
        hard_aware: ``contextual``: whether only pixels whose cross-entropy is below the mean of their class move its
            centre (None: true).
        class_aware: ``contextual``: whether the distance of two centres is that of their own two scores, of every pair
            of classes; else it is of all scores, of the closest pair (None: true, and false with a ``layer``).
        centre_decay: ``contextual``: whether only positive scores of other classes shrink in a centre; else all do
            (None: true, and false with a ``layer``).
        margin: ``contextual``: the squared distance that centres are pushed apart to (None: 3).
        centre_lr: ``contextual``: the learning rate of the centres, at most 1 (None: 0.1).
        decay_rate: ``contextual``: how strongly what decays in a centre does (None: 0.0005).
        args: of a loss of your own or of a package, by name.
    """

    name: Annotated[str, AfterValidator(_loss_name)] = "cross_entropy"
    weight: PositiveFloat = 1.0
    label_smoothing: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    gamma: Annotated[Number, Field(ge=0, le=10)] | None = None
    alpha: Annotated[Number, Field(ge=0)] | None = None
    beta: Annotated[Number, Field(ge=0)] | None = None
    layer: str | None = None
    inter: bool | None = None
    hard_aware: bool | None = None
    class_aware: bool | None = None
    centre_decay: bool | None = None
    margin: NotNegative | None = None
    centre_lr: CentreRate | None = None
    decay_rate: NotNegative | None = None
    args: Mapping[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        defaults = LossTerm.model_fields
        for field, losses in _OWN_FIELDS.items():
            if getattr(self, field) != defaults[field].default and self.name not in losses:
                raise ValueError(f"{field} belongs to {' and '.join(losses)}, not to {self.name}")
        if self.args and self.name in LOSSES.built_in:
            raise ValueError(f"args are for losses of your own or of other packages, not for {self.name}")
        if self.name == "tversky":
            self._check_tversky()
        if self.name == "contextual":
            self.contextual()
        return self

    def contextual(self) -> ContextualSpec:
        """What ``contextual`` is told.

        Raises:
            ValueError: where it contradicts itself.
        """
        given = {name: getattr(self, name) for name in ContextualSpec.model_fields}
        given = {name: value for name, value in given.items() if value is not None}
        if self.layer is not None:
            # Improvements that exist for scores only.
            given = {"class_aware": False, "centre_decay": False, **given}
        if not given.get("inter", True):
            idle = [name for name in ("class_aware", "margin") if given.get(name, False) is not False]
            if idle:
                raise ValueError(f"{' and '.join(idle)} belong to the term that inter: false takes away")
            given["class_aware"] = False
        return ContextualSpec(**given)

    @property
    def written(self) -> Any:
        """The loss as it would be written: its name alone, or the keys that are not its defaults."""
        keys = self.model_dump(mode="json", exclude_defaults=True, exclude={"name", "terms"})
        return {"name": self.name, **keys} if keys else self.name

    def _check_tversky(self) -> None:
        # A power below 1 has no gradient where the loss is 0.
        if self.gamma is not None and self.gamma < 1:
            raise ValueError(f"gamma of tversky must be at least 1, got {self.gamma:g}")
        if self.alpha == self.beta == 0:
            raise ValueError("alpha and beta are both 0: no error would cost anything")


class LossSpec(LossTerm):
    """What is minimised: a loss by its name, a loss with keys, or a list of such whose weighted sum it is.

    The definitions are those of segmentation-models-pytorch; pixels without a label add nothing to any of them, see
    :mod:`autorf.losses.functions`.

    Attributes:
        terms: the losses of a sum, each with its ``weight``; written as the list itself, ``loss: [...]``.
    """

    terms: tuple[LossTerm, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return {"name": SUM, "terms": value} if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _check_terms(self) -> Self:
        if (self.name == SUM) != bool(self.terms):
            raise ValueError("a sum is a list of losses, each a name or keys such as {name: dice, weight: 0.5}")
        if any(term.name == SUM for term in self.terms):
            raise ValueError("a sum within a sum: list all losses in one")
        return self

    @property
    def written(self) -> Any:
        """The loss, or the list of those of a sum, as it would be written."""
        return [term.written for term in self.terms] or super().written

    @property
    def listed(self) -> tuple[LossTerm, ...]:
        """The losses that are added up: those of a sum, or the one there is."""
        return self.terms or (self,)
