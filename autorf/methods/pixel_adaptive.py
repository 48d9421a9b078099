"""A dilation for every pixel: of a few that share one kernel the weighted mean, or the one that is likeliest."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from autorf.errors import InputError
from autorf.methods.aggregation import Activation, Aggregation, aggregated, weight_shapes
from autorf.methods.base import LayerMethod, square_dilation
from autorf.methods.dilation import Rates
from autorf.methods.modules import LearningRule
from autorf.methods.pixelwise import BUFFERS, PixelwiseConv2d, pooled_moments, resized
from autorf.methods.quantity import Quantity
from autorf.methods.relay import MapRelay
from autorf.ops import pixel_adaptive_conv2d
from autorf.ops._convolution_input import without_autocast, working_dtype
from autorf.ops._dilations import whole_rates
from autorf.specification import Before, Number, PositiveFloat


def _start_and_end(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("two numbers, at the start and at the end of training")
    return value


OWN_SHARE = 0.9
"""How probable the layer's own dilation is at every pixel where it starts there."""

Temperature = Annotated[PositiveFloat, Field(ge=1e-3)]
"""Of a Gumbel-softmax; logits divided by less are beyond what float32 can tell apart."""


class PixelAdaptive(LayerMethod):
    """Weigh ``rates`` as dilations of the targeted convolutions at every pixel, all with the layer's kernel.

    ``y(p) = sum_r pi_r(p) conv(x; W, b, dilation=r)(p)``. ``pi`` is a softmax of the logits that 1x1 convolutions,
    without bias unless ``start`` asks for it, compute from the layer's input and, unless ``aggregation`` is
    ``"markov"``, the previous target's logits. The paper trains on Gumbel-softmax samples of them and evaluates the
    likeliest option, ``sampling="soft", evaluation="hard"``; without noise and with the mean over options, the default
    here, digits of several sizes came out better and three real networks alike (``docs/learned_or_manual.md``). Markov
    adds ``len(rates) * C_in`` parameters a layer. Until training begins the layer is the plain convolution, so the
    output is the original's bit for bit. A layer of stride 2 costs four times what it would: it is computed at stride
    1, and every second position kept.
    Paper: *PAD-Nets: learning dynamic receptive fields via pixel-wise adaptive dilation*, 2020; Eqs. 2-5.

    Attributes:
        rates: the options, increasing positive integers: dilations in pixels of the layer's map, not multiples of its
            own, which must be among them.
        aggregation: ``"markov"``, ``"recurrent"`` or ``"gated"``. The latter two chain the targets in the model's
            order; the first has no previous one. Targets must run in that order, once each a forward pass; logits of
            another size are resized bilinearly.
        activation: the non-linearity on the logits, which the paper leaves open. ``"leaky_relu"`` can grow as sure
            as it needs to; ``"relu"`` ties options below zero; ``"tanh"`` never gives one option of two more than 0.88.
        temperature: at the start and at the end of training, at least 0.001; geometric in between. A lower one
            makes samples more like the hard choice.
        sampling: what training takes of the logits ``h``. ``"none"``: ``softmax(h / temperature)``, without noise;
            ``"soft"``: a Gumbel-softmax sample, as in the paper; ``"straight_through"``: the one option that such a
            sample is nearest to, with the sample's gradient, so that training sees single options as a hard evaluation
            does.
        sampled: the share of the training in which ``sampling`` holds, in [0, 1]; behind it training takes what
            evaluation takes, the likeliest option with the gradient of ``softmax(h / temperature)``, and so do the
            statistics of batch normalisation. 1 is the paper's.
        start: ``"uniform"``: all options alike, but for ``sigma``; ``"own"``: the layer's own dilation, which has 0.9
            of each pixel at first (with ``"tanh"`` as much as it can give), by a bias of the logits that is learned:
            ``len(rates)`` further parameters a layer, which the paper has not.
        evaluation: ``"expected"`` takes the mean over options: where ``sampling`` is ``"none"`` over
            ``softmax(h / temperature)``, as training does at its end, else over ``softmax(h)``, which is how often a
            sample is nearest to each option at any temperature. ``"hard"`` takes the likeliest option, as in the paper.
        sigma: standard deviation of the initial weights on the input, 0 < sigma < 1; near 0 all options are alike.
        learning_rate_multiplier: of the logits' weights, times the model's; their own optimizer group has no decay.
        reported: what ``receptive_field`` takes for the layer's dilation: the last map's ``"mean"``, or the ``"max"``
            of which any pixel takes a share, which of a mean over options is the largest option.

    Note:
        Chained layers need one process a replica (``DistributedDataParallel``, not ``DataParallel``).

    Examples:
        >>> import autorf, torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)).eval()
        >>> image = torch.rand(1, 3, 16, 16)
        >>> plain = model(image)
        >>> model = autorf.adapt(model, autorf.PixelAdaptive(targets="0", rates=(1, 2, 4)))
        >>> torch.equal(model(image), plain)  # until training begins
        True
    """

    per_pixel: ClassVar[bool] = True
    stride_2: ClassVar[bool] = True
    quantity: ClassVar[Quantity] = Quantity("dilation", "dilation", variance="dilation_variance")

    method: Literal["pixel_adaptive"] = "pixel_adaptive"
    rates: Rates = (1, 2, 4)
    aggregation: Aggregation = "markov"
    activation: Activation = "leaky_relu"
    temperature: Annotated[tuple[Temperature, Temperature], BeforeValidator(_start_and_end)] = (1.0, 0.5)
    sampling: Annotated[Literal["soft", "straight_through", "none"], Before("soft")] = "none"
    sampled: Annotated[Number, Field(ge=0, le=1), Before(1.0)] = 1.0
    start: Annotated[Literal["uniform", "own"], Before("uniform")] = "uniform"
    evaluation: Annotated[Literal["hard", "expected"], Before("hard")] = "expected"
    sigma: Annotated[Number, Field(gt=0, lt=1)] = 0.01
    learning_rate_multiplier: PositiveFloat = 1.0
    reported: Literal["mean", "max"] = "mean"

    @model_validator(mode="after")
    def _check(self) -> Self:
        whole_rates(self.rates)
        return self

    @property
    def options(self) -> tuple[float, ...]:
        """``rates``."""
        return tuple(self.rates)

    def check_layer(self, name: str, layer: nn.Module) -> nn.Conv2d:
        """Return the layer if its dilation is among the options; raise ``InputError`` that names it if not."""
        convolution = super().check_layer(name, layer)
        if (dilation := square_dilation(name, convolution)) not in self.rates:
            with_present = ", ".join(str(rate) for rate in sorted({*self.rates, dilation}))
            raise InputError(
                f"layer {name!r} has dilation {dilation}, which is not among the rates {list(self.rates)}; "
                f"set rates=[{with_present}]"
            )
        return convolution

    def replacements(self, layers: Mapping[str, nn.Conv2d]) -> dict[str, nn.Module]:
        """One :class:`PixelAdaptiveConv2d` a layer, each but the last handing its logits on where they are chained."""
        convolutions: dict[str, nn.Module] = {}
        names, inlet = list(layers), None
        for at, (name, layer) in enumerate(layers.items()):
            chained = self.aggregation != "markov" and name != names[-1]
            outlet = MapRelay(name, names[at + 1 : at + 2]) if chained else None
            convolutions[name] = PixelAdaptiveConv2d(layer, name, self, inlet=inlet, outlet=outlet)
            inlet = outlet
        return convolutions


class PixelAdaptiveConv2d(PixelwiseConv2d):
    """A convolution that mixes or chooses among dilations at each pixel.

    ``dilation_map (N, 1, H, W)`` is what evaluation takes at each pixel, of the logits of the last forward pass and
    without gradient: the likeliest option or, with ``evaluation="expected"``, ``E[r](p)`` under ``softmax(h)``. The
    values, the field and the map describe that one network; the mean of ``E[r]`` is the value ``expected_dilation``.
    """

    map_name = "dilation"
    unfolded_because = "its dilation differs from pixel to pixel"

    def __init__(
        self,
        layer: nn.Conv2d,
        name: str,
        method: PixelAdaptive,
        *,
        inlet: MapRelay | None = None,
        outlet: MapRelay | None = None,
    ) -> None:
        dilation = square_dilation(name, layer)
        shares = [float(rate == dilation) for rate in method.rates]
        super().__init__(layer, name, dilation, (dilation, 0.0, *shares), inlet, outlet, method.rates)
        self.method = method
        shapes = weight_shapes(method.aggregation, len(method.rates), layer.in_channels, inlet is not None)
        for key, shape in shapes.items():
            # Weights on the previous logits keep their size, those on the input start small.
            std = shape[1] ** -0.5 if "previous" in key else method.sigma
            weight = nn.init.normal_(layer.weight.new_empty(*shape, 1, 1), std=std)
            self.register_parameter(key, nn.Parameter(weight))
        self.own = (*BUFFERS, *shapes)
        if method.start == "own" and len(method.rates) > 1:
            bias = layer.weight.new_zeros(len(method.rates))
            # All other options share what is left.
            bias[method.rates.index(dilation)] = math.log(OWN_SHARE / (1 - OWN_SHARE) * (len(method.rates) - 1))
            self.option_bias = nn.Parameter(bias)
            self.own = (*self.own, "option_bias")

    @property
    def dilation_map(self) -> Tensor | None:
        """The dilation at each pixel of the last forward pass, ``(N, 1, H, W)``; None before the first."""
        return self.last_map

    @property
    def temperature(self) -> float:
        """Of the Gumbel-softmax at this share of the training."""
        start, end = self.method.temperature
        return float(start * (end / start) ** self.record.progress)

    def advance(self, progress: float) -> None:
        """Leave the idle state, and cool down to what this share of the training asks for."""
        self.record = replace(self.record, begun=True, progress=progress)

    def _adaptive(self, input: Tensor, received: Tensor | None) -> tuple[Tensor, Tensor | None]:
        logits = self.logits(input, None if received is None else resized(received, input))
        with without_autocast(input):
            kept = self.kept(logits)
            self._describe(kept.detach())
            probabilities = self.probabilities(logits)
        rates = self.method.rates
        output = pixel_adaptive_conv2d(input, self.kernel(), self.bias, probabilities, rates, self.groups)
        return self.kept(output), kept

    def logits(self, input: Tensor, previous: Tensor | None) -> Tensor:
        """``h (N, D, H, W)`` for ``input (N, C_in, H, W)`` and the previous layer's ``h``, in the weights' dtype."""
        weights = {key: self.get_parameter(key) for key in self.own if key not in BUFFERS}
        with without_autocast(input):
            dtype = weights["option_weight"].dtype
            before = None if previous is None else previous.to(dtype)
            return aggregated(input.to(dtype), before, weights, self.method.activation)

    def probabilities(self, logits: Tensor) -> Tensor:
        """``(N, D, H, W)``: a sample in training; in evaluation the likeliest option, or every option's probability."""
        if self.training and self.record.progress < self.method.sampled:
            return self._sample(logits)
        if self.method.evaluation == "expected":
            return self._expected_shares(logits)
        choice = torch.zeros_like(logits).scatter_(1, logits.max(1, keepdim=True).indices, 1.0)
        if not self.training:
            return choice
        soft = torch.softmax(logits / self.temperature, 1)
        # Straight through: the choice's value, and the gradient of what it was chosen from.
        return choice + soft - soft.detach()

    def _expected_shares(self, logits: Tensor) -> Tensor:
        """Every option's share of the mean that training sees at its end."""
        # Not the present temperature: what evaluates must follow from the weights, for a copy that lags a step too.
        return torch.softmax(logits / self.method.temperature[1] if self.method.sampling == "none" else logits, 1)

    def _sample(self, logits: Tensor) -> Tensor:
        """What training takes, as ``sampling`` says."""
        if self.method.sampling == "none":
            return torch.softmax(logits / self.temperature, 1)
        # Half precision rounds the noise to zero now and then, and its logarithm is then no number.
        precise = logits.to(working_dtype(logits.dtype))
        hard = self.method.sampling == "straight_through"
        return functional.gumbel_softmax(precise, self.temperature, hard=hard, dim=1)

    def _describe(self, logits: Tensor) -> None:
        """Keep the map, mean and variance of the expected dilation, and the share of pixels that choose each option."""
        options = torch.tensor(self.method.rates, dtype=logits.dtype, device=logits.device)
        expected = (self._expected_shares(logits) * options.view(1, -1, 1, 1)).sum(1, keepdim=True)
        choice = logits.max(1, keepdim=True).indices
        chosen = functional.one_hot(choice[:, 0], options.numel()).to(logits.dtype)
        map = expected if self.method.evaluation == "expected" else options[choice]
        self._note(map, lambda: (expected.mean(), expected.var(correction=0), *chosen.mean((0, 1, 2)).unbind()))

    def _pooled(self, before: Tensor, current: Tensor, share: Tensor) -> Tensor:
        shares = before[2:] + share * (current[2:] - before[2:])
        return torch.stack([*pooled_moments(before, current, share), *shares])

    def shares(self) -> dict[int, float]:
        """The share of pixels whose likeliest option is each rate: of the last training step, or of an evaluation."""
        return dict(zip(self.method.rates, self.map_state[2:].tolist(), strict=True))

    def values(self) -> dict[str, float]:
        """Mean and variance over pixels of the dilation that evaluation takes; the mean of the expected one; the share
        of pixels that choose each option."""
        expected, variance = self.map_state[:2].tolist()
        shares = self.shares()
        mean = expected
        if self.method.evaluation == "hard":
            mean = sum(rate * share for rate, share in shares.items())
            variance = sum((rate - mean) ** 2 * share for rate, share in shares.items())
        each = {f"share_{rate}": share for rate, share in shares.items()}
        return {"dilation": mean, "dilation_variance": variance, "expected_dilation": expected, **each}

    def reported_dilation(self) -> float:
        """The mean dilation as evaluation takes it, or the largest of which any pixel takes a share."""
        if self.method.reported == "max" and self.method.evaluation == "expected":
            return float(self.method.rates[-1])
        if self.method.reported == "max":
            return float(max(rate for rate, share in self.shares().items() if share > 0))
        return self.values()["dilation"]

    def learning_rules(self) -> list[LearningRule]:
        """The logits' weights learn at a multiple of the model's learning rate."""
        weights = tuple(self.get_parameter(key) for key in self.own if key not in BUFFERS)
        return [LearningRule(weights, multiplier=self.method.learning_rate_multiplier)]
