"""Checkpoints in the layouts that are published for pretrained networks, before and after every layer is adapted."""

from functools import partial

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from torch import nn

from autorf.errors import InputError
from autorf.methods import Dilation, LearnedDilation
from autorf.surgery import adapt

WITHOUT = {"weights": None, "weights_backbone": None}
MODELS = {
    "torchvision resnet18": torchvision.models.resnet18,
    "torchvision vgg16": partial(torchvision.models.vgg16, weights=None),
    "torchvision deeplabv3": partial(torchvision.models.segmentation.deeplabv3_resnet50, **WITHOUT),
    "torchvision lraspp": partial(torchvision.models.segmentation.lraspp_mobilenet_v3_large, **WITHOUT),
    "timm resnetv2 bit": partial(timm.create_model, "resnetv2_50x1_bit"),
    "timm nfnet": partial(timm.create_model, "dm_nfnet_f0"),
    "timm tensorflow efficientnet": partial(timm.create_model, "tf_efficientnet_b0"),
    "timm convnext": partial(timm.create_model, "convnext_atto"),
    "smp resnet34 Unet": partial(smp.Unet, "resnet34", encoder_weights=None),
    "smp efficientnet DeepLabV3Plus": partial(smp.DeepLabV3Plus, "efficientnet-b0", encoder_weights=None),
    "smp mobilenet_v2 FPN": partial(smp.FPN, "mobilenet_v2", encoder_weights=None),
    "smp densenet UnetPlusPlus": partial(smp.UnetPlusPlus, "densenet121", encoder_weights=None),
}
METHODS = {"learned dilation": LearnedDilation, "dilation": partial(Dilation, rate=2)}


def eligible(model, method):
    found = []
    for name, layer in model.named_modules():
        try:
            method(targets=(name,)).check_layer(name, layer)
        except InputError:
            continue
        found.append(name)
    return tuple(found)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_loads_before_and_after_every_eligible_layer_is_adapted(name, method):
    with torch.device("meta"):
        model = MODELS[name]()
    checkpoint = _numbered(model.state_dict())
    targets = eligible(model, METHODS[method])
    assert len(targets) >= 5
    adapt(model, METHODS[method](targets=targets))
    _same_after_loading(model, checkpoint)
    with torch.device("meta"):
        fresh = MODELS[name]()
    _same_after_loading(fresh, checkpoint)
    adapt(fresh, METHODS[method](targets=targets))
    _same(fresh, checkpoint)


def _numbered(state):
    """Every tensor filled with its own number, which takes no memory."""
    return {
        key: torch.full((), number, dtype=value.dtype).expand(value.shape)
        for number, (key, value) in enumerate(state.items())
    }


def _same_after_loading(model, checkpoint):
    model.load_state_dict(checkpoint, strict=True, assign=True)
    _same(model, checkpoint)


def _same(model, checkpoint):
    state = model.state_dict()
    for key, value in checkpoint.items():
        assert state[key].shape == value.shape, key
        assert state[key].flatten()[:1].tolist() == value.flatten()[:1].tolist(), key


def test_layers_that_are_not_eligible_are_strided_pointwise_or_no_convolution():
    with torch.device("meta"):
        model = MODELS["timm nfnet"]()
    targets = eligible(model, LearnedDilation)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d) and name not in targets:
            assert layer.kernel_size == (1, 1) or layer.stride == (2, 2), name
