"""The exact receptive field of networks whose field is known."""

import torch
import torchvision
from torch import nn

import autorf.receptive_field
from autorf.receptive_field import receptive_field


def test_vgg16_up_to_pool5_sees_212_pixels_at_stride_32():
    rf = receptive_field(torchvision.models.vgg16(weights=None).features, 224)
    assert rf.size == (212, 212)
    assert rf.stride == (32, 32)


def test_resnet18_sees_435_pixels_at_stride_32():
    rf = receptive_field(torchvision.models.resnet18(weights=None), 224, output="layer4")
    assert (rf.size, rf.stride, rf.offset) == ((435, 435), (32, 32), (0, 0))


def test_resnet34_sees_899_pixels():
    assert receptive_field(torchvision.models.resnet34(weights=None), 64, output="layer4").size == (899, 899)


def test_two_convolutions_dilated_by_four_see_17_pixels():
    model = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=4, dilation=4) for _ in range(2)))
    rf = receptive_field(model, 64)
    assert rf.size == (17, 17)
    assert rf.rnorm == 17 / 64


def test_the_package_itself_can_be_called():
    assert autorf.receptive_field(nn.Conv2d(3, 1, (3, 5)), (20, 30)).size == (3, 5)


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    receptive_field(model, 32)
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
