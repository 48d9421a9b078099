import time

import pytest
import torch
from huggingface_hub import constants
from torch import nn

from autorf.errors import InputError
from autorf.networks import ModelSpec, build
from autorf.networks.registry import check_name


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("smp:Unet:resnet18", (1, 4, 64, 64)),
        ("smp:FPN:tu-resnet10t", (1, 4, 64, 64)),
        ("timm:resnet10t", (1, 4)),
    ],
)
def test_a_model_is_built_from_its_name(name: str, shape: tuple[int, ...]) -> None:
    assert build(name, 4).eval()(torch.zeros(1, 3, 64, 64)).shape == shape


def test_torchvision_models_answer_with_a_mapping() -> None:
    model = build("torchvision:lraspp_mobilenet_v3_large", 4).eval()
    assert model(torch.zeros(1, 3, 64, 64))["out"].shape == (1, 4, 64, 64)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm:resnet181", "timm has no model 'resnet181'; did you mean resnet18"),
        ("largefov:resnet181", "did you mean resnet18"),
        ("smp:Unett:resnet18", "did you mean Unet"),
        ("smp:Unet:resnet181", "smp has no encoder 'resnet181'; did you mean resnet18"),
        ("smp:Unet:tu-resnet181", "timm has no model 'resnet181'"),
        ("torchvision:fcn_resnet55", "did you mean fcn_resnet50"),
    ],
)
def test_an_unknown_name_is_answered_with_near_ones(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        build(name)
    with pytest.raises(InputError, match=said):
        check_name(ModelSpec(name=name))


def test_options_a_model_does_not_take_are_refused() -> None:
    with pytest.raises(InputError, match="DeepLabV3, DeepLabV3Plus and PAN do"):
        build(ModelSpec(name="smp:Unet:resnet18", output_stride=8))
    with pytest.raises(InputError, match="cannot be cut"):
        build(ModelSpec(name="largefov:vit_tiny_patch16_224", output_stride=8))


class Unplugged:
    """A hub client's session without a network."""

    def head(self, url: str, **_: object) -> None:
        raise OSError("Name or service not known\nand more")


@pytest.mark.parametrize("name", ["largefov:test_byobnet", "smp:FPN:tu-test_resnet", "hf:nowhere/at-all"])
def test_without_a_network_weights_are_refused_at_once_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("huggingface_hub.get_session", Unplugged)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"could not be loaded \(not in the cache, .*Name or service") as caught:
        build(ModelSpec(name=name, pretrained=True))
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - start < 10, "the hub's client tried again and again"
    assert constants.HF_HUB_OFFLINE is False


def test_an_error_that_is_not_the_networks_keeps_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_session", Unplugged)
    monkeypatch.setattr("timm.create_model", lambda *_, pretrained=False, **__: 1 / 0 if pretrained else nn.Identity())
    with pytest.raises(InputError, match=r"weights of timm:test_resnet could not be loaded \(division by zero\)"):
        build(ModelSpec(name="timm:test_resnet", pretrained=True))
