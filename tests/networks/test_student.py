import warnings
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

import autorf
from autorf.methods import Method
from autorf.networks import ModelSpec, build, papers

FACES = 256
"""The side of the paper's images of faces (Helen)."""


def student(name: str = "student", **fields: Path) -> nn.Module:
    return build(ModelSpec(name=f"paper:{name}", **fields), 11)  # type: ignore[arg-type]


def field_of_scores(model: nn.Module) -> float:
    """Of the map that is enlarged to the image: as the paper counts."""
    layers = [layer for name, layer in model.named_children() if name != "backbone"]
    layers = [*getattr(model, "backbone", nn.ModuleList()).children(), *layers]
    return float(autorf.receptive_field(nn.Sequential(*layers), (FACES, FACES)).size[0])


def test_its_layers_are_those_of_table_ix() -> None:
    layers = [layer for layer in student().modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in layers] == [64, 64, 64, 96, 192, 256, 480, 480, 720, 11]
    assert [layer.dilation[0] for layer in layers] == [1, 1, 1, 1, 1, 2, 3, 1, 1, 1]
    assert [layer.padding[0] for layer in layers] == [1, 1, 1, 1, 1, 2, 3, 1, 0, 0]
    model = student()
    kinds = [type(layer).__name__ for layer in model.modules()]
    assert [kinds.count(kind) for kind in ("BatchNorm2d", "PReLU", "Dropout", "MaxPool2d")] == [6, 6, 1, 7]
    strides = {"student": [2, 1, 2, 1, 1, 1, 1], "student_stride8": [2, 2, 2, 1, 1, 1, 1]}
    for name, expected in strides.items():
        pools = [layer for layer in student(name).modules() if isinstance(layer, nn.MaxPool2d)]
        assert [pool.stride for pool in pools] == expected


def test_its_rnorm_is_the_teachers() -> None:
    """The truncated VGG-16 with dilation 1, halved by the doubled map before conv5_1: 0.445 of 256 px in Table III."""
    teacher = build(ModelSpec(name="largefov:vgg16", output_stride=8, channels=(8, 8)), 11)
    halved = field_of_scores(teacher) / 2
    assert halved / FACES == pytest.approx(0.445, abs=0.001)
    stride = 4
    assert abs(field_of_scores(student()) - halved) < stride
    assert field_of_scores(student("student_stride8")) == 207


def test_its_rnorm_is_that_of_a_teacher_cut_behind_conv4_to_a_pixel() -> None:
    """As the networks stand, enlarged to the image: a teacher for a distillation on one receptive field."""
    teacher = build(ModelSpec(name="largefov:vgg16", stage=3, channels=(8, 8)), 11)
    ours, theirs = (autorf.receptive_field(model, (FACES, FACES)) for model in (student(), teacher))
    assert (ours.size, theirs.size) == ((115, 115), (116, 116))
    assert ours.rnorm == pytest.approx(theirs.rnorm, abs=1 / FACES)


@pytest.mark.parametrize("size", [(64, 64), (37, 50), (5, 9)])
def test_any_input_size_is_scored_pixel_by_pixel(size: tuple[int, int]) -> None:
    assert student().eval()(torch.rand(1, 3, *size)).shape == (1, 11, *size)


@pytest.mark.parametrize("kind", ["classifier", "teacher"])
def test_its_first_convolutions_are_copied_from_a_vgg_16(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(1)
    if kind == "classifier":
        given, prefix = timm.create_model("vgg16", num_classes=2), "features."
    else:
        given, prefix = build(ModelSpec(name="largefov:vgg16", stage=3, channels=(8, 8)), 3), "backbone.features_"
    weights = given.state_dict()
    save_file(weights, tmp_path / "vgg.safetensors")
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        model = student(encoder_weights=tmp_path / "vgg.safetensors")
    state = model.state_dict()
    for layer in ("0", "2"):
        for part in ("weight", "bias"):
            assert torch.equal(state[f"features.{layer}.{part}"], weights[f"{prefix}{layer}.{part}"])


def test_published_weights_of_vgg_16_fill_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    published = timm.create_model("vgg11", num_classes=2)
    published.features = nn.Sequential(*(nn.Conv2d(n, 64, 3) if n else nn.ReLU() for n in (3, 0, 64, 0)), nn.ReLU())
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: {"vgg16": published}[name])
    model = papers.paper_network("student", 3, pretrained=True)
    assert torch.equal(model.get_submodule("features.2").weight, published.features[2].weight)


@pytest.mark.parametrize("method", [autorf.Dilation(rate=2), autorf.Inflation(), autorf.LearnedDilation()])
def test_methods_find_their_places_in_it(method: Method) -> None:
    model = autorf.adapt(student(), method)
    assert model.eval()(torch.rand(1, 3, 32, 32)).shape == (1, 11, 32, 32)


def test_it_is_light() -> None:
    """77 % fewer parameters than the teacher of Wei et al. 2019, section VI-F."""
    teacher = build(ModelSpec(name="largefov:vgg16", output_stride=8, channels=(1024, 1024)), 11)
    ours, theirs = (sum(p.numel() for p in model.parameters()) for model in (student(), teacher))
    assert 1 - ours / theirs == pytest.approx(0.77, abs=0.03)
