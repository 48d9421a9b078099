"""The convolutions that segmentation libraries use: which can be changed, how each forms its weight and padding."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.errors import InputError


def _plain_weight(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


def _standardised_weight(layer: nn.Module) -> Tensor:
    return _standardise(_plain_weight(layer), None, float(layer.eps))  # type: ignore[arg-type]


def _scaled_standardised_weight(layer: nn.Module) -> Tensor:
    gain = (layer.gain * layer.scale).view(-1)  # type: ignore[operator]
    return _standardise(_plain_weight(layer), gain, float(layer.eps))  # type: ignore[arg-type]


def _standardise(weight: Tensor, gain: Tensor | None, eps: float) -> Tensor:
    rows = weight.reshape(1, weight.shape[0], -1)
    return functional.batch_norm(rows, None, None, weight=gain, training=True, momentum=0.0, eps=eps).reshape_as(weight)


_TIMM_SAME = "timm.layers.conv2d_same.Conv2dSame"
_SMP_STATIC_SAME = "segmentation_models_pytorch.encoders._efficientnet.Conv2dStaticSamePadding"
_SMP_DYNAMIC_SAME = "segmentation_models_pytorch.encoders._efficientnet.Conv2dDynamicSamePadding"

WEIGHTS: dict[str, Callable[[nn.Module], Tensor]] = {
    "torch.nn.modules.conv.Conv2d": _plain_weight,
    _TIMM_SAME: _plain_weight,
    "timm.layers.std_conv.StdConv2d": _standardised_weight,
    "timm.layers.std_conv.StdConv2dSame": _standardised_weight,
    "timm.layers.std_conv.ScaledStdConv2d": _scaled_standardised_weight,
    "timm.layers.std_conv.ScaledStdConv2dSame": _scaled_standardised_weight,
    _SMP_STATIC_SAME: _plain_weight,
    _SMP_DYNAMIC_SAME: _plain_weight,
}
"""How each supported class forms the weight it convolves with, by qualified name (so that no library is imported)."""


def class_name(layer: nn.Module) -> str:
    """The qualified name of ``layer``'s class."""
    return f"{type(layer).__module__}.{type(layer).__qualname__}"


def check_convolution(
    name: str, layer: nn.Module, *, even_kernels: bool = False, any_padding: bool = False
) -> nn.Conv2d:
    """Return ``layer`` if its receptive field can be changed without changing its output's size.

    Args:
        name: the layer's name in its model, for the message.
        layer: a stride-1 convolution whose padding keeps the size.
        even_kernels: whether the caller can treat even kernel sides.
        any_padding: whether the caller can treat reflect, replicate and circular padding.

    Raises:
        InputError: naming the layer and why it cannot be treated.
    """
    if not isinstance(layer, nn.Conv2d) or class_name(layer) not in WEIGHTS:
        raise InputError(
            f"layer {name!r} is a {type(layer).__name__}; only 2-d convolutions can be targets "
            f"({', '.join(sorted(key.rpartition('.')[2] for key in WEIGHTS))})"
        )
    reason = None
    if any(side != 1 for side in layer.stride):
        reason = f"has stride {tuple(layer.stride)}; only stride 1 is supported"
    elif all(side == 1 for side in layer.kernel_size):
        reason = "has a 1x1 kernel, which no dilation can spread"
    elif not even_kernels and any(side % 2 == 0 for side in layer.kernel_size):
        reason = f"has an even kernel {tuple(layer.kernel_size)}; this method needs odd kernel sides"
    elif not any_padding and layer.padding_mode != "zeros":
        reason = f"pads by {layer.padding_mode!r}; this method supports zero padding only"
    elif not keeps_size(layer):
        reason = (
            f"changes the map's size (padding {layer.padding}); pad by dilation (kernel - 1) / 2 to make it a target"
        )
    if reason:
        raise InputError(f"layer {name!r} {reason}")
    return layer


def keeps_size(layer: nn.Conv2d) -> bool:
    """Whether a stride-1 convolution's output is as large as its input."""
    if class_name(layer).endswith("Same") or class_name(layer) == _SMP_DYNAMIC_SAME or layer.padding == "same":
        return True
    span = [dilation * (side - 1) for dilation, side in zip(layer.dilation, layer.kernel_size, strict=True)]
    if isinstance(layer.padding, str):
        return False
    pads = [2 * pad for pad in layer.padding]
    static = getattr(layer, "static_padding", None)
    if isinstance(static, nn.ZeroPad2d):
        left, right, top, bottom = static.padding
        pads = [pads[0] + top + bottom, pads[1] + left + right]
    return pads == span


def effective_weight(layer: nn.Module, kind: str) -> Tensor:
    """The weight that a convolution of class ``kind`` applies with ``layer``'s parameters."""
    return WEIGHTS[kind](layer)


def with_dilation(layer: nn.Conv2d, rate: tuple[int, int]) -> nn.Conv2d:
    """A layer of the same class on the same parameters, dilated by ``rate`` and padded to keep the map's size."""
    changed = clone(layer)
    changed.dilation = rate
    if (
        class_name(layer) in (_TIMM_SAME, _SMP_DYNAMIC_SAME)
        or layer.padding == "same"
        or getattr(layer, "same_pad", False)
    ):
        return changed
    spans = [step * (side - 1) for step, side in zip(rate, layer.kernel_size, strict=True)]
    if isinstance(getattr(layer, "static_padding", None), nn.ZeroPad2d):
        assert isinstance(layer.padding, tuple)
        height, width = (span - 2 * pad for span, pad in zip(spans, layer.padding, strict=True))
        changed.static_padding = nn.ZeroPad2d((width // 2, width - width // 2, height // 2, height - height // 2))
        return changed
    changed.padding = (spans[0] // 2, spans[1] // 2)
    changed._reversed_padding_repeated_twice = [changed.padding[1]] * 2 + [changed.padding[0]] * 2
    return changed


def clone(layer: nn.Conv2d) -> nn.Conv2d:
    """A copy of ``layer`` that shares its parameters but none of its containers."""
    copied = type(layer).__new__(type(layer))
    nn.Module.__init__(copied)
    copied.__dict__.update(
        {key: value.copy() if isinstance(value, dict) else value for key, value in vars(layer).items()}
    )
    return copied


def plain_convolution(layer: nn.Module, weight: Tensor, bias: Tensor | None, dilation: tuple[int, int]) -> nn.Conv2d:
    """An ordinary ``nn.Conv2d`` with the given weight that keeps the map's size."""
    groups = weight.shape[0] if layer.groups == weight.shape[0] else layer.groups
    assert isinstance(groups, int)
    sides = (weight.shape[2], weight.shape[3])
    padding = (dilation[0] * (sides[0] // 2), dilation[1] * (sides[1] // 2))
    with torch.device("meta"):
        made = nn.Conv2d(
            weight.shape[1] * groups,
            weight.shape[0],
            sides,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bias is not None,
        )
    made.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone())
    return made.train(layer.training)
