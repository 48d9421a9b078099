"""A scale of the kernel for every pixel, regressed from the layer's input."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from autorf.methods.base import LayerMethod, square_dilation
from autorf.methods.block_input import BlockInput
from autorf.methods.dilation import Rate
from autorf.methods.held_statistics import hold_evaluation
from autorf.methods.modules import AdaptiveModule, LearningRule
from autorf.methods.pixelwise import BUFFERS, PixelwiseConv2d, pooled_moments, resized
from autorf.methods.quantity import Quantity
from autorf.methods.relay import MapRelay
from autorf.methods.returning_clamp import returning_clamp
from autorf.methods.stages import block_of, stages
from autorf.ops import scale_adaptive_conv2d
from autorf.ops._convolution_input import without_autocast
from autorf.specification import Before, Number, PositiveFloat


class ScaleAdaptive(LayerMethod):
    """Spread the kernel of the targeted convolutions by a scale ``s(p)`` that is learned for every pixel ``p``.

    ``y(p) = sum_k K_k x(p + s(p) d k) + b``; a 3x3 convolution regresses ``s``, from the layer's input or, for a map
    that a stage shares, from that of its first block. It starts with
    weights ``~ N(0, sigma^2)`` and bias 1, so near ``s = 1``. The small weights are the paper's, and they keep ``s``
    off the exact 1, where every tap lies on a pixel and the derivative of bilinear interpolation is one-sided. That the
    untrained model gives the original's output to the last bit is the layer's own doing: until training begins it
    *is* the plain convolution, see :class:`ScaleAdaptiveConv2d`. A layer of stride 2 costs four times what it would: it
    is computed at stride 1, and every second position kept.
    Paper: Zhang et al., *Scale-adaptive convolutions for scene parsing*, ICCV 2017; Eq. 1.

    The paper's schemes: *single* targets the last 3x3 convolution; *multiple* adds a second ``ScaleAdaptive`` for the
    3x3 convolutions of the last stage with ``share="stage"``; *single-only* and *multiple-only* set ``only=True`` on a
    trained model.

    Attributes:
        share: ``"layer"``: every layer regresses its own map. ``"stage"``: the targets of one stage, such as
            ``layer4.0.conv2`` and ``layer4.1.conv2``, share one map, resized bilinearly where sizes differ; they must
            run in the model's order, once each a forward pass.
        source: what the map of several layers is regressed from. ``"block"``: the input of the block that holds the
            first of them, which for ``layer4.0`` is the output of ``layer3`` (section 4.1); ``"layer"``: the first
            one's own input, as is that of a layer by itself.
        low: lower bound of the scale, 0 < low < 1. Beyond a bound the gradient that leads back is kept.
        high: upper bound of the scale, > 1.
        sigma: standard deviation of the regressor's initial weights, 0 <= sigma < 1.
        dilation: set the layers' dilation ``d`` first; None keeps it.
        learning_rate_multiplier: of the regressor, times the model's; it has its own optimizer group without decay.
        only: whether nothing but regressors learns, of a trained baseline (section 4.1): no other tensor changes by a
            bit. ``adapt`` sets ``requires_grad`` to False on all parameters that no method has added, and batch norm,
            like all else that keeps buffers, runs in evaluation mode whatever mode the model is in. A study needs
            ``model.weights`` for it; the baseline as it is then is a trial of its own.
        reported: which scale ``receptive_field`` takes for the layer's, the last map's ``"mean"`` or its ``"max"``.

    Note:
        Shared maps need one process a replica (``DistributedDataParallel``, not ``DataParallel``).

    Examples:
        >>> import autorf, torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)).eval()
        >>> image = torch.rand(1, 3, 16, 16)
        >>> plain = model(image)
        >>> model = autorf.adapt(model, autorf.ScaleAdaptive(targets="0", low=0.5, high=2))
        >>> torch.equal(model(image), plain)  # until training begins
        True
    """

    per_pixel: ClassVar[bool] = True
    stride_2: ClassVar[bool] = True
    quantity: ClassVar[Quantity] = Quantity("scale", "mean scale", deviation="scale_std")

    method: Literal["scale_adaptive"] = "scale_adaptive"
    share: Literal["layer", "stage"] = "layer"
    source: Annotated[Literal["block", "layer"], Before("layer")] = "block"
    low: PositiveFloat = 0.25
    high: PositiveFloat = 4.0
    sigma: Annotated[Number, Field(ge=0, lt=1)] = 0.001
    dilation: Rate | None = None
    learning_rate_multiplier: PositiveFloat = 1.0
    only: bool = False
    reported: Literal["mean", "max"] = "mean"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.low < 1 < self.high:
            raise ValueError(f"the bounds must be 0 < low < 1 < high, got low {self.low:g} and high {self.high:g}")
        return self

    @property
    def set_dilation(self) -> int | None:
        """The dilation that the scale multiplies."""
        return self.dilation

    @property
    def needs_weights(self) -> bool:
        """With ``only``."""
        return self.only

    def replacements_in(self, model: nn.Module, layers: Mapping[str, nn.Conv2d]) -> dict[str, nn.Module]:
        """One :class:`ScaleAdaptiveConv2d` a layer; only the first of a stage regresses where maps are shared."""
        groups = stages(layers).values() if self.share == "stage" else [[name] for name in layers]
        convolutions: dict[str, nn.Module] = {}
        for first, *others in groups:
            relay = MapRelay(first, others) if others else None
            source = self._block_input(model, first, layers) if others and self.source == "block" else None
            convolutions[first] = ScaleAdaptiveConv2d(layers[first], first, self, outlet=relay, source=source)
            convolutions.update({name: ScaleAdaptiveConv2d(layers[name], name, self, inlet=relay) for name in others})
        return {name: convolutions[name] for name in layers}

    def replacements(self, layers: Mapping[str, nn.Conv2d]) -> dict[str, nn.Module]:
        """:meth:`replacements_in` a model that has no blocks."""
        return self.replacements_in(nn.Module(), layers)

    def _block_input(self, model: nn.Module, first: str, layers: Mapping[str, nn.Conv2d]) -> BlockInput | None:
        """None where the block is the layer itself, or nothing less than the model."""
        name = block_of(first, layers)
        return BlockInput(model.get_submodule(name), name, first) if name not in ("", first) else None

    def finish(self, model: nn.Module) -> None:
        """Watch what blocks read; with ``only``, keep everything but the methods' own as it is."""
        for module in model.modules():
            if isinstance(module, ScaleAdaptiveConv2d) and module.source is not None:
                module.source.watch()
        if self.only:
            hold_all_but_methods(model)


class ScaleAdaptiveConv2d(PixelwiseConv2d):
    """A convolution with a scale of its kernel at each pixel.

    ``scale_map (N, 1, H, W)`` is the last forward pass's, without gradient. The regressor ``scale_weight (1, C_in, 3,
    3)``, ``scale_bias (1,)`` works in its own precision under autocast: bfloat16 has steps of 0.008 near 1.
    """

    map_name = "scale"
    unfolded_because = "its scale differs from pixel to pixel"

    def __init__(
        self,
        layer: nn.Conv2d,
        name: str,
        method: ScaleAdaptive,
        *,
        inlet: MapRelay | None = None,
        outlet: MapRelay | None = None,
        source: BlockInput | None = None,
    ) -> None:
        dilation = method.dilation or square_dilation(name, layer)
        super().__init__(layer, name, dilation, (1.0, 0.0, 1.0, 1.0), inlet, outlet)
        self.method, self.source = method, source
        if inlet is None:
            weight = layer.weight.new_empty(1, source.channels if source else layer.in_channels, 3, 3)
            self.scale_weight = nn.Parameter(nn.init.normal_(weight, std=method.sigma))
            self.scale_bias = nn.Parameter(layer.weight.new_ones(1))
            self.own = (*BUFFERS, "scale_weight", "scale_bias")

    @property
    def scale_map(self) -> Tensor | None:
        """The scale at each pixel of the last forward pass, ``(N, 1, H, W)``; None before the first."""
        return self.last_map

    def forward(self, input: Tensor) -> Tensor:
        """As every per-pixel convolution."""
        output = super().forward(input)
        if self.source is not None:
            self.source.forget()
        return output

    def _adaptive(self, input: Tensor, received: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if self.inlet is None:
            source = input if self.source is None else self.source.take(self.name, input)
            scale = resized(self.regressed(source), input)
        elif received is None:
            return self._plain(input), None
        else:
            scale = resized(received, input)
        kept = self.kept(scale)
        values = kept.detach()
        self._note(values, lambda: (values.mean(), values.var(correction=0), *values.aminmax()))
        output = scale_adaptive_conv2d(input, self.kernel(), self.bias, scale, self.rate, self.groups)
        return self.kept(output), kept

    def _pooled(self, before: Tensor, current: Tensor, share: Tensor) -> Tensor:
        low, high = torch.minimum(before[2], current[2]), torch.maximum(before[3], current[3])
        return torch.stack([*pooled_moments(before, current, share), low, high])

    def regressed(self, input: Tensor) -> Tensor:
        """The scale ``(N, 1, H, W)`` for the map ``input (N, C, H, W)`` it is regressed from, within the bounds."""
        with without_autocast(input):
            scale = functional.conv2d(input.to(self.scale_weight.dtype), self.scale_weight, self.scale_bias, padding=1)
        return returning_clamp(scale, self.method.low, self.method.high)

    def values(self) -> dict[str, float]:
        """Mean, standard deviation, least and largest scale: of the last training step, or of a whole evaluation."""
        mean, variance, low, high = self.map_state.tolist()
        return {"scale": mean, "scale_std": math.sqrt(variance), "scale_min": low, "scale_max": high}

    @property
    def dilation_map(self) -> Tensor | None:
        """The dilation times the scale, ``(N, 1, H, W)``."""
        return None if self.last_map is None else self.rate * self.last_map

    def reported_dilation(self) -> float:
        """The dilation times the mean, or the largest, scale."""
        return self.rate * self.values()["scale" if self.method.reported == "mean" else "scale_max"]

    def learning_rules(self) -> list[LearningRule]:
        """The regressor learns at a multiple of the model's learning rate."""
        if self.inlet is not None:
            return []
        regressor = (self.scale_weight, self.scale_bias)
        return [LearningRule(regressor, multiplier=self.method.learning_rate_multiplier)]


def hold_all_but_methods(model: nn.Module) -> None:
    """Keep every tensor of ``model`` that no method has added as it is, buffers that follow the data included."""
    rules = (
        rule for module in model.modules() if isinstance(module, AdaptiveModule) for rule in module.learning_rules()
    )
    learning = {id(parameter) for rule in rules for parameter in rule.parameters}
    for parameter in model.parameters():
        if id(parameter) not in learning:
            parameter.requires_grad_(False)
    for module in model.modules():
        if module._buffers and not isinstance(module, AdaptiveModule):
            hold_evaluation(module)
