"""The contract of adapting a model, over families of models and methods; and that each check can fail."""

from functools import partial

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn
from torch.nn import functional
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from autorf.methods import Dilation, Inflation, LearnedDilation, PixelAdaptive, ScaleAdaptive
from autorf.methods.base import LayerMethod
from autorf.methods.convolutions import plain_convolution
from autorf.methods.modules import AdaptiveConv2d, LearningRule
from autorf.networks import build
from autorf.testing.contract import CHECKS, Case, check_method, check_new_process

IMAGE = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
UNET = partial(smp.Unet, "resnet18", encoder_weights=None, decoder_channels=(32, 16, 16, 8, 8))
RESNET = partial(timm.create_model, "test_resnet")
LAST_BLOCK = r"encoder\.layer4\.1\.conv\d"

WHOLE = {
    "dilation of an smp resnet18 Unet": (UNET, Dilation(targets=LAST_BLOCK, rate=2)),
    "learned dilation of an smp resnet18 Unet": (UNET, LearnedDilation(targets=LAST_BLOCK, shared=True)),
    "inflation of largefov": (partial(build, "largefov:test_byobnet", 5), Inflation()),
    "a shared scale of a timm resnet": (RESNET, ScaleAdaptive(targets=r"layer1\.0\.conv\d", share="stage")),
    "gated dilations of a timm resnet": (RESNET, PixelAdaptive(targets=r"layer1\.0\.conv\d", aggregation="gated")),
}

NFNET, CONVNEXT = partial(timm.create_model, "test_nfnet"), partial(timm.create_model, "test_convnext")
EFFICIENTNET = partial(smp.FPN, "efficientnet-b0", encoder_weights=None, encoder_depth=4, decoder_pyramid_channels=32)
MOBILENET = partial(smp.FPN, "mobilenet_v2", encoder_weights=None, decoder_pyramid_channels=32)
LRASPP = partial(lraspp_mobilenet_v3_large, weights=None, weights_backbone=None)

SPREAD = {
    "learned dilation of largefov": (partial(build, "largefov:test_byobnet", 5), LearnedDilation()),
    "searched inflation of largefov": (partial(build, "largefov:test_byobnet", 5), Inflation(search=0.2)),
    "inflation of an smp resnet18 Unet": (UNET, Inflation(start="encoder.layer4.1", end="encoder.layer4.1")),
    "dilation of scaled standardised convolutions": (NFNET, Dilation(targets=(".conv2b",), rate=3)),
    "learned dilation of scaled standardised convolutions": (NFNET, LearnedDilation(targets=(".conv2b",))),
    "learned dilation of 7x7 depthwise convolutions": (CONVNEXT, LearnedDilation(targets=r"stages\.3.*conv_dw")),
    "inflation of a convnext block": (CONVNEXT, Inflation(start="stages.3.blocks.0", end="stages.3.blocks.0")),
    "learned dilation of a timm resnet": (RESNET, LearnedDilation(targets=("layer4.0.conv2",), start=4.0)),
    "dilation of smp's static same padding": (EFFICIENTNET, Dilation(targets=r".*_blocks\.7\._depthwise_conv", rate=2)),
    "learned dilation of smp's static same padding": (
        EFFICIENTNET,
        LearnedDilation(targets=r".*_blocks\.7\._depthwise_conv"),
    ),
    "learned dilation of mobilenet_v2's depthwise layers": (
        MOBILENET,
        LearnedDilation(targets=r"encoder\.features\.1[56]\.conv\.1\.0"),
    ),
    "learned dilation of torchvision's lraspp": (LRASPP, LearnedDilation(targets=r"backbone\.15\.block\.1\.0")),
    "a scale of scaled standardised convolutions": (NFNET, ScaleAdaptive(targets=(".conv2b",))),
    "a scale of 7x7 depthwise convolutions": (
        CONVNEXT,
        ScaleAdaptive(targets=r"stages\.3.*conv_dw", share="stage", high=1.5),
    ),
    "expected dilations of mobilenet_v2's depthwise layers": (
        MOBILENET,
        PixelAdaptive(targets=r"encoder\.features\.1[56]\.conv\.1\.0", evaluation="expected"),
    ),
}
LIGHT = [name for name in CHECKS if name not in ("compile", "export", "torch.save", "pickle", "parameter groups")]


@pytest.fixture(scope="module")
def cases():
    return {name: Case(make, method, IMAGE) for name, (make, method) in {**WHOLE, **SPREAD}.items()}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("case", WHOLE)
def test_every_method_keeps_the_whole_contract(cases, case, check):
    CHECKS[check](cases[case])


@pytest.mark.parametrize("check", LIGHT)
@pytest.mark.parametrize("case", SPREAD)
def test_the_contract_holds_for_other_families_of_models(cases, case, check):
    CHECKS[check](cases[case])


def test_a_saved_model_gives_the_same_output_in_a_new_process(cases):
    check_new_process(cases["learned dilation of an smp resnet18 Unet"])


class Broken(LayerMethod):
    """A learned gain on a convolution, broken in one way."""

    method: str = "broken"
    way: str = "not at all"

    def replacements(self, layers):
        return {name: Gain(layer, self.way) for name, layer in layers.items()}


class Gain(AdaptiveConv2d):
    own = ("gain",)

    def __init__(self, layer, way):
        super().__init__(layer)
        self.way = way
        if way == "copies the weight":
            self.weight = nn.Parameter(layer.weight.detach().clone())
        if way == "loses the bias":
            self.bias = None
        self.gain = nn.Parameter(torch.full((1,), 1.5 if way == "starts elsewhere" else 1.0))
        if way == "keeps what it learned out of the state":
            self.own, self.hidden = (), [self.gain]
            del self.gain
        if way == "wants its key in every checkpoint":
            self.own = ()

    def _gain(self):
        return self.hidden[0] if hasattr(self, "hidden") else self.gain

    def forward(self, input):
        gain = self._gain().detach() if self.way == "cuts the gradient" else self._gain()
        output = functional.conv2d(input, self.kernel(), self.bias, padding=1, groups=self.groups)
        output = output * gain.to(output.dtype)
        fixed = {"ignores autocast": torch.float64, "stays in float32": torch.float32}
        return output.to(fixed.get(self.way, output.dtype))

    def learning_rules(self):
        return [LearningRule((self._gain(),))] if self.way != "has no group" else []

    def receptive_field_form(self):
        return self.forward

    def frozen(self):
        factor = 1 if self.way == "freezes to another layer" else self._gain()
        bias = None if self.bias is None else self.bias * factor
        return plain_convolution(self, self.kernel() * factor, bias, (1, 1))


def _small():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))


def _broken_case(way):
    return Case(_small, Broken(targets=("3",), way=way), IMAGE)


@pytest.fixture
def _registered(monkeypatch):
    monkeypatch.setitem(__import__("autorf.methods", fromlist=["METHODS"]).METHODS, "broken", Broken)


@pytest.mark.usefixtures("_registered")
def test_a_third_party_method_that_keeps_its_promises_passes():
    check_method(_small, Broken(targets=("3",)), IMAGE)


@pytest.mark.usefixtures("_registered")
@pytest.mark.parametrize(
    ("way", "check", "words"),
    [
        ("starts elsewhere", "identity", "the output at the start, training=False differs"),
        ("copies the weight", "original state", "the parameter 3.weight was exchanged"),
        ("loses the bias", "original state", "a key of the original state is gone"),
        ("wants its key in every checkpoint", "original checkpoint", "Missing key"),
        ("cuts the gradient", "gradients", "no gradient reaches 3.gain"),
        ("keeps what it learned out of the state", "parameter groups", "a parameter is in no group or in two"),
        ("keeps what it learned out of the state", "state_dict", "the output with the loaded state differs"),
        ("keeps what it learned out of the state", "save and load", "the output of the loaded model differs"),
        ("freezes to another layer", "freeze", "the plain form of '3' differs by"),
        ("stays in float32", "double", "the output has type torch.float32"),
        ("ignores autocast", "autocast", "the output has type torch.float64 under autocast"),
    ],
)
def test_a_broken_promise_is_found(way, check, words):
    case = _broken_case(way)
    if way == "keeps what it learned out of the state":
        object.__setattr__(case, "trained", lambda progress=0.2: _moved(case))
    with pytest.raises((AssertionError, RuntimeError, ValueError), match=words):
        CHECKS[check](case)


def _moved(case):
    model = case.adapted()
    with torch.no_grad():
        model[3]._gain().fill_(1.25)
    return model
