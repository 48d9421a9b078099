from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
from transformers import SegformerConfig

from autorf.errors import InputError
from autorf.fields import receptive_field
from autorf.networks import ModelSpec, build
from autorf.networks.arguments import UNKNOWN, default_argument

UNET = "smp:Unet:resnet18"


@pytest.mark.parametrize(("depth", "side"), [(3, 211), (4, 611), (5, 1027)])
def test_the_depth_of_an_encoder_is_a_knob_of_the_receptive_field(depth: int, side: int) -> None:
    model = build(ModelSpec(name="smp:Unet:resnet34", args={"encoder_depth": depth})).eval()
    assert receptive_field(model, image_size=512).size == (side, side)


def test_a_shallower_encoder_keeps_the_decoders_channels_at_each_resolution_unless_they_are_given() -> None:
    def channels(**args: Any) -> list[int]:
        model = build(ModelSpec(name=UNET, args=args))
        assert isinstance(model, smp.Unet)
        return [block.conv1[0].out_channels for block in model.decoder.blocks]

    assert channels() == [256, 128, 64, 32, 16]
    assert channels(encoder_depth=3) == [64, 32, 16]
    assert channels(encoder_depth=3, decoder_channels=[8, 8, 4]) == [8, 8, 4]


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        (UNET, {"encoder_dept": 3}, r"model.args.encoder_dept: smp's Unet has no such .*did you mean encoder_depth"),
        (UNET, {"drop_path_rate": 0.1}, "drop_path_rate: smp's Unet has no such argument"),
        (UNET, {"classes": 3}, "model.args.classes: not an argument of a study: the data set's classes set it"),
        (UNET, {"encoder_weights": "imagenet"}, "model.pretrained and model.encoder_weights set them"),
        (UNET, {"encoder_depth": 9}, r"does not take \{'encoder_depth': 9\}: .*range \[1, 5\], got 9"),
        (UNET, {"decoder_channels": [8, 8]}, "you provide `decoder_channels` for 2 blocks"),
        ("smp:FPN:tu-test_resnet", {"drop_path_rat": 0.1}, "drop_path_rat: .*did you mean drop_path_rate"),
        ("smp:FPN:tu-test_resnet", {"decoder_dropot": 0.1}, "decoder_dropot: .*did you mean decoder_dropout"),
        ("timm:test_resnet", {"drop_path_rat": 0.1}, "drop_path_rat: .*did you mean drop_path_rate"),
        ("largefov:test_resnet", {"drop_path_rat": 0.1}, "drop_path_rat: .*did you mean drop_path_rate"),
        ("torchvision:fcn_resnet50", {"aux_los": True}, "aux_los: torchvision's fcn_resnet50 .*did you mean aux_loss"),
        ("torchvision:lraspp_mobilenet_v3_large", {"width": 3}, "width: .* has no such argument; it takes none"),
        ("paper:sac_resnet101", {"depth": 3}, "depth: paper:sac_resnet101 has no such argument; it takes none"),
    ],
)  # fmt: skip
def test_an_argument_that_the_constructor_lacks_is_one_line_with_near_names(
    name: str, args: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        build(ModelSpec(name=name, args=dict(args)), 3)


def test_arguments_reach_the_encoders_of_timm() -> None:
    for name in ("smp:FPN:tu-test_resnet", "largefov:test_resnet", "timm:test_resnet"):
        model = build(ModelSpec(name=name, args={"act_layer": "silu"}), 3)
        assert any(type(module).__name__ == "SiLU" for module in model.modules()), name


def test_arguments_are_keys_of_the_configuration_of_a_transformers_model(tmp_path: Path) -> None:
    small = SegformerConfig(depths=[1] * 4, hidden_sizes=[8] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8)
    small.save_pretrained(tmp_path)
    model = build(ModelSpec(name=f"hf:{tmp_path}", args={"decoder_hidden_size": 16}), 3)
    assert model.config.decoder_hidden_size == 16  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"decoder_hiden_size: .*did you mean decoder_hidden_size"):
        build(ModelSpec(name=f"hf:{tmp_path}", args={"decoder_hiden_size": 16}), 3)


def test_the_default_of_an_argument_is_the_constructors() -> None:
    spec = ModelSpec(name=UNET)
    assert (default_argument(spec, "encoder_depth"), default_argument(spec, "decoder_channels")[-1]) == (5, 16)
    assert default_argument(spec, "depth") is UNKNOWN
    assert default_argument(ModelSpec(name="timm:test_resnet"), "drop_path_rate") is UNKNOWN
