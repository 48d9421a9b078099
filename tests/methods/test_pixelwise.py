"""Both per-pixel methods in models of three libraries, from adapting to exporting."""

from functools import partial

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

from autorf.fields import receptive_field
from autorf.methods import PixelAdaptive, ScaleAdaptive
from autorf.methods.pixelwise import PixelwiseConv2d
from autorf.surgery import adapt, advance, describe, learned_values, parameter_groups
from autorf.testing.case import loss

IMAGE = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
MODELS = {
    "smp Unet": (
        partial(smp.Unet, "resnet18", encoder_weights=None, decoder_channels=(32, 16, 16, 8, 8)),
        r"encoder\.layer4\.(0\.conv2|1\.conv.)",
    ),
    "torchvision deeplabv3": (
        partial(deeplabv3_mobilenet_v3_large, weights=None, weights_backbone=None),
        r"backbone\.1[345]\.block\.1\.0",
    ),
    "timm classifier": (partial(timm.create_model, "resnet10t", num_classes=5), r"layer[34]\.0\.conv2"),
}
METHODS = {
    "scale": ScaleAdaptive,
    "shared scale": partial(ScaleAdaptive, share="stage"),
    "markov": PixelAdaptive,
    "gated": partial(PixelAdaptive, aggregation="gated"),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_a_training_step_of_any_library_moves_the_map_and_the_weights(model: str, method: str) -> None:
    torch.manual_seed(0)
    make, targets = MODELS[model]
    network = make()
    before = {id(parameter) for parameter in network.parameters()}
    adapt(network, METHODS[method](targets=targets), example_input=IMAGE)
    layers = {name: module for name, module in network.named_modules() if isinstance(module, PixelwiseConv2d)}
    optimizer = torch.optim.AdamW(parameter_groups(network, lr=1e-3))
    own = [parameter for parameter in network.parameters() if id(parameter) not in before]
    start = [parameter.detach().clone() for parameter in own]
    network.train()
    for step in range(2):
        advance(network, step, 2)
        optimizer.zero_grad()
        loss(network(IMAGE)).backward()
        optimizer.step()
    assert all(not torch.equal(one, other) for one, other in zip(own, start, strict=True))
    assert {change.name for change in describe(network).changes} == set(layers)
    assert all(module.last_map is not None and len(module.last_map) == 2 for module in layers.values())
    spread = learned_values(network)["scale_std" if "scale" in method else "dilation_variance"]
    assert spread > 0


@pytest.mark.parametrize("method", ["shared scale", "markov"])
def test_the_receptive_field_of_an_adapted_library_model_grows_with_the_map(method: str) -> None:
    make, targets = MODELS["smp Unet"]
    plain = make()
    network = adapt(make(), METHODS[method](targets=targets))
    size = receptive_field(plain, (96, 96)).size
    assert receptive_field(network, (96, 96)).size == size
    for module in network.modules():
        if isinstance(module, PixelwiseConv2d):
            # Twice the reach: the scale, or the share of pixels that choose dilation 2.
            module.map_state[:] = torch.tensor([2.0, 0, 2, 2] if method == "shared scale" else [2.0, 0, 0, 1, 0])
    assert receptive_field(network, (96, 96)).size[0] == size[0] + 3 * 2 * 32


@pytest.mark.parametrize("method", METHODS)
def test_an_adapted_model_under_way_can_be_exported(method: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)).eval()
    adapt(network, METHODS[method](targets=("0", "2")))
    advance(network, 1, 2)
    expected = network(IMAGE)
    values = learned_values(network)
    with torch.no_grad():
        exported = torch.export.export(network, (IMAGE,)).module()
    torch.testing.assert_close(exported(IMAGE), expected, rtol=0, atol=1e-5)
    assert learned_values(network) == values


@pytest.mark.parametrize("method", [ScaleAdaptive, partial(PixelAdaptive, rates=(1, 2, 4))])
def test_an_evaluation_of_several_batches_is_described_as_one_of_all_their_images(method) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=2, dilation=2))
    adapt(model, method(targets=["0"], sigma=0.5))
    advance(model, 1, 2)
    images = torch.randn(5, 3, 12, 10) * torch.arange(1.0, 6).view(-1, 1, 1, 1)
    model.eval()
    model(images)
    whole = learned_values(model)
    for parts in ((1, 4), (2, 2, 1)):
        model.eval()
        for part in images.split(parts):
            model(part)
        assert learned_values(model) == pytest.approx(whole, rel=1e-5)
    model.train()
    model(images[:1])
    model(images[4:])
    last = learned_values(model)
    model.eval()
    model(images[4:])
    assert last == pytest.approx(learned_values(model), rel=1e-5)
