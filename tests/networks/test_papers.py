import pytest
import timm
import torch
from torch import nn

import autorf
from autorf.errors import InputError
from autorf.methods import METHODS, Method
from autorf.methods.pixel_adaptive import PixelAdaptiveConv2d
from autorf.methods.scale_adaptive import ScaleAdaptiveConv2d
from autorf.networks import ModelSpec, build
from autorf.networks.drn import DRN
from autorf.networks.drn_c import DRNC
from autorf.networks.papers import PAPER_NETWORKS
from autorf.specification import parse
from autorf.study import builtin
from autorf.study.search_space import read_spaces

CLASSIFIERS = ("drn_d_54", "drn_c_26")


def method_of(preset: str) -> Method:
    (values,) = read_spaces([preset], "test")[0].configurations()
    return parse(METHODS[str(values["method"])], values, preset)


def on_meta(name: str, **fields: object) -> nn.Module:
    with torch.device("meta"):
        return build(ModelSpec(name=name, **fields), 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [name for name in PAPER_NETWORKS if name not in CLASSIFIERS])
def test_a_papers_network_scores_every_pixel(name: str) -> None:
    model = on_meta(f"paper:{name}")
    assert model(torch.zeros(2, 3, 64, 96, device="meta")).shape == (2, 5, 64, 96)


@pytest.mark.parametrize(
    ("preset", "name", "fields", "n_layers"),
    [
        ("sac_single", "paper:fcn_resnet101", {}, 1),
        ("sac_multiple", "paper:fcn_resnet101", {}, 4),
        ("sac_single_only", "paper:fcn_resnet101", {}, 1),
        ("sac_multiple_only", "paper:fcn_resnet101", {}, 4),
        ("pad_vgg16", "paper:fcn32s_vgg16", {}, 3),
        ("pad_vgg16", "paper:fcn8s_vgg16", {}, 3),
        ("pad_deeplab_resnet101", "smp:DeepLabV3Plus:resnet101", {"output_stride": 16}, 3),
        ("pad_deeplab_xception", "smp:DeepLabV3Plus:tu-xception65", {"output_stride": 16}, 54),
        ("pad_deeplab_mobilenetv2", "smp:DeepLabV3Plus:mobilenet_v2", {"output_stride": 16}, 4),
        ("pad_drn_d_54", "paper:deeplabv3plus_drn_d_54", {}, 2),
        ("pad_drn_d_54", "paper:drn_d_54", {}, 2),
    ],
)
def test_a_preset_changes_the_layers_that_the_paper_changes(
    preset: str, name: str, fields: dict[str, object], n_layers: int
) -> None:
    method = method_of(preset)
    model = autorf.adapt(on_meta(name, **fields), method)
    changed = [one for one in model.modules() if isinstance(one, ScaleAdaptiveConv2d | PixelAdaptiveConv2d)]
    assert len(changed) == n_layers


def test_multiple_shares_one_map_in_the_last_block() -> None:
    method = method_of("sac_multiple")
    model = autorf.adapt(on_meta("paper:fcn_resnet101"), method)
    regressors = {
        name.removesuffix(".scale_weight") for name, _ in model.named_parameters() if name.endswith(".scale_weight")
    }
    assert regressors == {"backbone.layer4.0.conv2", "classifier"}


@pytest.mark.parametrize("preset", ["sac_multiple", "sac_multiple_only"])
def test_multiple_regresses_its_map_from_the_fourth_blocks_output(preset: str) -> None:
    """Zhang et al. 2017, section 4.1: one regression layer behind the fourth block, one behind the fifth."""
    model = autorf.adapt(on_meta("paper:fcn_resnet101"), method_of(preset))
    channels = {name: p.shape[1] for name, p in model.named_parameters() if name.endswith("scale_weight")}
    assert channels == {"backbone.layer4.0.conv2.scale_weight": 1024, "classifier.scale_weight": 2048}
    assert model.eval()(torch.zeros(1, 3, 64, 96, device="meta")).shape == (1, 5, 64, 96)


def test_every_preset_names_a_known_method() -> None:
    for name in builtin.names("search_spaces"):
        assert read_spaces([name], "test")[0].method in METHODS


def test_drn_d_54_has_stride_8_and_the_layout_of_the_published_files() -> None:
    model = DRN()
    keys = set(model.state_dict())
    assert {"layer0.0.weight", "layer3.0.downsample.0.weight", "layer6.2.conv2.weight", "fc.bias"} <= keys
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 1) == 35.8
    assert model.layer6[0].conv2.dilation == (4, 4)
    with torch.no_grad():
        assert model.eval().features(torch.zeros(1, 3, 32, 40))[-1].shape == (1, 512, 4, 5)


def test_drn_c_26_has_stride_8_the_layout_of_the_published_files_and_no_shortcut_in_the_end() -> None:
    model = DRNC()
    assert sum(parameter.numel() for parameter in model.parameters()) == 21_126_584  # the authors' drn_c_26
    state = model.state_dict()
    assert {"conv1.weight", "bn1.weight", "layer1.0.conv2.weight", "layer6.1.conv1.weight", "fc.bias"} <= set(state)
    shortcuts = {key.partition(".downsample")[0] for key in state if "downsample" in key}
    assert shortcuts == {"layer2.0", "layer3.0", "layer4.0", "layer5.0", "layer6.0"}
    assert [layer[0].residual for layer in (model.layer6, model.layer7, model.layer8)] == [True, False, False]
    rates = [block.conv2.dilation[0] for layer in (model.layer5, model.layer6, model.layer7) for block in layer]
    assert rates == [2, 2, 4, 4, 2]
    field = autorf.receptive_field(on_meta("paper:drn_c_26").to_empty(device="cpu"), (224, 224))
    assert field.stride == (8, 8)
    adapted = autorf.adapt(DRNC(classes=10), autorf.PixelAdaptive(targets=r"layer8\.0\.conv[12]", rates=(1, 2, 4)))
    more = sum(parameter.numel() for parameter in adapted.parameters()) - sum(
        parameter.numel() for parameter in DRNC(classes=10).parameters()
    )
    assert more == 2 * 3 * 512  # Table 6 of the PAD paper says 4K


def test_fcn_on_vgg_takes_timms_weights() -> None:
    model = on_meta("paper:fcn8s_vgg16")
    with torch.device("meta"):
        original = timm.create_model("vgg16").state_dict()
    kept = {key: value for key, value in original.items() if not key.startswith("head")}
    missing, unexpected = model.load_state_dict(kept, strict=False)
    assert not unexpected
    assert all(key.startswith(("score", "skip_scores")) for key in missing)


def test_an_unknown_papers_network_is_answered_with_near_ones() -> None:
    with pytest.raises(InputError, match="did you mean fcn8s_vgg16"):
        build("paper:fcn8_vgg16")
    with pytest.raises(InputError, match="nothing publishes weights"):
        build(ModelSpec(name="paper:drn_d_54", pretrained=True))
