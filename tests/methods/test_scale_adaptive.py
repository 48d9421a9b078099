import copy
import json
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.errors import InputError
from autorf.fields import receptive_field
from autorf.methods import ScaleAdaptive
from autorf.methods.returning_clamp import returning_clamp
from autorf.methods.scale_adaptive import ScaleAdaptiveConv2d
from autorf.methods.stages import stages
from autorf.ops.reference import scale_adaptive_conv2d_reference
from autorf.specification import parse, value_before
from autorf.surgery import adapt, advance, describe, learned_values, load, parameter_groups, save

IMAGE = torch.randn(2, 4, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def network(dilation: int = 2, groups: int = 1) -> nn.Sequential:
    torch.manual_seed(0)
    first = nn.Conv2d(4, 4, 3, padding=dilation, dilation=dilation, groups=groups)
    return nn.Sequential(first, nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)).double()


def adapted(targets: tuple[str, ...] = ("0",), model: nn.Sequential | None = None, **fields: object) -> nn.Sequential:
    model = model or network()
    adapt(model, ScaleAdaptive(targets=targets, **fields))  # type: ignore[arg-type]
    return model


def layer_of(model: nn.Module, name: str = "0") -> ScaleAdaptiveConv2d:
    layer = model.get_submodule(name)
    assert isinstance(layer, ScaleAdaptiveConv2d)
    return layer


def set_scale(layer: ScaleAdaptiveConv2d, scale: float) -> None:
    with torch.no_grad():
        layer.scale_weight.zero_()
        layer.scale_bias.fill_(scale)


def regressed_by_loops(layer: ScaleAdaptiveConv2d, image: Tensor) -> Tensor:
    n, channels, height, width = image.shape
    scale = torch.empty(n, 1, height, width, dtype=image.dtype)
    for b in range(n):
        for y in range(height):
            for x in range(width):
                total = layer.scale_bias[0].item()
                for c in range(channels):
                    for i in (-1, 0, 1):
                        for j in (-1, 0, 1):
                            if 0 <= y + i < height and 0 <= x + j < width:
                                total += (layer.scale_weight[0, c, i + 1, j + 1] * image[b, c, y + i, x + j]).item()
                scale[b, 0, y, x] = min(max(total, layer.method.low), layer.method.high)
    return scale


@pytest.mark.parametrize("training", [False, True])
def test_before_training_it_is_the_plain_convolution_to_the_last_bit(training: bool) -> None:
    model = network().train(training)
    with torch.no_grad():
        before = model(IMAGE)
        adapted(("0", "2"), model, sigma=0.5)
        assert torch.equal(model(IMAGE), before)
    assert layer_of(model).idle
    assert layer_of(model).scale_map is None


def test_a_loop_that_never_calls_advance_learns_too() -> None:
    model = adapted().train()
    model(IMAGE).square().sum().backward()
    assert not layer_of(model).idle
    assert layer_of(model).scale_weight.grad is not None
    assert layer_of(model).scale_weight.grad.any()


def test_evaluation_does_not_begin_the_training() -> None:
    model = adapted().eval()
    model(IMAGE).sum().backward()
    assert layer_of(model).idle


def test_the_regressor_starts_near_one_with_the_papers_deviation() -> None:
    torch.manual_seed(0)
    layer = layer_of(adapted(model=nn.Sequential(nn.Conv2d(256, 4, 3, padding=1)), sigma=0.01))
    assert layer.scale_bias.item() == 1
    assert layer.scale_weight.shape == (1, 256, 3, 3)
    assert layer.scale_weight.std().item() == pytest.approx(0.01, rel=0.05)


def test_the_scale_is_a_clipped_convolution_and_spreads_the_kernel_as_a_naive_loop_says() -> None:
    layer = layer_of(adapted(sigma=0.3, low=0.5, high=2))
    layer.advance(0.0)
    output = layer(IMAGE)
    scale = regressed_by_loops(layer, IMAGE)
    assert scale.min() == 0.5
    assert scale.max() == 2
    assert layer.scale_map is not None
    torch.testing.assert_close(layer.scale_map, scale)
    expected = scale_adaptive_conv2d_reference(IMAGE, layer.weight, layer.bias, scale, 2)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("scale", [1, 3])
def test_a_whole_scale_is_the_convolution_of_that_many_times_the_dilation(scale: int, groups: int) -> None:
    layer = layer_of(adapted(model=network(groups=groups)))
    layer.advance(0.0)
    set_scale(layer, scale)
    plain = functional.conv2d(IMAGE, layer.weight, layer.bias, padding=2 * scale, dilation=2 * scale, groups=groups)
    torch.testing.assert_close(layer(IMAGE), plain, rtol=0, atol=1e-12)


def test_the_dilation_can_be_set_first() -> None:
    model = adapted(dilation=3).eval()
    plain = functional.conv2d(IMAGE, model[0].weight, model[0].bias, padding=3, dilation=3)
    assert torch.equal(model[0](IMAGE), plain)


def test_gradients_reach_the_regressor_from_every_layer_that_shares_it() -> None:
    model = adapted(("0", "2"), share="stage")
    advance(model, 0, 10)
    first = layer_of(model)
    before = first(IMAGE)
    (alone,) = torch.autograd.grad(before.sum(), first.scale_weight, retain_graph=True)
    (shared,) = torch.autograd.grad(layer_of(model, "2")(before.detach()).sum(), first.scale_weight)
    assert alone.any()
    assert shared.any()


def test_beyond_a_bound_only_the_gradient_that_leads_back_is_kept() -> None:
    value = torch.tensor([0.1, 0.1, 1.0, 9.0, 9.0], requires_grad=True)
    clamped = returning_clamp(value, 0.5, 2.0)
    assert clamped.tolist() == pytest.approx([0.5, 0.5, 1.0, 2.0, 2.0])
    clamped.backward(torch.tensor([1.0, -1.0, 3.0, 1.0, -1.0]))
    assert value.grad is not None
    assert value.grad.tolist() == [0, -1, 3, 1, 0]


def test_a_scale_beyond_its_bound_returns_when_the_data_want_it() -> None:
    torch.manual_seed(0)
    teacher = nn.Conv2d(1, 4, 3, padding=2, dilation=2, bias=False)
    student = nn.Sequential(copy.deepcopy(teacher))
    adapted(model=student, high=3, only=True)
    set_scale(layer_of(student), 3.2)
    optimizer = torch.optim.Adam(parameter_groups(student, lr=0.02))
    for step in range(120):
        advance(student, step, 120)
        image = functional.interpolate(torch.randn(4, 1, 6, 6), size=24, mode="bicubic")
        loss = (student(image) - teacher(image)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert learned_values(student)["scale"] == pytest.approx(1, abs=0.1)


def test_the_layers_of_a_stage_share_one_map_resized_where_sizes_differ() -> None:
    class Stage(nn.Sequential):
        def forward(self, input: Tensor) -> Tensor:
            halved = functional.avg_pool2d(self[0](input), 2, ceil_mode=True)
            output: Tensor = self[2](halved)
            return output

    model = adapted(("0", "2"), Stage(*network()), share="stage", sigma=0.1)
    advance(model, 0, 10)
    assert model(IMAGE).shape == (2, 4, 4, 5)
    first, second = layer_of(model), layer_of(model, "2")
    assert not hasattr(second, "scale_weight")
    assert first.scale_map is not None
    assert second.scale_map is not None
    resized = functional.interpolate(first.scale_map, size=(4, 5), mode="bilinear", align_corners=False)
    torch.testing.assert_close(second.scale_map, resized)
    assert sum(len(group["params"]) for group in parameter_groups(model, lr=1.0)) == 6


def test_layers_of_one_stage_differ_in_the_number_of_their_block() -> None:
    names = ["layer3.0.conv2", "layer3.1.conv2", "layer4.0.conv2", "layer4.1.conv1", "layer4.1.conv2", "head"]
    assert stages(names) == {"layer3": names[:2], "layer4": names[2:5], "": ["head"]}
    convnext = [f"stages.{stage}.blocks.{block}.conv_dw" for stage in (2, 3) for block in (0, 1)]
    assert stages(convnext) == {"stages.2.blocks": convnext[:2], "stages.3.blocks": convnext[2:]}
    mobilenet = ["features.15.conv.1.0", "features.16.conv.1.0"]
    assert stages(mobilenet) == {"features": mobilenet}
    assert stages(["layer4.1.conv2"]) == {"layer4.1": ["layer4.1.conv2"]}


@pytest.mark.parametrize("waking", [False, True])
def test_a_layer_that_runs_before_the_one_whose_map_it_shares_is_refused(waking: bool) -> None:
    class Backwards(nn.Sequential):
        def forward(self, input: Tensor) -> Tensor:
            return self[0](self[2](input))  # type: ignore[no-any-return]

    model = adapted(("0", "2"), Backwards(*network()), share="stage")
    if waking:
        advance(model, 0, 10)
    with pytest.raises(InputError, match="layer '2' got no map from '0', which must run before it") as caught:
        model(IMAGE)
    assert "\n" not in str(caught.value)
    whole = Backwards(*network())
    with pytest.raises(InputError, match="got no map"):
        adapt(whole, ScaleAdaptive(targets=("0", "2"), share="stage"), example_input=IMAGE)
    assert type(whole[0]) is nn.Conv2d


def test_a_map_is_never_used_again_in_the_next_pass() -> None:
    model = adapted(("0", "2"), share="stage")
    advance(model, 0, 10)
    model(IMAGE)
    with pytest.raises(InputError, match="layer '2' got no map"):
        model[2](IMAGE)
    model[0](IMAGE)
    with pytest.raises(InputError, match=r"runs on 1 images on cpu, but '0', whose map it needs, on 2"):
        model[2](IMAGE[:1])


def test_copies_and_pickles_share_maps_among_themselves_only() -> None:
    model = adapted(("0", "2"), share="stage", sigma=0.1)
    advance(model, 0, 10)
    model[0](IMAGE)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with pytest.raises(InputError, match="got no map"):
            twin[2](IMAGE)
        assert torch.equal(twin(IMAGE), model(IMAGE))
        assert layer_of(twin).outlet is layer_of(twin, "2").inlet
        assert layer_of(twin).outlet is not layer_of(model).outlet


def test_a_state_dict_brings_the_state_and_the_last_statistics() -> None:
    model, other = adapted(sigma=0.2), adapted()
    advance(model, 3, 10)
    expected = model(IMAGE)
    other.load_state_dict(model.state_dict())
    assert not layer_of(other).idle
    assert layer_of(other).values() == layer_of(model).values()
    assert torch.equal(other(IMAGE), expected)


def test_values_describe_the_last_map_and_the_receptive_field_follows_its_mean_or_largest_scale() -> None:
    model = adapted(sigma=0.0)
    assert learned_values(model) == {"scale": 1, "scale_std": 0, "scale_min": 1, "scale_max": 1}
    advance(model, 0, 10)
    set_scale(layer_of(model), 1.5)
    with torch.no_grad():
        layer_of(model).scale_weight[0, 0, 1, 1] = 0.1
        model(IMAGE)
    values, known = learned_values(model), layer_of(model).scale_map
    assert known is not None
    assert values["scale"] == pytest.approx(known.mean().item())
    assert values["scale_std"] == pytest.approx(known.std(correction=0).item())
    assert (values["scale_min"], values["scale_max"]) == pytest.approx((known.min().item(), known.max().item()))
    assert f"scale {values['scale']:.4g}" in str(describe(model))
    for reported, scale in (("mean", values["scale"]), ("max", values["scale_max"])):
        layer_of(model).method = ScaleAdaptive(reported=reported)
        field = receptive_field(model, (64, 64), in_channels=4)
        assert field.size[0] == pytest.approx(1 + 2 + 4 * scale, abs=0.01)


def test_the_regressor_has_its_own_group_and_only_holds_all_else() -> None:
    groups = parameter_groups(adapted(learning_rate_multiplier=0.5), lr=0.1, weight_decay=0.2)
    assert [(len(g["params"]), g["lr"], g["weight_decay"]) for g in groups] == [(4, 0.1, 0.2), (2, 0.05, 0.0)]
    model = adapted(only=True)
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning == {"0.scale_weight", "0.scale_bias"}
    advance(model, 0, 10)
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(parameter_groups(model, lr=0.1))
    model(IMAGE).square().sum().backward()
    optimizer.step()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"0.scale_weight", "0.scale_bias", "0.map_state"}


def test_the_scale_keeps_its_precision_under_autocast() -> None:
    model = network().float()
    adapted(model=model, sigma=0.01)
    advance(model, 0, 10)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(IMAGE.float()).dtype == torch.bfloat16
    known = layer_of(model).scale_map
    assert known is not None
    assert known.dtype == torch.float32
    assert not torch.equal(known, known.bfloat16().float())


def test_an_empty_batch_passes_and_leaves_no_statistics() -> None:
    model = adapted()
    advance(model, 0, 10)
    assert model(IMAGE[:0]).shape == (0, 4, 7, 9)
    assert learned_values(model)["scale"] == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"low": 0}, "low: must be greater than 0, got 0"),
        ({"low": 2, "high": 1}, "0 < low < 1 < high, got low 2 and high 1"),
        ({"low": 1}, "0 < low < 1 < high, got low 1 and high 4"),
        ({"high": 0.9}, "0 < low < 1 < high"),
        ({"share": "model"}, "share: must be 'layer' or 'stage', got 'model'"),
        ({"sigma": -1}, "sigma: must be greater than or equal to 0"),
        ({"sigma": 2}, "sigma: must be less than 1"),
        ({"learning_rate_multiplier": 0}, "greater than 0"),
        ({"bounds": [1, 2]}, "unknown key"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse(ScaleAdaptive, fields, "space.yaml")
    assert "\n" not in str(caught.value)


def test_strided_and_unevenly_dilated_layers_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="layer '0' has stride"):
        adapted(model=nn.Sequential(nn.Conv2d(3, 3, 3, stride=3, padding=1)))
    with pytest.raises(InputError, match=r"layer '0' has dilation \(1, 2\)"):
        adapted(model=nn.Sequential(nn.Conv2d(3, 3, 3, padding=(1, 2), dilation=(1, 2))))


def test_a_layer_of_stride_2_is_every_second_position_of_the_operator() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 4, 3, stride=2, padding=1).double()
    before = plain(IMAGE)
    model = adapted(model=nn.Sequential(plain), sigma=0.3)
    assert torch.equal(model.eval()(IMAGE), before)
    advance(model, 0, 10)
    layer = layer_of(model)
    scale = layer.regressed(IMAGE)
    reference = scale_adaptive_conv2d_reference(IMAGE, layer.weight, layer.bias, scale, 1)
    torch.testing.assert_close(model(IMAGE), reference[:, :, ::2, ::2], rtol=0, atol=1e-10)
    torch.testing.assert_close(layer.scale_map, scale[:, :, ::2, ::2])


class Block(nn.Module):
    """What blocks of residual networks do: 1x1, 3x3, 1x1, and a sum."""

    def __init__(self, channels: int, inner: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inner, 1)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, stride=stride)
        self.conv3 = nn.Conv2d(inner, channels, 1)
        self.shortcut = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()

    def forward(self, input: Tensor) -> Tensor:
        inner = self.conv3(self.conv2(self.conv1(input).relu()).relu())
        return (inner + self.shortcut(input)).relu()


def blocks(stride: int = 1) -> nn.Sequential:
    torch.manual_seed(0)
    stage = nn.Sequential(Block(6, 4, stride), Block(6, 4))
    return nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), stage).double()


SHARED = ScaleAdaptive(targets=r"1\.\d\.conv2", share="stage", sigma=0.1)
EVEN = torch.randn(2, 4, 8, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_shared_map_is_regressed_from_what_the_first_block_reads(stride: int) -> None:
    """Zhang et al. 2017, section 4.1."""
    model = blocks(stride)
    before = model(EVEN)
    adapt(model, SHARED, example_input=EVEN)
    assert torch.equal(model.eval()(EVEN), before)
    advance(model, 0, 10)
    output = model(EVEN)
    first, second = layer_of(model, "1.0.conv2"), layer_of(model, "1.1.conv2")
    assert first.scale_weight.shape == (1, 6, 3, 3)
    expected = first.regressed(model[0](EVEN))[:, :, ::stride, ::stride]
    torch.testing.assert_close(first.scale_map, expected)
    torch.testing.assert_close(second.scale_map, expected)
    output.sum().backward()
    assert first.scale_weight.grad is not None
    assert first.scale_weight.grad.any()


def test_a_shared_map_can_be_regressed_from_the_first_layers_own_input_as_in_earlier_versions() -> None:
    model = adapt(blocks(), SHARED.model_copy(update={"source": "layer"}))
    assert layer_of(model, "1.0.conv2").scale_weight.shape == (1, 4, 3, 3)
    assert value_before(ScaleAdaptive.model_fields["source"]) == "layer"


@pytest.mark.parametrize("under_way", [False, True])
def test_copies_pickles_and_saved_models_read_their_own_blocks_input(under_way: bool, tmp_path: Path) -> None:
    model = adapt(blocks(), SHARED)
    if under_way:
        advance(model, 0, 10)
    expected = model.eval()(EVEN)
    save(model, tmp_path)
    model[0](EVEN)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), load(blocks, tmp_path).eval()):
        assert torch.equal(twin(EVEN), expected)
        source = layer_of(twin, "1.0.conv2").source
        assert source is not None
        assert source is not layer_of(model, "1.0.conv2").source
        with pytest.raises(InputError, match=r"layer '1\.0\.conv2' got no map from '1\.0'"):
            source.take("1.0.conv2", EVEN)


def test_a_model_saved_before_the_source_was_a_choice_loads_as_it_was(tmp_path: Path) -> None:
    model = adapt(blocks(), SHARED.model_copy(update={"source": "layer"}))
    advance(model, 0, 10)
    expected = model.eval()(EVEN)
    save(model, tmp_path)
    record = json.loads((tmp_path / "autorf.json").read_text())
    del record["adaptations"][0]["method"]["source"]
    (tmp_path / "autorf.json").write_text(json.dumps(record))
    assert torch.equal(load(blocks, tmp_path).eval()(EVEN), expected)


def test_only_leaves_every_tensor_of_the_baseline_as_it_is_whatever_mode_it_trains_in() -> None:
    """Zhang et al. 2017, section 4.1: only the regression layers are updated."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))
    model = model.double()
    model(IMAGE)  # statistics of its own
    before = copy.deepcopy(model.state_dict())
    adapt(model, ScaleAdaptive(targets="3", only=True))
    optimizer = torch.optim.AdamW(parameter_groups(model, lr=0.1))
    for _ in range(3):
        optimizer.zero_grad()
        model.train()(IMAGE).square().sum().backward()
        optimizer.step()
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert layer_of(model, "3").scale_bias.item() != 1
