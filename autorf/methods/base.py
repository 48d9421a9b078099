"""What every method is: a frozen specification that says which layers it changes and what it puts in their place."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from autorf.errors import InputError
from autorf.methods import outside_graphs
from autorf.methods.bookkeeping import Phase
from autorf.methods.convolutions import check_convolution, class_name, effective_weight
from autorf.methods.quantity import Quantity
from autorf.methods.region import ConstantRegion, Region
from autorf.specification import Several, Specification

Targets = str | Several[str] | None


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
        unset: what a table says of it where none of its fields differs from its default.
    """

    manual: ClassVar[bool] = False
    per_pixel: ClassVar[bool] = False
    quantity: ClassVar[Quantity] = Quantity("dilation", "dilation")
    scope: ClassVar[Literal["layers", "region"] | None] = None
    place: ClassVar[frozenset[str]] = frozenset()
    settles: ClassVar[bool] = False
    trained: ClassVar[bool] = True
    unset: ClassVar[str] = "default"

    method: str

    @property
    def search_share(self) -> float:
        """The share of the training's steps in which it searches among options, in [0, 1]."""
        return 0.0

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
    scope: ClassVar[Literal["layers", "region"] | None] = "region"
    place: ClassVar[frozenset[str]] = frozenset({"start", "end"})

    start: str | None = None
    end: str | None = None

    @abstractmethod
    def region(self, device: torch.device) -> "AdaptiveRegion":
        """The module that resizes on both sides; the model holds it under the method's name."""

    def constant(self, factor: tuple[float, float]) -> ConstantRegion:
        """The plain form of :meth:`region`, with the factors of height and width as they are."""
        return ConstantRegion(factor)

    def first_layer(self, start: str) -> LayerMethod | None:
        """What changes the region's first module, a convolution; None to leave it."""
        return None


@dataclass(frozen=True)
class LearningRule:
    """How the optimizer treats a method's own parameters: no weight decay, and a learning rate of their own.

    Attributes:
        parameters: the parameters this rule is for.
        learning_rate: an absolute learning rate, or None for ``multiplier`` times the model's.
        multiplier: of the model's learning rate; used where ``learning_rate`` is None.
        scheduled: whether the model's learning-rate schedule applies to them too.
    """

    parameters: tuple[nn.Parameter, ...]
    learning_rate: float | None = None
    multiplier: float = 1.0
    scheduled: bool = True


@dataclass(frozen=True)
class SearchState:
    """How a search among options stands.

    Attributes:
        rates: the options: dilations, or inflation factors.
        window: each one's share of what is tried now, summing to 1.
        losses: each one's loss less the first one's, as far as it is known; nan where it was never tried.
    """

    rates: tuple[float, ...]
    window: tuple[float, ...]
    losses: tuple[float, ...]


SEARCH_STEPS = 50
"""Steps that a search should have: 69 and 84 find the dilation on CamVid and digits, 16 did not."""


@dataclass(frozen=True)
class SearchProgress:
    """How far a search is.

    Attributes:
        phase: idle, searching or fixed.
        done: the share of the search that is over, in [0, 1].
        steps: after how many steps something was heard of the options' losses; None where nobody counted.
        training: whether its module is in training mode, without which nothing is drawn.
    """

    phase: Phase
    done: float
    steps: int | None
    training: bool


class AdaptiveModule(nn.Module):
    """A module that a method has put into a model.

    ``advance`` moves whatever changes during training; ``values`` says what was learned so far.
    """

    own: tuple[str, ...] = ()
    """Names of the parameters and buffers that the original layer does not have."""
    unfolded_because: ClassVar[str] = "its method has no plain form"
    """What ``freeze`` says of a module whose ``frozen`` is None."""
    map_name: ClassVar[str] = ""
    """What :meth:`pixel_map` holds, such as ``scale`` or ``dilation``."""

    def advance(self, progress: float) -> None:
        """Enter the state for ``progress``, the share of the training's steps that is done, in [0, 1]."""

    def values(self) -> dict[str, float]:
        """What describes the receptive field now, for logs: the dilation, the factor, the mean scale."""
        return {}

    def search_state(self) -> SearchState | None:
        """How the search stands, of a module that is searching among options now."""
        return None

    def search_progress(self) -> SearchProgress | None:
        """How far its search is; None for a module that searches nothing."""
        return None

    @property
    def searches(self) -> bool:
        """Whether :meth:`search_again` has anything to begin anew."""
        return False

    def search_again(self) -> None:
        """Begin its search, or the time it is held, anew with the next ``advance``."""

    def untrained(self) -> tuple[nn.Parameter, ...]:
        """Its own parameters that no optimizer may move now, whatever their gradient."""
        return ()

    def pixel_map(self) -> Tensor | None:
        """The quantity at every pixel of the last forward pass, ``(N, 1, H, W)``; None where there is none."""
        return None

    def learning_rules(self) -> list[LearningRule]:
        """How the optimizer treats this module's own parameters."""
        return []

    def probes(self, side: int) -> list[tuple[tuple[int, ...], tuple[Any, ...]]]:
        """Calls on which a frozen form must give the same: the shape of a random input, and further arguments.

        Args:
            side: that inputs must have at least, in pixels.
        """
        return []

    @abstractmethod
    def receptive_field_form(self) -> Callable[..., Tensor]:
        """A function for the receptive-field engine to trace instead of ``forward``."""

    def frozen(self) -> nn.Module | None:
        """A plain module with the same output and nothing left to learn, or None where there is none."""
        return None

    def upgrade_state(self, state: dict[str, Any], prefix: str) -> None:
        """Bring what ``state`` holds of this module, under names that begin with ``prefix``, to the present layout."""

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        own = [prefix + name for name in self.own]
        if not any(key in state_dict for key in own):
            # A checkpoint of the unchanged model has none of our keys; it loads as it would have before.
            missing_keys[:] = [key for key in missing_keys if key not in own]
        else:
            self._loaded()

    def _loaded(self) -> None:
        """Bring plain attributes in step with buffers that were just loaded."""


class AdaptiveConv2d(AdaptiveModule):
    """A convolution on the parameters of the layer it replaces, under the same names."""

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        for name, parameter in layer._parameters.items():
            self.register_parameter(name, parameter)
        for name, buffer in layer._buffers.items():
            self.register_buffer(name, buffer)
        self.kind = class_name(layer)
        self.in_channels, self.out_channels = layer.in_channels, layer.out_channels
        self.kernel_size = (layer.kernel_size[0], layer.kernel_size[1])
        self.dilation = (layer.dilation[0], layer.dilation[1])
        self.groups = layer.groups
        self.eps, self.scale = getattr(layer, "eps", None), getattr(layer, "scale", None)
        self.train(layer.training)

    def kernel(self) -> Tensor:
        """The weight to convolve with, ``(C_out, C_in / groups, K_h, K_w)``; standardised where the layer was."""
        return effective_weight(self, self.kind)

    def probes(self, side: int) -> list[tuple[tuple[int, ...], tuple[Any, ...]]]:
        """One image of unequal sides."""
        return [((1, self.in_channels, side, side + 2), ())]

    def extra_repr(self) -> str:
        """The layer's channels and kernel, and what was learned."""
        learned = ", ".join(f"{key}={value:.3g}" for key, value in self.values().items())
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, {learned}"


class AdaptiveRegion(AdaptiveModule, Region):
    """A module that a :class:`RegionMethod` puts around a region.

    Attributes:
        values_per_position: how many numbers the region computes for each position of its map and image, as the dry
            run counted them.
    """

    values_per_position: float = 0.0

    def enter(self, map: Tensor) -> Tensor:
        """Inflate ``map (N, C, H, W)`` in front of the region; a compiler does not look into it."""
        inflated: Tensor = outside_graphs.call(Region.enter, self, map) if _compiled() else super().enter(map)
        return inflated

    def leave(self, map: Tensor) -> Tensor:
        """Return ``map (N, C, H, W)`` behind the region to its size; a compiler does not look into it."""
        returned: Tensor = outside_graphs.call(Region.leave, self, map) if _compiled() else super().leave(map)
        return returned

    def probes(self, side: int) -> list[tuple[tuple[int, ...], tuple[Any, ...]]]:
        """A map on its way in, and one on its way back to a size."""
        shape = (1, 2, side, side + 2)
        return [(shape, ()), (shape, ((2 * side, side),))]


def _compiled() -> bool:
    return torch.compiler.is_compiling() and not torch.compiler.is_exporting()


def square_dilation(name: str, layer: nn.Conv2d) -> int:
    """The layer's dilation, one number for both axes.

    Raises:
        InputError: where the axes differ.
    """
    height, width = layer.dilation
    if height != width:
        raise InputError(f"layer {name!r} has dilation {(height, width)}; this method needs one dilation for both axes")
    return height
