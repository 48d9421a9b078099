"""Plain layers again, proven equal."""

import pytest
import torch
from torch import nn

from autorf.errors import InputError
from autorf.methods import Dilation, Inflation, LearnedDilation
from autorf.methods.base import LayerMethod
from autorf.methods.convolutions import plain_convolution
from autorf.methods.inflation import ConstantRegion
from autorf.methods.modules import AdaptiveConv2d
from autorf.surgery import adapt, adaptations, advance, describe, freeze
from autorf.surgery.adaptation import adaptive_modules
from autorf.surgery.state_mark import MARK
from autorf.surgery.swap import region_at

from .conftest import everything


def _finished(model):
    """Learned dilations at 3 and a factor of 1.5, their training over."""
    adapt(model, LearnedDilation(targets=("first", "third"), shared=True), Inflation(start="second", end="second"))
    advance(model, 1, 100)
    model.first.mu = model.third.mu = 1.1
    with torch.no_grad():
        region_at(model.second).factor.fill_(1.5)
    advance(model, 100, 100)
    return model


def test_a_frozen_model_is_made_of_plain_layers_with_the_same_output(branching, image):
    before = _finished(branching)(image)
    frozen = freeze(branching, image)
    assert set(frozen.folded) == {"first", "third", "second.inflation"}
    assert frozen.left == {}
    assert torch.equal(branching(image), before)
    assert type(branching.first) is type(branching.third) is nn.Conv2d
    assert branching.first.dilation == branching.third.dilation == (3, 3)
    assert isinstance(region_at(branching.second), ConstantRegion)
    assert adaptive_modules(branching) == {}


def test_a_frozen_model_has_the_keys_of_the_original_one_and_its_mark(branching):
    keys = list(branching.state_dict())
    freeze(_finished(branching))
    assert [key for key in branching.state_dict() if key != MARK] == keys
    assert MARK in branching.state_dict()


def test_a_frozen_model_can_be_exported(branching, image):
    freeze(_finished(branching))
    exported = torch.export.export(branching, (image,)).module()
    torch.testing.assert_close(exported(image), branching(image))


def test_frozen_modules_are_recorded(branching):
    freeze(_finished(branching))
    assert [one.frozen for one in adaptations(branching)] == [("first", "third"), ("second",)]
    assert str(describe(branching)).count("frozen") == 3


def test_freezing_within_a_larger_model_is_recorded_too(branching):
    whole = nn.ModuleDict({"net": _finished(branching)})
    freeze(whole)
    assert [one.frozen for one in adaptations(whole)] == [("net.first", "net.third"), ("net.second",)]


def test_freezing_twice_is_freezing_once(branching, image):
    freeze(_finished(branching))
    before, record = branching(image), adaptations(branching)
    assert freeze(branching).folded == ()
    assert torch.equal(branching(image), before)
    assert adaptations(branching) == record


def test_a_manual_dilation_is_plain_already(branching):
    adapt(branching, Dilation(targets=("first",), rate=2))
    assert freeze(branching).folded == ()
    assert adaptations(branching)[0].frozen == ()


def test_a_layer_that_is_still_searching_becomes_what_it_is_in_evaluation(branching, image):
    adapt(branching, LearnedDilation(targets=("first",), start=4.4))
    advance(branching, 1, 100)
    before = branching(image)
    with pytest.raises(InputError, match="the search of 'first' is not over, 5% of it is done"):
        freeze(branching, image)
    freeze(branching, image, unfinished=True)
    assert branching.first.dilation == (4, 4)
    assert torch.equal(branching(image), before)


def test_the_mode_and_hooks_of_a_layer_go_over_to_its_plain_form(branching, image):
    _finished(branching).train()
    seen = []
    branching.first.register_forward_hook(lambda *_: seen.append(1))
    freeze(branching)
    branching(image)
    assert seen == [1]
    assert branching.first.training


class PerPixel(LayerMethod):
    """A method without a plain form."""

    method: str = "per_pixel"
    wrong: bool = False

    def replacements(self, layers):
        return {name: PerPixelConv2d(layer, self.wrong) for name, layer in layers.items()}


class PerPixelConv2d(AdaptiveConv2d):
    unfolded_because = "its scale varies from pixel to pixel"

    def __init__(self, layer, wrong):
        super().__init__(layer)
        self.wrong = wrong

    def forward(self, input):
        return nn.functional.conv2d(input, self.weight, self.bias, padding=1)

    def receptive_field_form(self):
        return self.forward

    def frozen(self):
        return plain_convolution(self, self.weight * 1.001, self.bias, (1, 1)) if self.wrong else None


def test_what_cannot_be_folded_is_left_and_said(branching, image):
    adapt(branching, PerPixel(targets=("first",)))
    frozen = freeze(_finished_rest(branching), image)
    assert frozen.left == {"first": "its scale varies from pixel to pixel"}
    assert str(frozen) == "third  folded\nfirst  left: its scale varies from pixel to pixel"


def _finished_rest(model):
    adapt(model, LearnedDilation(targets=("third",)))
    advance(model, 1, 1)
    return model


def test_a_plain_form_that_is_slightly_wrong_is_found(branching):
    adapt(branching, PerPixel(targets=("first",), wrong=True))
    before = everything(branching)
    with pytest.raises(InputError, match=r"plain form of 'first' differs by 0.00"):
        freeze(branching)
    assert everything(branching) == before


class Wanders(nn.Module):
    """Gives another output each time."""

    def __init__(self, net):
        super().__init__()
        self.net, self.calls = net, 0

    def forward(self, image):
        self.calls += 1
        return self.net(image) + self.calls


def test_when_the_whole_models_output_differs_everything_is_put_back(branching, image):
    model = Wanders(_finished(branching))
    modules = [id(module) for module in model.modules()]
    region = region_at(branching.second)
    with pytest.raises(InputError, match=r"the model's output differs by 1; nothing was changed"):
        freeze(model, image)
    assert [id(module) for module in model.modules()] == modules
    assert region_at(branching.second) is region
    assert all(one.frozen == () for one in adaptations(model))
