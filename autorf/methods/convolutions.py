"""The convolutions that segmentation libraries use: which can be changed, how each forms its weight and padding."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from autorf.errors import InputError, a_type


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


PLAIN = "torch.nn.modules.conv.Conv2d"
_TIMM_SAME = "timm.layers.conv2d_same.Conv2dSame"
_SMP_STATIC_SAME = "segmentation_models_pytorch.encoders._efficientnet.Conv2dStaticSamePadding"
_SMP_DYNAMIC_SAME = "segmentation_models_pytorch.encoders._efficientnet.Conv2dDynamicSamePadding"

WEIGHTS: dict[str, Callable[[nn.Module], Tensor]] = {
    PLAIN: _plain_weight,
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
    name: str, layer: nn.Module, *, even_kernels: bool = False, any_padding: bool = False, stride_2: bool = False
) -> nn.Conv2d:
    """Return ``layer`` if its receptive field can be changed without changing its output's size.

    Args:
        name: the layer's name in its model, for the message.
        layer: a stride-1 convolution whose padding keeps the size; or one of stride 2 that gives every second position
            of such a one, counted from the first.
        even_kernels: whether the caller can treat even kernel sides.
        any_padding: whether the caller can treat reflect, replicate and circular padding.
        stride_2: whether the caller can treat stride 2.

    Raises:
        InputError: naming the layer and why it cannot be treated.
    """
    if not isinstance(layer, nn.Conv2d):
        raise InputError(
            f"layer {name!r} is {a_type(layer)}; only 2-d convolutions can be targets{_inside(name, layer)}"
        )
    if class_name(layer) not in WEIGHTS:
        supported = ", ".join(sorted(key.rpartition(".")[2] for key in WEIGHTS))
        raise InputError(
            f"layer {name!r} is a {class_name(layer)}, whose weight and padding are unknown here; known are {supported}"
        )
    obstacle = _replaced_forward(layer) or _stride_obstacle(layer, stride_2)
    if reason := obstacle or _obstacle(layer, even_kernels, any_padding):
        raise InputError(f"layer {name!r} {reason}")
    return layer


def _inside(name: str, layer: nn.Module) -> str:
    convolutions = [f"{name}.{inner}" for inner, module in layer.named_modules() if isinstance(module, nn.Conv2d)]
    return f"; inside it are {', '.join(convolutions[:3])}" if convolutions else ""


def _replaced_forward(layer: nn.Module) -> str | None:
    if "forward" not in vars(layer):
        return None
    # The replacement's own forward would go the old layer's way, or without what was put there.
    return (
        "has had its forward replaced on the instance, as hooks that offload weights, adapters and profilers do; take "
        "that off (accelerate: remove_hook_from_module), adapt, then put it on again"
    )


def _stride_obstacle(layer: nn.Conv2d, stride_2: bool) -> str | None:
    if tuple(layer.stride) == (1, 1):
        return None
    if tuple(layer.stride) != (2, 2) or not stride_2:
        return f"has stride {tuple(layer.stride)}; only stride 1{' or 2' if stride_2 else ''} is supported"
    static = getattr(layer, "static_padding", None)
    left, right, top, bottom = static.padding if isinstance(static, nn.ZeroPad2d) else (0, 0, 0, 0)
    if pads_itself(layer) or (left, top) != (right, bottom):
        # Which of two positions it keeps then depends on the image's size.
        return "has stride 2 and pads one side more than the other; only equal padding is supported there"
    return None


def _obstacle(layer: nn.Conv2d, even_kernels: bool, any_padding: bool) -> str | None:
    if all(taps == 1 for taps in layer.kernel_size):
        return "has a 1x1 kernel, which no dilation can spread"
    if not even_kernels and any(taps % 2 == 0 for taps in layer.kernel_size):
        return f"has an even kernel {tuple(layer.kernel_size)}; this method needs odd kernel sides"
    if not any_padding and layer.padding_mode != "zeros":
        return f"pads by {layer.padding_mode!r}; this method supports zero padding only"
    if layer._parameters.get("weight") is None:
        return "has no weight parameter of its own (weight_norm or spectral_norm); remove that first"
    if not keeps_size(layer):
        return f"changes the map's size (padding {layer.padding}); pad by dilation (kernel - 1) / 2 to make it a target"
    return None


def pads_itself(layer: nn.Conv2d) -> bool:
    """Whether the layer computes its padding anew at every call, from its kernel and dilation."""
    return class_name(layer) in (_TIMM_SAME, _SMP_DYNAMIC_SAME) or bool(getattr(layer, "same_pad", False))


def keeps_size(layer: nn.Conv2d) -> bool:
    """Whether a convolution's output is as large as its input, or would be at stride 1."""
    if pads_itself(layer) or layer.padding == "same":
        return True
    if isinstance(layer.padding, str):
        return False
    static = getattr(layer, "static_padding", None)
    left, right, top, bottom = static.padding if isinstance(static, nn.ZeroPad2d) else (0, 0, 0, 0)
    padded = [2 * layer.padding[0] + top + bottom, 2 * layer.padding[1] + left + right]
    return padded == _spans(layer, (layer.dilation[0], layer.dilation[1]))


def _spans(layer: nn.Conv2d, dilation: tuple[int, int]) -> list[int]:
    """How many pixels of padding, both sides together, keep the map's height and width."""
    return [rate * (taps - 1) for rate, taps in zip(dilation, layer.kernel_size, strict=True)]


def effective_weight(layer: nn.Module, kind: str) -> Tensor:
    """The weight that a convolution of class ``kind`` applies with ``layer``'s parameters."""
    return WEIGHTS[kind](layer)


def with_dilation(name: str, layer: nn.Conv2d, rate: tuple[int, int]) -> nn.Conv2d:
    """A layer of the same class on the same parameters, dilated by ``rate`` and padded to keep the map's size.

    Args:
        name: the layer's name, for the message.
        layer: a convolution that :func:`check_convolution` accepts.
        rate: the dilation of both axes.

    Raises:
        InputError: when an even kernel would need an odd number of padded pixels, which its class cannot pad.
    """
    changed = clone(layer)
    changed.dilation = rate
    if pads_itself(layer):
        return changed
    height, width = _spans(layer, rate)
    before, after = (width // 2, height // 2), (width - width // 2, height - height // 2)
    if isinstance(getattr(layer, "static_padding", None), nn.ZeroPad2d):
        changed.padding = (0, 0)
        changed.static_padding = nn.ZeroPad2d((before[0], after[0], before[1], after[1]))
        return changed
    if layer.padding != "same":
        if before != after:
            raise InputError(
                f"layer {name!r} has an even kernel {tuple(layer.kernel_size)}, which at dilation {max(rate)} needs "
                "more padding on one side than on the other; choose an even dilation or a layer with padding='same'"
            )
        changed.padding = before[::-1]
    changed._reversed_padding_repeated_twice = [before[0], after[0], before[1], after[1]]
    return changed


def clone(layer: nn.Conv2d) -> nn.Conv2d:
    """A copy of ``layer`` that shares its parameters but none of its containers."""
    copied = type(layer).__new__(type(layer))
    nn.Module.__init__(copied)
    containers = (dict, set)
    copied.__dict__.update(
        {key: value.copy() if isinstance(value, containers) else value for key, value in vars(layer).items()}
    )
    return copied


def plain_convolution(layer: nn.Module, weight: Tensor, bias: Tensor | None, dilation: tuple[int, int]) -> nn.Conv2d:
    """An ordinary ``nn.Conv2d`` with a copy of the given weight and odd kernel sides that keeps the map's size."""
    groups = layer.groups
    assert isinstance(groups, int)
    sides = (weight.shape[2], weight.shape[3])
    padding = (dilation[0] * (sides[0] // 2), dilation[1] * (sides[1] // 2))
    channels = (weight.shape[1] * groups, weight.shape[0])
    convolution = nn.Conv2d(
        *channels, sides, padding=padding, dilation=dilation, groups=groups, bias=bias is not None, device="meta"
    )
    convolution.weight = nn.Parameter(weight.detach().clone(), requires_grad=weight.requires_grad)
    if bias is not None:
        convolution.bias = nn.Parameter(bias.detach().clone(), requires_grad=bias.requires_grad)
    return convolution.train(layer.training)
