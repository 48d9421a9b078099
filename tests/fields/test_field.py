"""The exact receptive field of networks whose field is known, and what is refused."""

import json
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

import autorf.fields
from autorf.errors import InputError
from autorf.fields import effective_receptive_field, receptive_field


class Functional(nn.Module):
    """A network of one convolution, used as its forward says."""

    def __init__(self, function: Callable[[nn.Module, Tensor], object]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)
        self.function = function

    def forward(self, x: Tensor) -> object:
        return self.function(self.convolution, x)


def same(channels: int = 3, dilation: int = 1, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel, padding=dilation * (kernel // 2), dilation=dilation)


def test_vgg16_up_to_pool5_sees_212_pixels_at_stride_32() -> None:
    rf = receptive_field(torchvision.models.vgg16(weights=None).features, 224)
    assert rf.size == (212, 212)
    assert rf.stride == (32, 32)
    assert rf.offset == (15.5, 15.5)


def test_resnet18_sees_435_pixels_at_stride_32() -> None:
    rf = receptive_field(torchvision.models.resnet18(weights=None), 224, output="layer4")
    assert (rf.size, rf.stride, rf.offset, rf.period) == ((435, 435), (32, 32), (0, 0), (32, 32))
    assert not rf.global_context


def test_resnet34_sees_899_pixels_measured_from_a_small_image() -> None:
    rf = receptive_field(torchvision.models.resnet34(weights=None), 64, output="layer4")
    assert (rf.size, rf.rnorm) == ((899, 899), 899 / 64)


def test_two_convolutions_dilated_by_four_see_17_pixels() -> None:
    rf = receptive_field(nn.Sequential(same(dilation=4), same(dilation=4)), 64)
    assert rf.size == (17, 17)
    assert rf.rnorm == 17 / 64


def test_axes_are_measured_apart() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, (3, 7), stride=(2, 1)), nn.Conv2d(4, 1, (5, 1), dilation=(3, 1)))
    rf = receptive_field(model, (90, 45))
    assert (rf.size, rf.stride) == ((27, 7), (2, 1))
    assert rf.rnorm_per_axis == (27 / 90, 7 / 45)
    assert rf.rnorm == 27 / 90


def test_the_largest_phase_counts() -> None:
    model = nn.Sequential(nn.MaxPool2d(4), nn.Upsample(scale_factor=4), same())
    rf = receptive_field(model, 64)
    assert (rf.size, rf.stride, rf.offset) == ((8, 8), (1, 1), (0, 0))
    assert rf.reach == ((4, 4), (4, 4))


def test_a_module_used_twice_and_functional_calls_count() -> None:
    rf = receptive_field(Functional(lambda convolve, x: F.avg_pool2d(convolve(F.relu(convolve(x))), 2)), 32)
    assert (rf.size, rf.stride) == ((6, 6), (2, 2))


def test_a_classifier_is_measured_before_its_global_pooling() -> None:
    rf = receptive_field(torchvision.models.resnet18(weights=None), 224)
    assert rf.size == (435, 435)
    assert rf.global_context
    assert rf.note is not None
    assert "layer4.1" in rf.note


@pytest.mark.parametrize(
    ("name", "function"),
    {
        "global pooling": lambda c, x: c(x) + F.adaptive_avg_pool2d(x, 1),
        "mean over both axes": lambda c, x: c(x) * x.mean((2, 3), keepdim=True).sigmoid(),
        "average pooling of the whole map": lambda c, x: c(x) + F.avg_pool2d(x, x.shape[2:]),
        "pyramid pooling": lambda c, x: c(x) + F.interpolate(F.adaptive_avg_pool2d(x, 3), size=x.shape[2:]),
        "self-attention": lambda c, x: c(x) + attention(x),
        "softmax over positions": lambda c, x: c(x) + x.flatten(2).softmax(2).view_as(x),
        "a Gram matrix": lambda c, x: c(x) + (x.flatten(2) @ x.flatten(2).mT).sum((1, 2))[:, None, None, None],
    }.items(),
)
def test_global_paths_are_left_out_and_flagged(name: str, function: Callable[[nn.Module, Tensor], object]) -> None:
    rf = receptive_field(Functional(function), 64)
    assert (rf.size, rf.global_context) == ((3, 3), True), name


def attention(x: Tensor) -> Tensor:
    tokens = x.flatten(2).mT
    return F.scaled_dot_product_attention(tokens, tokens, tokens).mT.reshape_as(x)


def test_normalisation_is_no_global_path() -> None:
    rf = receptive_field(nn.Sequential(same(), nn.GroupNorm(1, 3), nn.InstanceNorm2d(3)), 64)
    assert (rf.size, rf.global_context) == ((3, 3), False)


def test_the_branch_that_does_not_reach_the_output_does_not_count() -> None:
    model = Functional(lambda c, x: {"out": c(x), "aux": F.avg_pool2d(x, 9), "pooled": x.mean((2, 3))})
    assert receptive_field(model, 64).size == (3, 3)
    assert not receptive_field(model, 64).global_context
    assert receptive_field(model, 64, output="aux").size == (9, 9)


def test_outputs_are_chosen_by_position_key_attribute_or_module() -> None:
    class WithLogits:
        def __init__(self, logits: Tensor) -> None:
            self.logits = logits

    several = Functional(lambda c, x: [c(x), F.avg_pool2d(x, 5)])
    assert receptive_field(several, 64, output=0).size == (3, 3)
    assert receptive_field(several, 64, output=-1).size == (5, 5)
    assert receptive_field(several, 64, output="convolution").size == (3, 3)
    assert receptive_field(Functional(lambda c, x: WithLogits(c(x))), 64).size == (3, 3)


def test_layers_carry_their_name_kind_field_stride_and_shape() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    first, second = receptive_field(model, 32).layers
    assert (first.name, first.kind, first.size, first.stride, first.shape) == (
        "0",
        "conv2d",
        (3, 3),
        (2, 2),
        (1, 8, 16, 16),
    )
    assert (second.name, second.kind, second.size, second.shape) == ("2", "max_pool2d", (5, 5), (1, 8, 8, 8))


def test_layers_on_a_global_path_have_no_size() -> None:
    model = Functional(lambda c, x: x + c(F.adaptive_avg_pool2d(x, 1)))
    kinds = {row.kind: row.size for row in receptive_field(model, 64).layers}
    assert kinds["conv2d"] is None


def test_the_dictionary_is_the_contract_of_inspect() -> None:
    found = receptive_field(nn.Sequential(same()), (40, 50)).to_dict()
    assert json.loads(json.dumps(found)) == found
    expected = {"model": "Sequential", "image_size": [40, 50], "rf": [3, 3], "stride": [1, 1], "rnorm": 3 / 40}
    assert {key: found[key] for key in expected} == expected
    assert found["global_context"] is False
    assert found["parameters"] == 84
    layer = {"name": "0", "kind": "conv2d", "rf": [3, 3], "stride": [1, 1], "shape": [1, 3, 40, 50]}
    assert found["layers"] == [{**layer, "least_before": [1, 1]}]
    assert found["obstacles"] == []


def test_the_package_itself_can_be_called() -> None:
    assert autorf.receptive_field(nn.Conv2d(3, 1, (3, 5)), (20, 30)).size == (3, 5)


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    receptive_field(model, 32)
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_no_activation_is_allocated() -> None:
    """A map of one PiB could not be."""
    model = nn.Sequential(nn.Conv2d(3, 2**20, 1), nn.Conv2d(2**20, 1, 1)).to("meta")
    assert receptive_field(model, 2**14).size == (1, 1)


def test_a_network_of_fixed_size_gives_a_lower_bound_and_says_so() -> None:
    def fixed(convolution: nn.Module, x: Tensor) -> Tensor:
        assert x.shape[2:] == (16, 16), "only 16 x 16"
        return F.avg_pool2d(x, 15, 1, 7)

    rf = receptive_field(Functional(fixed), 16)
    assert rf.exact == (False, False)
    assert rf.size == (15, 15)
    assert rf.note is not None
    assert "no image larger than 16x16" in rf.note


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (Functional(lambda c, x: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1))), {}, "aten.grid_sampler"),
        (Functional(lambda c, x: c(x) if x.sum() > 0 else x), {}, "cannot be traced"),
        (Functional(lambda c, x: c(x)), {"in_channels": 4}, "expected input.* to have 3 channels"),
        (Functional(lambda c, x: c(x)), {"output": "convolutoin"}, "did you mean convolution"),
        (Functional(lambda c, x: c(x)), {"output": 3}, "a single tensor"),
        (Functional(lambda c, x: [c(x)]), {"output": 3}, "3 is out of range, the model returns 1"),
        (Functional(lambda c, x: {"a": x}), {"output": "b"}, "neither an output .a. nor a module"),
        (Functional(lambda c, x: "text"), {}, "expected a tensor, the model returns str"),
        (Functional(lambda c, x: torch.zeros(1, 1, 4, 4)), {}, "depends on the image in no way"),
        (Functional(lambda c, x: x.flatten(2)), {"output": None}, "no map with rows and columns"),
        (nn.AdaptiveAvgPool2d(1), {}, "only by global paths"),
        (nn.Identity(), {"image_size": 0}, "image_size must be a positive side"),
        (nn.Identity(), {"image_size": (4, 5, 6)}, "image_size must be a positive side"),
        (nn.Identity(), {"in_channels": 0}, "in_channels must be a whole number from 1 to"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    model: nn.Module, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        receptive_field(model, **{"image_size": 32, **arguments})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_an_operator_without_a_rule_is_named_with_its_layer() -> None:
    model = nn.Sequential(same(), Functional(lambda c, x: torch.fft.fft(x).real))
    with pytest.raises(InputError, match=r"operator aten\._?fft.* in layer '1'"):
        receptive_field(model, 32)


class Undecided(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_what_cannot_be_traced_is_named_with_its_layer_and_line(capfd: pytest.CaptureFixture[str]) -> None:
    model = nn.Sequential(same(), Undecided())
    with pytest.raises(InputError, match=r"layer '1', `return x if x.sum\(\) > 0 else -x`: GuardOnDataDependent"):
        receptive_field(model, 32)
    assert receptive_field(model, 32, output="0").size == (3, 3), "an earlier layer is no way out"
    assert capfd.readouterr() == ("", "")


def test_operators_that_do_not_lead_to_the_output_need_no_rule() -> None:
    model = Functional(lambda c, x: {"out": c(x), "aux": F.avg_pool2d(torch.fft.fft(x).real, 9)})
    rf = receptive_field(model, 32)
    assert rf.size == (3, 3)
    assert [layer.kind for layer in rf.layers] == ["conv2d"]
    with pytest.raises(InputError, match=r"aten.fft_fft"):
        receptive_field(model, 32, output="aux")


def test_an_image_too_small_for_the_model_is_answered_with_a_size_that_works() -> None:
    with pytest.raises(InputError, match=r"layer '1', .* use image_size 32x32, which works"):
        receptive_field(nn.Sequential(nn.Conv2d(3, 3, 9), nn.Conv2d(3, 3, 9)), 12)


class Particular(nn.Conv2d):
    """Checks its image as segmentation-models-pytorch does: when it runs, but not while it is traced."""

    def check_input_shape(self, x: Tensor) -> None:
        if x.shape[-1] % 64:
            raise RuntimeError(f"Wrong input shape {x.shape[-1]}. Expected a width divisible by 64.\nPad it.")

    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            self.check_input_shape(x)
        return super().forward(x)


@pytest.mark.parametrize("wrapped", [lambda m: m, nn.Sequential])
def test_a_size_that_only_the_running_model_refuses_is_refused_too(
    wrapped: Callable[[nn.Module], nn.Module],
) -> None:
    model = wrapped(Particular(3, 3, 3, padding=1))
    words = r"Expected a width divisible by 64; use image_size 64x64, which works$"
    with pytest.raises(InputError, match=words) as caught:
        receptive_field(model, (50, 40))
    assert "\n" not in str(caught.value)
    assert receptive_field(model, 64).size == (3, 3)
    with pytest.raises(InputError, match="Expected a width divisible by 64"):
        effective_receptive_field(model, [torch.zeros(1, 3, 50, 40)])


def test_writing_into_a_view_whose_memory_is_read_later_is_refused() -> None:
    def shifted(convolution: nn.Module, x: Tensor) -> Tensor:
        y = convolution(x)
        y[:, :, 1:].add_(F.avg_pool2d(x, 3, 1, 1)[:, :, 1:])
        return y

    with pytest.raises(InputError, match="changes a view in place"):
        receptive_field(Functional(shifted), 32)
