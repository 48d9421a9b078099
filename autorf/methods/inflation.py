"""Inflation: a learned resize around a region of the network, which changes the field of everything inside it."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self
from weakref import ReferenceType, ref

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from autorf.errors import InputError
from autorf.methods.base import LayerMethod, RegionMethod, lengthened
from autorf.methods.bookkeeping import Record
from autorf.methods.dilation import Dilation, Rate
from autorf.methods.free_memory import free_memory
from autorf.methods.gathered import gathered
from autorf.methods.labels import LabelAware
from autorf.methods.modules import AdaptiveRegion, LearningRule
from autorf.methods.passes import Sides
from autorf.methods.processes import in_parallel, taking_part
from autorf.methods.recorded import RECORD_BUFFERS, Recorded
from autorf.methods.region import ConstantRegion, Resampling, factor_values, folded
from autorf.methods.returning_clamp import returning_clamp
from autorf.ops.exporting import is_exporting
from autorf.ops.inflation import Gradient, inflate, interpolate, scale_gradient
from autorf.ops.weighted_gradient import weight_gradient
from autorf.specification import Before, ClassNumber, Number, PositiveFloat

Resize = Callable[[Tensor, Tensor], Tensor]
"""Of a map by a factor."""

MEMORY_SHARE = 0.5
"""Of the memory that is free, what a region may take; other trials share the machine."""

PAPER_PIXELS = 500 * 500
"""Over so many pixels of an image the paper sums its loss; its base rate of 1e-7 is 0.025 for their mean."""


class Inflation(RegionMethod):
    """Resize the map by a learned factor ``f`` before a region and back behind it.

    A larger ``f`` makes the region's receptive field smaller: ``rf = rf_in + stride (k_eff - 1) / f`` for one
    convolution of effective side ``k_eff``.
    Paper: Wei et al., *Learning adaptive receptive fields for deep image parsing networks*, 2018, section 3.2.

    Attributes:
        start: name of the module the region begins with; its first argument is the map. None for the network's own.
        end: name of the module the region ends with; it returns the map.
        factor: the initial ``f``; 1 leaves the network's output as it was.
        low: lower bound of ``f`` in every forward pass; at a bound the gradient that leads back is kept.
        high: upper bound of ``f``; the region's cost grows with ``f`` squared.
        dilation: set the dilation of ``start``, a convolution, first; None keeps it.
        gradient: ``"exact"``, or ``"paper"`` as the authors divide it (Eqs. 7 and 11), which needs an optimizer that
            heeds a gradient's scale, SGD: Adam and its like would undo it, and are warned of.
        loss: ``gradient: paper``: what the training's loss is of its pixels. ``"mean"``: their mean, as here; the
            gradient of ``f`` is then that of the paper's loss, their sum, divided by the 500 x 500 pixels of its
            images, as the learning rate of a mean is the paper's times these. So a multiplier of 3e4 to 9e4 (3e5 on
            VOC) acts as printed (section 4.2), whatever the image's size. ``"summed"``: a loop of your own sums over
            pixels and divides by the batch, as the paper does, at a base rate such as its 1e-7.
        learning_rate_multiplier: of ``f``, times the model's; ``f`` has its own optimizer group without decay.
        search: the share of the training's steps in which ``f`` is drawn anew for every batch, at first from its whole
            range, then from a window that narrows around where the loss is lowest; the loss's slope at each ``f``
            drawn, summed along the range, is its profile. Then ``f`` is learned from there. 0 is the paper's method,
            which can stay trapped near a bad start. A step costs the square of the ``f`` drawn: mean 2.9 at first.
        extra: how much longer a study trains it than a fixed field where it searches, as a share of the steps.
        hold: the share of the training's steps before ``f`` may change, in [0, 1); the paper's start at step 10 000
            of 50 000 is 0.2.
        clip: limit of the absolute gradient of ``f``, over both resizes together; None for none.
        background_weight: what a background pixel's part in the gradient of ``f`` counts, in [0, 1]; below 1 the
            training must provide labels, see :func:`autorf.labels`, and each resize costs twice.
        background_class: the label of background pixels.
        per_axis: learn one factor for the height and one for the width; ``f`` is then their geometric mean.
        fold: return to the size of the model's input instead of the region's, by one interpolation of factor ``F / f``
            (Eq. 4), so that the network's own final up-sampling has nothing left to do. Changes the output slightly
            even at ``f = 1``: the paper's resize anchors at the top-left pixel.

    Examples:
        >>> import autorf, torch
        >>> from torch import nn
        >>> model = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3)))
        >>> model = autorf.adapt(model, autorf.Inflation(start="1", end="2"))
        >>> model(torch.rand(1, 3, 16, 16)).shape
        torch.Size([1, 3, 16, 16])
        >>> autorf.learned_values(model)
        {'f': 1.0}
    """

    method: Literal["inflation"] = "inflation"
    factor: PositiveFloat = 1.0
    low: PositiveFloat = 0.25
    high: PositiveFloat = 4.0
    dilation: Rate | None = None
    gradient: Gradient = "exact"
    loss: Annotated[Literal["mean", "summed"], Before("summed")] = "mean"
    learning_rate_multiplier: Annotated[PositiveFloat, Field(le=1e6)] = 3.0
    search: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    extra: Annotated[Number, Field(ge=0, le=1), Before(0.25)] = 0.0
    hold: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    clip: PositiveFloat | None = None
    background_weight: Annotated[Number, Field(ge=0, le=1)] = 1.0
    background_class: ClassNumber = 0
    per_axis: bool = False
    fold: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.low <= self.factor <= self.high:
            raise ValueError(f"the bounds {self.low:g}..{self.high:g} exclude the initial factor {self.factor:g}")
        if (self.start is None) != (self.end is None):
            raise ValueError("start and end go together: name both, or neither for the network's own region")
        if self.search and self.low == self.high:
            raise ValueError(f"search needs a range of factors, but low and high are both {self.low:g}")
        if self.search and self.hold:
            raise ValueError("hold keeps f where it is, search moves it from the first step: give one of the two")
        return self

    def steps(self, given: int) -> int:
        """``given``, and ``extra`` of it where it searches."""
        return lengthened(given, self.extra) if self.search else given

    def not_lengthened(self) -> Self:
        """With no ``extra``."""
        return self.model_copy(update={"extra": 0.0})

    @property
    def search_share(self) -> float:
        """``search``."""
        return self.search

    @property
    def unsettled_share(self) -> float:
        """``search`` or ``hold``."""
        return max(self.search, self.hold)

    @property
    def initial(self) -> float | None:
        """The initial ``f``."""
        return self.factor

    @property
    def set_dilation(self) -> int | None:
        """That of the region's first layer."""
        return self.dilation

    def check_classes(self, n_classes: int) -> None:
        """Raise ``InputError`` for a background class that the data has not."""
        if self.background_weight < 1 and self.background_class >= n_classes:
            raise InputError(
                f"inflation: background_class {self.background_class} is no class of the data, which has 0 to "
                f"{n_classes - 1}"
            )

    def region(self, device: torch.device) -> AdaptiveRegion:
        """A region that learns ``f`` from where it starts, or searches it first."""
        from autorf.methods.inflation_search import SearchedInflationRegion

        return SearchedInflationRegion(self, device) if self.search else InflationRegion(self, device)

    def constant(self, factor: tuple[float, float]) -> ConstantRegion:
        """The same resizes with ``f`` a constant."""
        return ConstantRegion(factor, fold=self.fold)

    def first_layer(self, start: str) -> LayerMethod | None:
        """The manual dilation of ``start``, where one is set."""
        return None if self.dilation is None else Dilation(targets=(start,), rate=self.dilation)


class InflationRegion(Recorded, LabelAware, AdaptiveRegion):
    """Holds ``f`` and resizes on both sides of a region; see :class:`Inflation`.

    ``values_per_position`` is how many numbers the region computes for each position of its map and image, as the dry
    run counted them: the inflated region must fit into the memory that is free, so it bounds ``f``.
    """

    own: tuple[str, ...] = ("factor", *RECORD_BUFFERS)
    factor: nn.Parameter

    def __init__(self, method: Inflation, device: torch.device, values_per_position: float = 0.0) -> None:
        super().__init__()
        self.method, self.fold = method, method.fold
        # Never without axes: sharded models (FSDP) hold no such parameter.
        shape = (2,) if method.per_axis else (1,)
        self.factor = nn.Parameter(torch.full(shape, method.factor, device=device))
        self.values_per_position = values_per_position
        self._keep(Record(), (), device)

    def forward(self, input: Tensor, size: Sides | None = None, base: Sides | None = None) -> Tensor:
        """Inflate ``(N, C, H, W)``, or with ``size`` return to ``(N, C, *size)``, see :func:`folded`."""
        inwards = size is None
        factor, labels = self.shared(lambda: self._begin(input, inwards), lambda shared: self._again(shared, inwards))
        present = self.labels
        if present is None and labels is not None:
            self.labels = labels()
        try:
            resize = self._inflating() if size is None else self._returning(size, base)
            resized = self._resize(resize, input, factor)
        finally:
            self.labels = present
        return taking_part(resized, self.factor) if inwards and self._must_take_part() else resized

    def _inflating(self) -> Resize:
        gradient = self._gradient()
        return lambda map, factor: inflate(map, factor, gradient=gradient)

    def _returning(self, size: Sides, base: Sides | None) -> Resize:
        gradient = self._gradient()

        def back(map: Tensor, factor: Tensor) -> Tensor:
            # In double precision, as a constant factor is: freezing changes no bit.
            whole = torch.tensor(folded(size, base), dtype=torch.double, device=factor.device)
            return interpolate(map, whole / factor.double(), size, gradient=gradient)

        return back

    def _begin(self, input: Tensor, inwards: bool) -> tuple[Tensor, "ReferenceType[Tensor] | None"]:
        """The factor of a forward pass, and its labels, which a part that runs again may need."""
        if is_exporting():
            raise InputError("inflation: f is still to be learned; call autorf.freeze(model) first, then export it")
        if inwards:
            self._bound_by_memory(input)
        # One view for both resizes: their contributions add up before they are clipped (Eq. 10).
        return self._factor(), None if self.labels is None else ref(self.labels)

    def _again(
        self, shared: tuple[Tensor, "ReferenceType[Tensor] | None"], inwards: bool
    ) -> tuple[Tensor, "ReferenceType[Tensor] | None"]:
        """The same in a part of the forward pass that runs again, under activation checkpointing."""
        factor, labels = shared
        if factor.requires_grad or self._is_untrained() or not torch.is_grad_enabled():
            return shared
        if self.method.clip is not None and not inwards:
            raise InputError(
                "inflation: the gradient of f cannot be clipped where checkpoint(use_reentrant=True) runs the region's "
                "ends apart; set use_reentrant=False"
            )
        return self._factor(), labels

    def _gradient(self) -> Gradient:
        return self.method.gradient

    def _factor(self) -> Tensor:
        # A copy, too: fully_shard frees the parameter between the region's ends.
        factor = returning_clamp(self.factor, self.method.low, self.method.high)
        if self._is_untrained():
            return factor.detach()
        factor = factor if self.method.clip is None else _clip_gradient(factor, self.method.clip)
        return factor if self.loss_scale is None else scale_gradient(factor, self.loss_scale)

    @property
    def sees_image(self) -> bool:
        """Whether the size of the model's input is needed: to fold the up-sampling in, or for the paper's loss."""
        return self.fold or (self.method.gradient == "paper" and self.method.loss == "mean")

    @property
    def loss_scale(self) -> float | None:
        """What the gradient of ``f`` is multiplied by, for the paper's loss to be what the training's mean is."""
        if self._gradient() == "exact" or self.method.loss == "summed" or not torch.is_grad_enabled():
            return None
        if self.image_size is None:
            raise InputError("inflation: gradient 'paper' needs the image's size: call the model that was adapted")
        return self.image_size[0] * self.image_size[1] / PAPER_PIXELS

    def untrained(self) -> tuple[nn.Parameter, ...]:
        """``f`` while it is held, or drawn instead of learned."""
        return (self.factor,) if self._is_untrained() else ()

    def _is_untrained(self) -> bool:
        record = self.record
        return self.method.hold > 0 and record.begun and not record.ended

    def _must_take_part(self) -> bool:
        """Whether processes that train together would miss the gradient of ``f``."""
        return (
            self.training
            and torch.is_grad_enabled()
            and self.factor.requires_grad
            and in_parallel()
            and self._is_untrained()
        )

    def _resize(self, resize: Resize, input: Tensor, factor: Tensor) -> Tensor:
        weight = self.method.background_weight
        if weight == 1 or not (self.training and factor.requires_grad and torch.is_grad_enabled()):
            return resize(input, factor)
        output, moving = resize(input, factor.detach()), resize(input.detach(), factor)
        background = self.labels_at((output.shape[2], output.shape[3])) == self.method.background_class
        # Zero in value: it carries the gradient of f alone.
        return output + weight_gradient(moving - moving.detach(), torch.where(background, weight, 1.0))

    def _bound_by_memory(self, input: Tensor) -> None:
        if not (self.training and torch.is_grad_enabled() and self.values_per_position) or self._largest() <= 1:
            return
        positions = input.shape[0] * input.shape[2] * input.shape[3]
        bytes_at_one = 2 * self.values_per_position * positions * input.element_size()
        bound = max(1.0, math.sqrt(MEMORY_SHARE * free_memory(input.device) / bytes_at_one))
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            # What one process cannot hold, none may: their factors stay equal.
            least = input.new_tensor(bound)
            torch.distributed.all_reduce(least, torch.distributed.ReduceOp.MIN)
            bound = least.item()
        self._limit(max(bound, self.method.low))

    def _largest(self) -> float:
        """The largest ``f`` of the next forward pass, as far as it is known."""
        return max(self.pair())

    def _limit(self, bound: float) -> None:
        """Have ``f`` stay at or below what the memory allows."""
        if self._largest() > bound:
            with torch.no_grad():
                self.factor.clamp_(max=bound)
            warn_of_bound(bound)

    def advance(self, progress: float) -> None:
        """Hold ``f`` at first, and keep it within its bounds.

        Raises:
            FloatingPointError: when ``f`` is no longer a number.
        """
        record = self.record
        # Once let go, f is not held again by a longer training or another one.
        ended = record.ended or progress >= self.method.hold
        self.record = replace(record, begun=True, ended=ended)
        self._keep_within_bounds()

    @property
    def searches(self) -> bool:
        """Whether ``f`` is held at first."""
        return self.method.hold > 0

    def search_again(self) -> None:
        """Hold ``f`` anew."""
        self.record = replace(self._start, again=self.record.again + 1)

    def _keep_within_bounds(self) -> None:
        if not torch.isfinite(gathered(self.factor.detach())).all():
            raise FloatingPointError(
                "the inflation factor f became nan; lower learning_rate_multiplier, or set clip for its gradient"
            )
        with torch.no_grad():
            self.factor.clamp_(self.method.low, self.method.high)

    def values(self) -> dict[str, float]:
        """The inflation factor, and that of each axis where they are learned apart."""
        return factor_values(self.pair(), each=self.method.per_axis)

    def pair(self) -> tuple[float, float]:
        """The factors of height and width, within their bounds."""
        factor = gathered(self.factor.detach())
        values = factor.clamp(self.method.low, self.method.high).flatten().tolist()
        return values[0], values[-1]

    def learning_rules(self) -> list[LearningRule]:
        """``f`` learns at a multiple of the model's learning rate."""
        return [LearningRule((self.factor,), multiplier=self.method.learning_rate_multiplier)]

    def upgrade_state(self, state: dict[str, Any], prefix: str) -> None:
        """Take ``f`` without axes too, as layout 1 had it."""
        name = f"{prefix}factor"
        if name in state and state[name].dim() == 0:
            state[name] = state[name].reshape(1)
        super().upgrade_state(state, prefix)

    def _record_of_first_version(self, state: Mapping[str, Tensor]) -> Record:
        return self._start

    def receptive_field_form(self) -> Callable[..., Tensor]:
        """Resampling by the present value of ``f``."""
        return Resampling(self.pair())

    def frozen(self) -> nn.Module:
        """The same resizes with ``f`` a constant."""
        return ConstantRegion(self.pair(), fold=self.fold)


def warn_of_bound(bound: float) -> None:
    """Warn that ``f`` stays at or below ``bound``."""
    warnings.warn(
        f"inflation: f is limited to {bound:.2f}: at a larger one the region would need more than half of the "
        "free memory; take smaller batches or images to lift this bound",
        RuntimeWarning,
        stacklevel=3,
    )


def _clip_gradient(value: Tensor, limit: float) -> Tensor:
    clipped: Tensor = _ClipGradient.apply(value, limit)
    return clipped


class _ClipGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, limit: float) -> Tensor:
        ctx.limit = limit
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0].clamp(-ctx.limit, ctx.limit), None
