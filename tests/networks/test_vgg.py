import timm
import torch

import autorf
from autorf.networks import ModelSpec, build


def test_the_papers_vgg_has_stride_8_and_a_field_of_212_in_front_of_conv6() -> None:
    model = build(ModelSpec(name="largefov:vgg16", output_stride=8, kernel=4, dilation=2, channels=(8, 8)), 11)
    assert model.backbone(torch.zeros(1, 3, 64, 80))[-1].shape == (1, 512, 8, 10)
    field = autorf.receptive_field(model.backbone, (512, 512))
    assert field.size == (212, 212)
    assert field.stride == (8, 8)


def test_its_weights_are_laid_out_as_timms() -> None:
    model = build(ModelSpec(name="largefov:vgg11", output_stride=8, channels=(8, 8)), 3)
    original = {
        key: value for key, value in timm.create_model("vgg11").state_dict().items() if key.startswith("features")
    }
    model.backbone.load_state_dict(original)
    assert torch.equal(model.state_dict()["backbone.features.0.weight"], original["features.0.weight"])


def test_an_up_sampling_in_front_of_conv5_1_halves_how_far_conv5_and_the_head_reach() -> None:
    spec = ModelSpec(name="largefov:vgg11", output_stride=8, upsample=2, channels=(8, 8))
    model = build(spec, 11)
    assert model.backbone(torch.zeros(1, 3, 64, 80))[-1].shape == (1, 512, 16, 20)
    plain = build(spec.model_copy(update={"upsample": 1}), 11)
    assert model.state_dict().keys() == plain.state_dict().keys()
    before, doubled = (autorf.receptive_field(each.backbone, (512, 512)).size[0] for each in (plain, model))
    # The two convolutions of conv5, of dilation 2, and pool5 add 10 positions of 8 or 4 pixels.
    assert before - doubled == 10 * (8 - 4)
