"""Fields that others have published, of the layouts that agree with theirs.

Araujo, Norris, Sim, *Computing receptive fields of convolutional neural networks*, Distill 2019, lists VGG-16 212
(stride 32), MobileNetV1 315 and Inception-v3 1311 of the TF-Slim networks. Its ResNets are TF-Slim's too, which stride
in the last block of a stage: ResNet-50 has 483 there, and 427 as torchvision builds it, with the stride in the 3x3
convolution of a stage's first block. ResNet-18 and -34 exist in torchvision's layout: 435 and 899.
"""

from collections.abc import Callable

import pytest
import timm
import torchvision
from torch import nn

from autorf.fields import receptive_field


def until(model: nn.Module, last: str) -> tuple[nn.Module, str]:
    return model, last


PUBLISHED: dict[str, tuple[Callable[[], tuple[nn.Module, str]], int, int]] = {
    "VGG-16 to pool5": (lambda: until(torchvision.models.vgg16(weights=None), "features"), 212, 32),
    "ResNet-18": (lambda: until(torchvision.models.resnet18(weights=None), "layer4"), 435, 32),
    "ResNet-34": (lambda: until(torchvision.models.resnet34(weights=None), "layer4"), 899, 32),
    "ResNet-50, torchvision's strides": (lambda: until(torchvision.models.resnet50(weights=None), "layer4"), 427, 32),
    "MobileNetV1": (lambda: until(timm.create_model("mobilenetv1_100"), "blocks"), 315, 32),
    "Inception-v3": (
        lambda: until(torchvision.models.inception_v3(weights=None, init_weights=False), "Mixed_7c"),
        1311,
        32,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_field_is_measured(name: str) -> None:
    build, size, stride = PUBLISHED[name]
    model, last = build()
    field = receptive_field(model.eval(), 299, output=last)
    assert field.size == (size, size)
    assert field.stride == (stride, stride)
