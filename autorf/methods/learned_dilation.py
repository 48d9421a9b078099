"""A dilation that is searched and then fixed inside one training."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import nn

from autorf.methods.base import LayerMethod, lengthened, square_dilation
from autorf.methods.dilation import Rates
from autorf.methods.dilation_search import LearnedDilationConv2d
from autorf.methods.joint_draws import JointDraws
from autorf.ops._dilations import whole_rates
from autorf.specification import Before, Number, PositiveFloat

_PositiveFraction = Annotated[Number, Field(gt=0, le=1)]

Sharing = bool | Literal["same_option", "then_each", "then_neighbours", "one_at_a_time"]
"""How several layers share a search; see :class:`LearnedDilation`."""


class LearnedDilation(LayerMethod):
    """Learn a dilation in a single training: options are compared on the way, then the best is fixed.

    While searching, every image of a batch gets a dilation between two neighbouring options, drawn from a Gaussian
    window in ``log(dilation)``. The derivative of the loss with respect to where it lies between the two is, on
    average, the difference of their losses; summed along the options this is the loss's profile over all of them. It
    comes with the backward pass, needs no further look at the loss, and works with any optimizer. The window's centre
    is the lowest option of the profile; its width starts over every option, so the start hardly matters, and shrinks
    geometrically. After the search phase the layer is a plain dilated convolution and training goes on.

    Attributes:
        start: the dilation at which the window is centred until ``hold``; None for the layer's own.
        rates: the options, increasing positive integers.
        window: the window's standard deviation at the start of the search, in log-units; at most 100.
        final_window: and at its end; at least 0.001, at most ``window``.
        search: the share of the training's steps that the search phase takes, in (0, 1].
        extra: how much longer a study trains it than a fixed dilation, as a share of the steps. With 0.25 and the other
            defaults the dilation that it fixed is trained for as many steps as a manual one; with 0 the whole training,
            search phase included, is as long as a manual one.
        hold: the share of the search phase before the centre may move, in [0, 1).
        memory: the share of the search phase over which the profile is averaged; older steps fade exponentially.
        threshold: pairs of options with a smaller share of the window are not drawn and cost nothing.
        shared: how several targeted layers share; they should read maps of one stride where they have one dilation.
            True: one for all, the lowest of the sum of their profiles, each of which is of draws of its own. False:
            each searches its own dilation, all at once. ``"same_option"``: one for all, and an image has the same
            option in every layer, so that the sum is the loss's slope along the common dilation. ``"then_each"``: so
            for the first half of the search, then each its own from there. ``"then_neighbours"``: likewise, but each
            stays at the common option or one beside it. ``"one_at_a_time"``: each its own, and an image explores in
            one layer alone, at the others' current choice.
        explore: the share of a batch's images that are drawn, the same in all layers; the others train the current
            choice, in (0, 1]. Below 1 the search costs less of the training, and hears less in each step.
        prefer: what is fixed of the options that the search cannot tell from the lowest (each no further above it than
            two standard errors of their difference): the ``"smallest"``, the ``"largest"``, or the ``"lowest_loss"``
            whatever the error.

    Examples:
        >>> import autorf
        >>> method = autorf.LearnedDilation(targets="head", rates=(1, 2, 4, 8), start=2, extra=0.25)
        >>> method.steps(1200)  # a quarter more, for the search phase
        1500
    """

    settles: ClassVar[bool] = True

    method: Literal["learned_dilation"] = "learned_dilation"
    start: PositiveFloat | None = None
    rates: Rates = (1, 2, 3, 4, 5, 6, 8, 10, 12)
    window: Annotated[PositiveFloat, Field(le=100)] = 3.0
    final_window: Annotated[PositiveFloat, Field(ge=1e-3)] = 0.1
    search: _PositiveFraction = 0.2
    extra: Annotated[Number, Field(ge=0, le=1), Before(0.25)] = 0.0
    hold: Annotated[Number, Field(ge=0, lt=1)] = 0.1
    memory: PositiveFloat = 0.3
    threshold: Annotated[Number, Field(ge=0, lt=0.5)] = 0.02
    shared: Annotated[Sharing, Before(False)] = True
    explore: Annotated[_PositiveFraction, Before(1.0)] = 1.0
    prefer: Annotated[Literal["smallest", "largest", "lowest_loss"], Before("lowest_loss")] = "smallest"

    @model_validator(mode="after")
    def _check(self) -> Self:
        whole_rates(self.rates)
        if self.start is not None and not self.rates[0] <= self.start <= self.rates[-1]:
            raise ValueError(f"start must lie within the rates {self.rates[0]}..{self.rates[-1]}, got {self.start:g}")
        if self.final_window > self.window:
            raise ValueError(f"final_window {self.final_window:g} must not exceed window {self.window:g}")
        return self

    def steps(self, given: int) -> int:
        """``given`` and ``extra`` of it."""
        return lengthened(given, self.extra)

    def not_lengthened(self) -> Self:
        """With no ``extra``."""
        return self.model_copy(update={"extra": 0.0})

    @property
    def one_dilation(self) -> bool:
        """Whether several layers have one dilation from the first step to the last."""
        return self.shared is True or self.shared == "same_option"

    @property
    def search_share(self) -> float:
        """``search``."""
        return self.search

    @property
    def initial(self) -> float | None:
        """``start``."""
        return self.start

    @property
    def options(self) -> tuple[float, ...]:
        """``rates``."""
        return tuple(self.rates)

    def replacements(self, layers: Mapping[str, nn.Conv2d]) -> dict[str, nn.Module]:
        """One :class:`LearnedDilationConv2d` a layer."""
        searching = {
            name: LearnedDilationConv2d(layer, self, square_dilation(name, layer)) for name, layer in layers.items()
        }
        layers_together = tuple(searching.values())
        draws = JointDraws(len(layers_together)) if self.draws_jointly(len(layers_together)) else None
        for at, module in enumerate(layers_together):
            module.join(layers_together, at, draws)
        return dict(searching)

    def draws_jointly(self, n_layers: int) -> bool:
        """Whether what one of ``n_layers`` layers draws depends on the others."""
        return self.explore < 1 or (n_layers > 1 and not isinstance(self.shared, bool))
