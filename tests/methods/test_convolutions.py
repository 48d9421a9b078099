"""Convolutions of every class that segmentation libraries use: dilated like a plain loop over taps, or refused."""

import pytest
import torch
from segmentation_models_pytorch.encoders._efficientnet import Conv2dDynamicSamePadding, Conv2dStaticSamePadding
from timm.layers import ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from timm.layers.conv2d_same import Conv2dSame, Conv2dSameExport
from torch import nn
from torch.nn import functional

from autorf.errors import InputError
from autorf.methods.convolutions import check_convolution, keeps_size, plain_convolution, with_dilation
from autorf.methods.modules import AdaptiveConv2d

LAYERS = {
    "plain": lambda: nn.Conv2d(4, 6, 3, padding=1),
    "without bias": lambda: nn.Conv2d(4, 6, 3, padding=1, bias=False),
    "already dilated": lambda: nn.Conv2d(4, 6, 3, padding=4, dilation=4),
    "5x5": lambda: nn.Conv2d(4, 6, 5, padding=2),
    "1x5": lambda: nn.Conv2d(4, 6, (1, 5), padding=(0, 2)),
    "anisotropic dilation": lambda: nn.Conv2d(4, 6, 3, padding=(1, 2), dilation=(1, 2)),
    "grouped": lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2),
    "depthwise": lambda: nn.Conv2d(4, 4, 3, padding=1, groups=4),
    "padding same": lambda: nn.Conv2d(4, 6, 3, padding="same"),
    "reflect": lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
    "replicate": lambda: nn.Conv2d(4, 6, 5, padding=2, padding_mode="replicate"),
    "circular": lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"),
    "padding same, circular": lambda: nn.Conv2d(4, 6, 3, padding="same", padding_mode="circular"),
    "padding same, even, reflect": lambda: nn.Conv2d(4, 6, 4, padding="same", padding_mode="reflect"),
    "timm same": lambda: Conv2dSame(4, 6, 3),
    "timm same, even": lambda: Conv2dSame(4, 6, 4),
    "timm same, depthwise": lambda: Conv2dSame(4, 4, 5, groups=4, bias=False),
    "standardised": lambda: StdConv2d(4, 6, 3),
    "standardised same": lambda: StdConv2dSame(4, 6, 3),
    "standardised same, even": lambda: StdConv2dSame(4, 6, 4),
    "scaled standardised": lambda: ScaledStdConv2d(4, 6, 3, groups=2, gamma=1.7),
    "scaled standardised same": lambda: ScaledStdConv2dSame(4, 6, 3),
    "scaled standardised same, even": lambda: ScaledStdConv2dSame(4, 6, 4),
    "smp static same": lambda: Conv2dStaticSamePadding(4, 6, 3, image_size=20),
    "smp static same, even": lambda: Conv2dStaticSamePadding(4, 6, 4, image_size=20),
    "smp static same, depthwise": lambda: Conv2dStaticSamePadding(4, 4, 5, image_size=20, groups=4, bias=False),
    "smp static same, undone as by smp's dilated encoders": lambda: _undone_static_padding(),
    "smp dynamic same": lambda: Conv2dDynamicSamePadding(4, 6, 3),
}


def _undone_static_padding():
    layer = Conv2dStaticSamePadding(4, 6, 3, image_size=20)
    layer.dilation, layer.padding, layer.static_padding = (2, 2), (2, 2), nn.Identity()
    return layer


def naive_dilated(layer, input, rate):
    """Every tap in turn, on a map padded as the layer pads: half the span before, the rest after."""
    weight = AdaptiveConv2d.kernel(_Kernel(layer))
    sides = weight.shape[2:]
    before = [rate * (side - 1) // 2 for side in sides]
    after = [rate * (side - 1) - pad for side, pad in zip(sides, before, strict=True)]
    mode = {"zeros": "constant"}.get(layer.padding_mode, layer.padding_mode)
    padded = functional.pad(input, (before[1], after[1], before[0], after[0]), mode=mode)
    height, width = input.shape[2:]
    output = 0
    for row in range(sides[0]):
        for column in range(sides[1]):
            seen = padded[:, :, row * rate : row * rate + height, column * rate : column * rate + width]
            output = output + functional.conv2d(
                seen, weight[:, :, row : row + 1, column : column + 1], groups=layer.groups
            )
    return output if layer.bias is None else output + layer.bias.view(1, -1, 1, 1)


class _Kernel(AdaptiveConv2d):
    def receptive_field_form(self):
        raise NotImplementedError


def _random(layer):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    return layer.double().eval()


@pytest.mark.parametrize("rate", [1, 2, 3])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_dilated_layer_is_a_plain_loop_over_taps(kind, rate):
    layer = _random(LAYERS[kind]())
    input = torch.randn(2, 4, 19, 23, dtype=torch.float64)
    changed = with_dilation(
        "layer", check_convolution("layer", layer, even_kernels=True, any_padding=True), (rate, rate)
    )
    torch.testing.assert_close(changed(input), naive_dilated(layer, input, rate), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", LAYERS)
def test_setting_the_dilation_a_layer_has_changes_nothing(kind):
    layer = _random(LAYERS[kind]())
    input = torch.randn(1, 4, 19, 23, dtype=torch.float64)
    assert torch.equal(with_dilation("layer", layer, layer.dilation)(input), layer(input))


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_is_not_changed_by_making_its_dilated_twin(kind):
    layer = _random(LAYERS[kind]())
    input = torch.randn(1, 4, 19, 23, dtype=torch.float64)
    before, attributes = layer(input), {key: repr(value) for key, value in vars(layer).items()}
    changed = with_dilation("layer", layer, (2, 2))
    assert torch.equal(layer(input), before)
    assert {key: repr(value) for key, value in vars(layer).items()} == attributes
    assert all(changed.get_parameter(name) is value for name, value in layer.named_parameters())
    assert list(changed.state_dict()) == list(layer.state_dict())


ODD_AND_ZERO_PADDED = [
    kind for kind in LAYERS if not any(w in kind for w in ("even", "reflect", "replicate", "circular"))
]


@pytest.mark.parametrize("kind", ODD_AND_ZERO_PADDED)
def test_an_adaptive_convolution_uses_the_kernel_of_the_layer_and_its_plain_form_its_output(kind):
    layer = _random(LAYERS[kind]())
    input = torch.randn(1, 4, 19, 23, dtype=torch.float64)
    adaptive = _Kernel(check_convolution("layer", layer))
    plain = plain_convolution(adaptive, adaptive.kernel(), adaptive.bias, adaptive.dilation)
    assert type(plain) is nn.Conv2d
    assert torch.equal(plain(input), layer(input))


def test_a_plain_form_keeps_frozen_parameters_frozen():
    layer = nn.Conv2d(4, 6, 3, padding=1).requires_grad_(False)
    adaptive = _Kernel(layer)
    plain = plain_convolution(adaptive, adaptive.kernel(), adaptive.bias, (2, 2))
    assert [parameter.requires_grad for parameter in plain.parameters()] == [False, False]


def test_an_even_kernel_padded_alike_on_both_sides_takes_even_dilations_only():
    layer = nn.Conv2d(4, 6, 4, padding=3, dilation=2)
    input = torch.randn(1, 4, 19, 23)
    assert with_dilation("layer", layer, (4, 4))(input).shape[2:] == (19, 23)
    with pytest.raises(
        InputError, match=r"layer 'layer' has an even kernel .4, 4., which at dilation 3 needs more padding"
    ):
        with_dilation("layer", layer, (3, 3))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_an_even_kernel_with_padding_same_takes_odd_dilations_too():
    layer = _random(nn.Conv2d(4, 6, 4, padding="same"))
    input = torch.randn(1, 4, 19, 23, dtype=torch.float64)
    torch.testing.assert_close(with_dilation("layer", layer, (3, 3))(input), naive_dilated(layer, input, 3))


def test_standardised_same_layers_that_pad_statically_are_not_taken_for_dynamic_ones():
    assert keeps_size(StdConv2dSame(4, 6, 3))
    assert not keeps_size(StdConv2dSame(4, 6, 3, padding="valid"))
    assert not keeps_size(ScaledStdConv2dSame(4, 6, 3, padding="valid"))


class _Own(nn.Conv2d):
    def forward(self, input):
        return super().forward(input) * 2


REFUSED = {
    "is a Linear; only 2-d convolutions can be targets": lambda: nn.Linear(4, 6),
    "is a Sequential; only 2-d convolutions can be targets; inside it are layer.0, layer.2$": lambda: nn.Sequential(
        nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3)
    ),
    "is a ConvTranspose2d": lambda: nn.ConvTranspose2d(4, 6, 3, padding=1),
    "is a timm.layers.conv2d_same.Conv2dSameExport, whose weight and padding are unknown": lambda: Conv2dSameExport(
        4, 6, 3
    ),
    "_Own, whose weight and padding are unknown here; known are Conv2d, ": lambda: _Own(4, 6, 3, padding=1),
    "ParametrizedConv2d, whose weight": lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 6, 3, padding=1)),
    "no weight parameter of its own": lambda: nn.utils.spectral_norm(nn.Conv2d(4, 6, 3, padding=1)),
    "has stride .2, 2.; only stride 1": lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1),
    r"has stride .2, 1.": lambda: nn.Conv2d(4, 6, 3, stride=(2, 1), padding=1),
    "has stride .2, 2.": lambda: Conv2dSame(4, 6, 3, stride=2),
    "1x1 kernel, which no dilation can spread": lambda: nn.Conv2d(4, 6, 1),
    r"changes the map's size .padding .0, 0..": lambda: nn.Conv2d(4, 6, 3),
    r"changes the map's size .padding .2, 2..": lambda: nn.Conv2d(4, 6, 3, padding=2),
    r"changes the map's size .padding valid.": lambda: nn.Conv2d(4, 6, 3, padding="valid"),
    "has an even kernel .4, 4.; this method needs odd": lambda: Conv2dSame(4, 6, 4),
    "pads by 'reflect'; this method supports zero": lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_layer_that_cannot_be_treated_is_refused_by_name_with_the_reason(reason):
    with pytest.raises(InputError, match=f"^layer 'layer' .*{reason}"):
        check_convolution("layer", REFUSED[reason]())
