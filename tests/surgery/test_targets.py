"""Which layers a method means, and what is said when it means none."""

import pytest
import segmentation_models_pytorch as smp
import torch

from autorf.errors import InputError
from autorf.methods import Dilation
from autorf.surgery import adapt, adaptations
from autorf.surgery.targets import matched_names

NAMES = ["layer1", "layer1.conv1", "layer1.conv2", "layer10.conv1", "head"]


@pytest.fixture(scope="module")
def unet():
    with torch.device("meta"):
        return smp.Unet("resnet18", encoder_weights=None)


def test_an_expression_must_match_a_whole_name():
    assert matched_names(NAMES, r"layer1\.conv\d") == ["layer1.conv1", "layer1.conv2"]
    with pytest.raises(InputError, match=r"targets 'layer1.conv' matches no module"):
        matched_names(NAMES, "layer1.conv")


def test_a_list_means_exact_names_and_suffixes_in_the_models_order():
    assert matched_names(NAMES, ("layer10.conv1", "layer1.conv2")) == ["layer1.conv2", "layer10.conv1"]
    assert matched_names(NAMES, (".conv1",)) == ["layer1.conv1", "layer10.conv1"]
    assert matched_names(NAMES, (".conv1", "layer1.conv1")) == ["layer1.conv1", "layer10.conv1"]


def test_every_entry_of_a_list_must_match():
    with pytest.raises(InputError, match=r"targets 'layer1.conv3' matches no module .*did you mean layer1.conv2"):
        matched_names(NAMES, ("layer1.conv1", "layer1.conv3"))


def test_an_expression_that_matches_nothing_is_answered_by_near_names(unet):
    with pytest.raises(InputError, match=r"matches no module .*did you mean .*encoder\.layer4\.1\.conv2"):
        adapt(unet, Dilation(targets=r"encoder\.layer4\.1\.conv9", rate=2))


def test_an_empty_list_is_refused(unet):
    with pytest.raises(InputError, match="targets is an empty list"):
        adapt(unet, Dilation(targets=(), rate=2))


def test_a_single_layer_must_be_wrapped():
    with pytest.raises(
        InputError, match=r"'\.\*': the model has no modules inside it; wrap it: nn.Sequential\(model\)"
    ):
        adapt(torch.nn.Conv2d(3, 4, 3, padding=1), Dilation(targets=".*", rate=2))


def test_an_expression_that_does_not_compile_is_refused(unet):
    with pytest.raises(InputError, match=r"'layer\(' is no regular expression"):
        adapt(unet, Dilation(targets="layer(", rate=2))


def test_targets_are_required_where_the_model_offers_none(unet):
    with pytest.raises(InputError, match="dilation: targets is required for a Unet"):
        adapt(unet, Dilation(rate=2))


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (r"encoder\.layer4\.0\.conv1", r"'encoder.layer4.0.conv1' has stride \(2, 2\)"),
        (r"encoder\.layer4\.0\.bn1", "is a BatchNorm2d; only 2-d convolutions"),
        (r"encoder\.layer4\.1", r"is a BasicBlock; only 2-d convolutions can be targets; inside it are .*1\.conv1"),
        (r"encoder\.layer4\..*\.conv\d", r"'encoder.layer4.0.conv1' has stride"),
        (r"encoder\.layer4\.0\.downsample\.0", "has stride"),
    ],
)
def test_a_matched_layer_that_cannot_be_changed_is_an_error_that_names_it(unet, target, reason):
    with pytest.raises(InputError, match=reason):
        adapt(unet, Dilation(targets=target, rate=2))
    assert adaptations(unet) == ()


def test_a_linear_layer_is_refused():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    with pytest.raises(InputError, match="layer '1' is a Linear"):
        adapt(model, Dilation(targets=("1",), rate=2))
