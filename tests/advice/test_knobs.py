"""Every knob of a network that moves its field, the one that brings it nearest to the wanted one first."""

import json

import pytest
from torch import nn

import autorf
from autorf.advice import advise
from autorf.advice.knobs import Setting, by_effect, knob, with_value
from autorf.errors import InputError
from autorf.fields import receptive_field
from autorf.fields.sweep import DilationSweep
from autorf.networks import ModelSpec, build


def settings(*sides: float) -> list[Setting]:
    return [Setting(int(side), (side, side), side / 100) for side in sides]


def test_a_knob_is_judged_by_how_near_it_brings_the_field() -> None:
    halved = knob("a", 1, settings(200, 400), now=400, target=100)
    assert (halved.effect, halved.best) == (1.0, settings(200)[0])
    reached = knob("b", 1, settings(100), now=400, target=100)
    useless = knob("c", 1, settings(800), now=400, target=100)
    assert (useless.effect, useless.best) == (0.0, None)
    assert [each.axis for each in by_effect([useless, halved, reached])] == ["b", "a", "c"]


def test_a_unet_that_sees_too_much_is_told_its_depth() -> None:
    spec = ModelSpec(name="smp:Unet:resnet18")
    advice = advise(build(spec, 2), 128, object_size=40, spec=spec)
    depth = advice.knobs[0]
    assert (depth.axis, depth.present) == ("model.args.encoder_depth", 5)
    assert [each.value for each in depth.settings] == [3, 4]
    for each in depth.settings:
        assert each.rf == receptive_field(build(with_value(spec, depth.axis, each.value), 2), 128).size
    assert "dilation cannot help; model.args.encoder_depth 3 comes nearest" in advice.warnings[0]
    assert any("every output sees all of it already" in warning for warning in advice.warnings)


def test_stage_kernel_and_up_sampling_of_the_papers_head_are_knobs() -> None:
    spec = ModelSpec(name="largefov:test_byobnet")
    advice = advise(build(spec, 2), 96, object_size=30, spec=spec)
    assert {each.axis for each in advice.knobs} >= {"model.stage", "model.kernel", "model.upsample", "data.image_size"}
    effects = [each.effect for each in advice.knobs]
    assert effects == sorted(effects, reverse=True)
    found = advice.to_dict()
    assert json.loads(json.dumps(found)) == found


def test_larger_pictures_are_a_knob_of_any_network() -> None:
    advice = advise(nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(20))), 64, object_size=10)
    size = next(each for each in advice.knobs if each.axis == "data.image_size")
    assert size.best == Setting([256, 256], (41 / 4, 41 / 4), 41 / 256)


def test_without_a_dilation_to_turn_another_knob_of_the_model_is_named() -> None:
    # A 1x1 convolution has no dilation; what was built by that name has knobs of its own.
    spec = ModelSpec(name="largefov:test_byobnet")
    with pytest.raises(InputError, match="no convolution of stride 1"):
        advise(nn.Conv2d(3, 2, 1), 96, object_size=10)
    advice = advise(nn.Conv2d(3, 2, 1), 96, object_size=10, spec=spec)
    assert (advice.layers, advice.options, advice.dilation) == ((), (), None)
    assert "no convolution's dilation changes the field; model." in advice.warnings[0]


def test_a_field_is_the_same_whether_the_graph_was_captured_for_it_or_for_another_dilation() -> None:
    model = build("largefov:test_byobnet", 2).eval()
    layers = {"head.conv6": model.get_submodule("head.conv6")}
    sweep = DilationSweep(model, layers, (96, 96), None, 3)
    for dilation in (1, 2, 5, 1.5, 2):
        swept = sweep.at(dilation)
        assert swept == DilationSweep(model, layers, (96, 96), None, 3).at(dilation)
        if dilation == round(dilation):
            adapted = autorf.adapt(build("largefov:test_byobnet", 2), autorf.Dilation(rate=int(dilation)))
            assert swept.size == receptive_field(adapted, 96).size
