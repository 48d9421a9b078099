"""The engine agrees with gradient probing; and the probe itself is right where the answer is known."""

from collections.abc import Callable
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import timm
import torchvision
from torch import Tensor, nn

from autorf.errors import InputError
from autorf.fields import receptive_field
from autorf.testing.probe import probe, probed_size


def feature_map(name: str, **options: Any) -> nn.Module:
    return timm.create_model(name, pretrained=False, features_only=True, out_indices=(-1,), **options)


def unet(architecture: str, encoder: str, **options: Any) -> nn.Module:
    """A segmentation network of three stages: the same structure as the full one, an eighth of the probing."""
    channels = {} if architecture in ("FPN", "PSPNet") else {"decoder_channels": (64, 32, 16)}
    return getattr(smp, architecture)(encoder, encoder_weights=None, encoder_depth=3, **channels, **options)


def torchvision_network(name: str) -> nn.Module:
    return getattr(torchvision.models.segmentation, name)(weights=None, weights_backbone=None)


FEATURES = (
    "resnet18",
    "mobilenetv2_050",
    "mobilenetv3_small_050",
    "regnety_002",
    "convnext_atto",
    "vgg11",
    "nf_resnet26",
    "repvgg_a0",
    "eca_resnet33ts",
    "pvt_v2_b0",
    "poolformer_s12",
    "ghostnet_050",
)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    **{f"timm:{name}": lambda name=name: feature_map(name) for name in FEATURES},
    "timm:efficientnet_lite0 at stride 16": lambda: feature_map("efficientnet_lite0", output_stride=16),
    "timm:resnet18 at stride 8": lambda: feature_map("resnet18", output_stride=8),
    "smp:Unet:resnet18": lambda: unet("Unet", "resnet18"),
    "smp:UnetPlusPlus:mobilenet_v2": lambda: unet("UnetPlusPlus", "mobilenet_v2"),
    "smp:MAnet:resnet18": lambda: unet("MAnet", "resnet18"),
    "smp:FPN:resnet18": lambda: unet("FPN", "resnet18"),
    "smp:PSPNet:resnet18": lambda: unet("PSPNet", "resnet18"),
    "smp:Linknet:resnet18": lambda: smp.Linknet("resnet18", encoder_weights=None, encoder_depth=3),
    "smp:DeepLabV3Plus:mobilenet_v2 at stride 8": lambda: smp.DeepLabV3Plus(
        "mobilenet_v2", encoder_weights=None, encoder_output_stride=8, decoder_atrous_rates=(2, 4, 6)
    ),
    "torchvision:lraspp_mobilenet_v3_large": lambda: torchvision_network("lraspp_mobilenet_v3_large"),
}
PERIODS = {"timm": 32, "smp": 8, "torchvision": 16}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_engine_agrees_with_the_probe_on_both_axes(name: str) -> None:
    model = NETWORKS[name]().eval()
    probed = tuple(probed_size(model, axis, period=PERIODS[name.split(":")[0]]) for axis in (0, 1))
    assert receptive_field(model, 128).size == probed


def test_the_probe_finds_an_anisotropic_field() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, (3, 5), stride=(2, 1)), nn.ReLU(), nn.MaxPool2d((1, 3), stride=1))
    assert [probed_size(model, axis, width=16, period=2, start=64) for axis in (0, 1)] == [3, 7]


def test_the_probe_sees_every_output_position_and_its_first_and_last_row() -> None:
    found = probe(nn.Conv2d(3, 1, 4, stride=4), 0, length=64, width=8, period=8)
    assert found.positions == (7, 8)
    assert (found.first, found.last, found.size) == ((28, 32), (31, 35), 4)


def test_a_gate_that_pools_the_whole_image_is_no_part_of_the_field() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 3, 5)

        def forward(self, x: Tensor) -> Tensor:
            y = self.convolution(x)
            return y * y.mean((2, 3), keepdim=True).sigmoid()

    assert probed_size(Gated(), 0, start=128) == 5


def test_weights_whose_sum_cancels_hide_nothing() -> None:
    model = nn.Conv2d(1, 1, 3, bias=False)
    nn.init.zeros_(model.weight)
    assert probed_size(model, 0, start=64, in_channels=1) == 3
    assert not model.weight.any(), "the model itself is left alone"


def test_a_field_as_large_as_the_image_asks_for_a_larger_one() -> None:
    model = nn.Sequential(*(nn.Conv2d(3, 3, 3, dilation=8) for _ in range(4)))
    assert probe(model, 0, length=80, width=80).size is None
    with pytest.raises(InputError, match="does not fit into 80 pixels"):
        probed_size(model, 0, width=80, start=80, limit=80)


def test_an_output_without_rows_is_refused() -> None:
    with pytest.raises(InputError, match="expected a map"):
        probe(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 0, length=64)
