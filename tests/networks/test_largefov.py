import pytest
import torch
from torch import nn

from autorf.errors import InputError
from autorf.fields import receptive_field
from autorf.networks import ModelSpec, build
from autorf.specification import parse


def network(**fields: object) -> nn.Module:
    return build(parse(ModelSpec, {"name": "largefov:test_byobnet", "stage": 1, **fields}, "test"), 5)


@pytest.mark.parametrize("size", [(64, 64), (50, 71)])
@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("dilation", [1, 3])
def test_the_scores_are_as_large_as_the_image(size: tuple[int, int], kernel: int, dilation: int) -> None:
    model = network(kernel=kernel, dilation=dilation, channels=[8, 8]).eval()
    assert model(torch.randn(2, 3, *size)).shape == (2, 5, *size)


def test_the_head_is_batch_norm_conv6_conv7_output() -> None:
    model = network(kernel=4, dilation=2, channels=[8, 6])
    layers = dict(model.head.named_children())  # type: ignore[union-attr, operator]
    assert list(layers) == ["norm", "conv6", "relu6", "conv7", "relu7", "output"]
    assert isinstance(layers["norm"], nn.BatchNorm2d)
    assert [tuple(layers[name].kernel_size) for name in ("conv6", "conv7", "output")] == [(4, 4), (1, 1), (1, 1)]  # type: ignore[arg-type]
    assert layers["conv6"].dilation == (2, 2)
    assert layers["output"].out_channels == 5


def test_each_step_of_dilation_widens_the_field_by_twice_the_stride() -> None:
    sizes = [receptive_field(network(dilation=d), (96, 96)).size for d in (1, 2, 4, 8)]
    assert sizes == [(19, 19), (27, 27), (43, 43), (75, 75)]


def test_the_output_stride_of_a_backbone_can_be_limited() -> None:
    model = build(ModelSpec(name="largefov:resnet18", output_stride=8, channels=(8, 8)), 3).eval()
    assert model.backbone(torch.zeros(1, 3, 64, 64))[-1].shape[2:] == (8, 8)  # type: ignore[operator]


def test_batch_norm_in_the_head_is_optional() -> None:
    count = sum(isinstance(m, nn.BatchNorm2d) for m in network(head_norm=True).head.modules())  # type: ignore[union-attr, operator]
    assert count == 3


def test_a_stage_the_backbone_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match=r"stages 0\.\.\d+, got 7"):
        network(stage=7)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "resnet18"}, "a model is largefov:BACKBONE"),
        ({"name": "smp:Unet"}, "smp:ARCH:ENCODER"),
        ({"name": "largefov:x", "kernel": 2}, "model: |kernel"),
        ({"name": "largefov:x", "output_stride": 3}, "output_stride"),
    ],
)
def test_a_wrong_model_specification_is_named(fields: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse(ModelSpec, fields, "model")


@pytest.mark.parametrize("paths", [None, [[1], []]])
def test_a_backbone_whose_maps_have_their_channels_last(paths: list[list[int]] | None) -> None:
    spec = {"name": "largefov:mambaout_femto", "stage": 0, "channels": [8, 8], "paths": paths}
    model = build(parse(ModelSpec, spec, "test"), 5).eval()
    image = torch.randn(2, 3, 64, 96)
    assert model.backbone(image)[-1].shape == (2, 16, 24, 48)  # type: ignore[operator]
    assert model(image).shape == (2, 5, 64, 96)
    assert receptive_field(model, (64, 96)).size[0] > 8
