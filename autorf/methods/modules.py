"""What every module that a method puts into a model is: how it moves through a training, what it says and carries."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from autorf.methods import outside_graphs
from autorf.methods.bookkeeping import Phase
from autorf.methods.convolutions import class_name, effective_weight
from autorf.methods.region import Region
from autorf.ops.exporting import is_exporting


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


class OwnRates:
    """A module, of no method, some of whose parameters have a learning rate of their own."""

    def learning_rules(self) -> list[LearningRule]:
        """How the optimizer treats these parameters."""
        raise NotImplementedError


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

    def alike(self) -> tuple[float, ...]:
        """The options that its search cannot tell from the best, or could not; of a module that searches any."""
        return ()

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
        """Bring what ``state`` holds of this module, under names that begin with ``prefix``, to the present layout.

        Raises:
            InputError: for a state that is not of this module.
        """

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
        self.upgrade_state(state_dict, prefix)
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
    return torch.compiler.is_compiling() and not is_exporting()
