"""What every method is: a frozen specification that says which layers it changes and what it puts in their place."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import nn

from autorf.errors import InputError
from autorf.methods.convolutions import check_convolution
from autorf.methods.modules import AdaptiveRegion
from autorf.methods.quantity import Quantity
from autorf.methods.region import ConstantRegion
from autorf.specification import Several, Specification

Targets = str | Annotated[Several[str], Field(max_length=2**16, fail_fast=True)] | None


class Method(Specification):
    """One way to set or learn the receptive field: immutable, validated, and serialisable.

    Subclasses name themselves with a literal field ``method``, and say of themselves what search, comparison and report
    need to know. They derive from :class:`LayerMethod` or :class:`RegionMethod`.

    Attributes:
        manual: whether the receptive field is set by hand; else it is learned.
        per_pixel: whether it differs from pixel to pixel, so that trials keep a map.
        quantity: what is set or learned.
        scope: what it changes, ``"layers"`` one by one or a ``"region"``; None for a method that ``adapt`` refuses.
        place: the fields that say where in the network.
        settles: whether it ends at one dilation for all of a layer's pixels, which can be set by hand too.
        trained: whether a study trains it; what is only measured is compared with, and neither manual nor learned.
        compiles: whether a network that holds it can be compiled for training; not where the sizes of its maps change
            from step to step, for each of which it would be compiled anew.
        unset: what a table says of it where none of its fields differs from its default.
    """

    manual: ClassVar[bool] = False
    per_pixel: ClassVar[bool] = False
    quantity: ClassVar[Quantity] = Quantity("dilation", "dilation")
    scope: ClassVar[Literal["layers", "region"] | None] = None
    place: ClassVar[frozenset[str]] = frozenset()
    settles: ClassVar[bool] = False
    trained: ClassVar[bool] = True
    compiles: ClassVar[bool] = True
    unset: ClassVar[str] = "default"

    method: str

    @property
    def search_share(self) -> float:
        """The share of the training's steps in which it searches among options, in [0, 1]."""
        return 0.0

    @property
    def unsettled_share(self) -> float:
        """The share of the training's steps before it has the field that it keeps, or begins to learn it."""
        return self.search_share

    @property
    def initial(self) -> float | None:
        """The quantity before the first step, where the method's own fields say it."""
        return None

    @property
    def options(self) -> tuple[float, ...]:
        """The dilations it chooses among; none where it sets one, or learns something else."""
        return ()

    @property
    def set_dilation(self) -> int | None:
        """The dilation that is set by hand, in pixels of the layer's map."""
        return None

    @property
    def needs_weights(self) -> bool:
        """Whether a study of it means nothing without ``model.weights``, a trained network to begin with."""
        return False

    def steps(self, given: int) -> int:
        """How many steps a study trains it, where a method that searches nothing while it trains gets ``given``."""
        return given

    def not_lengthened(self) -> Self:
        """The same method, trained no longer than a fixed field is."""
        return self

    def check_classes(self, n_classes: int) -> None:
        """Raise ``InputError`` for a field that names a class of which the data, with ``n_classes``, has none."""

    def finish(self, model: nn.Module) -> None:
        """Do what concerns more of ``model`` than the targets; called once they are changed."""


def lengthened(steps: int, extra: float) -> int:
    """``steps`` and a share of them, to the nearest step."""
    return round(steps * (1 + extra))


class LayerMethod(Method):
    """A method that replaces convolutions one by one.

    Attributes:
        targets: which layers: a regular expression that matches a whole module name, a list of exact names or of
            ``.suffix``es, or None for the layers the network itself offers (``largefov`` offers its head).
    """

    scope: ClassVar[Literal["layers", "region"] | None] = "layers"
    place: ClassVar[frozenset[str]] = frozenset({"targets"})
    even_kernels: ClassVar[bool] = False
    any_padding: ClassVar[bool] = False
    stride_2: ClassVar[bool] = False

    targets: Targets = None

    def check_layer(self, name: str, layer: nn.Module) -> nn.Conv2d:
        """Return the layer if this method can change it; raise ``InputError`` that names it if not."""
        return check_convolution(
            name, layer, even_kernels=self.even_kernels, any_padding=self.any_padding, stride_2=self.stride_2
        )

    def replacements_in(self, model: nn.Module, layers: Mapping[str, nn.Conv2d]) -> dict[str, nn.Module]:
        """:meth:`replacements` of ``layers`` of ``model``, for a method that needs more of it; it does not change."""
        return self.replacements(layers)

    @abstractmethod
    def replacements(self, layers: Mapping[str, nn.Conv2d]) -> dict[str, nn.Module]:
        """What takes the place of each of ``layers``, on the same parameters; the layers themselves do not change."""


class RegionMethod(Method):
    """A method that resizes the map in front of a region of the network and resizes it back behind it.

    Attributes:
        start: name of the module the region begins with; its first argument is the map. None for the network's own.
        end: name of the module the region ends with; it returns the map.
    """

    quantity: ClassVar[Quantity] = Quantity("f", "inflation factor f")
    compiles: ClassVar[bool] = False
    scope: ClassVar[Literal["layers", "region"] | None] = "region"
    place: ClassVar[frozenset[str]] = frozenset({"start", "end"})

    start: str | None = None
    end: str | None = None

    @abstractmethod
    def region(self, device: torch.device) -> AdaptiveRegion:
        """The module that resizes on both sides; the model holds it under the method's name."""

    def constant(self, factor: tuple[float, float]) -> ConstantRegion:
        """The plain form of :meth:`region`, with the factors of height and width as they are."""
        return ConstantRegion(factor)

    def first_layer(self, start: str) -> LayerMethod | None:
        """What changes the region's first module, a convolution; None to leave it."""
        return None


def square_dilation(name: str, layer: nn.Conv2d) -> int:
    """The layer's dilation, one number for both axes.

    Raises:
        InputError: where the axes differ.
    """
    height, width = layer.dilation
    if height != width:
        raise InputError(f"layer {name!r} has dilation {(height, width)}; this method needs one dilation for both axes")
    return height
