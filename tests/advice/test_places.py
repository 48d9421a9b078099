from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import SegformerConfig

import autorf
from autorf.advice.places import advised_place
from autorf.fields import receptive_field
from autorf.networks import ModelSpec, build

SIX = (
    "smp:Unet:resnet18",
    "smp:FPN:tu-resnet10t",
    "smp:DeepLabV3Plus:mobilenet_v2",
    "smp:PSPNet:resnet18",
    "torchvision:lraspp_mobilenet_v3_large",
    "hf:FOLDER",
)


@pytest.mark.parametrize("name", SIX)
def test_methods_without_targets_find_their_layers_and_region_in_models_of_libraries(name: str, tmp_path: Path) -> None:
    small = SegformerConfig(depths=[1] * 4, hidden_sizes=[8] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8)
    small.save_pretrained(tmp_path)
    spec = ModelSpec(name=name.replace("FOLDER", str(tmp_path)))
    place = advised_place(build(spec, 3).eval(), spec, (96, 96), region=True)
    placed = spec.model_copy(update={"places": (place,)})
    side = max(receptive_field(build(placed, 3).eval(), 96).size)
    for method in (autorf.Dilation(rate=2), autorf.Inflation(factor=2.0)):
        adapted = autorf.adapt(build(placed, 3).eval(), method)
        # A rate of 2 makes the field of DeepLab's pyramid smaller, whose rates are larger as built.
        assert max(receptive_field(adapted, 96).size) != side, method
        adapted(torch.rand(1, 3, 96, 96))


def test_a_region_is_a_part_of_the_network_at_one_stride_not_the_whole() -> None:
    spec = ModelSpec(name="smp:PSPNet:resnet18")
    place = advised_place(build(spec, 3).eval(), spec, (96, 96), region=True)
    assert place.region is not None
    assert place.region[0].startswith("encoder.layer2")


class Shortcut(nn.Module):
    """Everything goes around everything: no region has one entry and one exit."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        middle = self.first(image)
        return torch.cat([self.second(middle), middle, image], 1)


def test_a_region_of_one_layer_is_found_where_paths_cross_and_the_later_one_is_preferred() -> None:
    place = advised_place(Shortcut(), ModelSpec(name="timm:test_resnet"), (32, 32), region=True)
    assert place.targets == ("first", "second")
    assert place.region == ("second", "second")
