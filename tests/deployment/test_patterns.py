"""A pattern means the same layers wherever they stand, and says which ones a model lacks."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import autorf
from autorf.deployment.patterns import published, read_pattern
from autorf.errors import InputError


def net(rate: int = 1) -> nn.Sequential:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3 if at == 0 else 4, 4, 3, padding=rate, dilation=rate) for at in range(3))
    return nn.Sequential(nn.Sequential(*layers), nn.Conv2d(4, 2, 1))


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.model = inner

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.model(input)
        return out


def rates(model: nn.Module) -> list[int]:
    return [layer.dilation[0] for layer in model.modules() if isinstance(layer, nn.Conv2d)]


@pytest.mark.parametrize("wrap", [lambda net: net, Wrapped, nn.DataParallel, lambda net: Wrapped(Wrapped(net))])
@pytest.mark.parametrize("other", [lambda net: net, Wrapped, nn.DataParallel])
def test_a_found_pattern_fits_with_and_without_wrappers_on_either_side(wrap: Any, other: Any, tmp_path: Path) -> None:
    inner = net()
    # A DataParallel comes behind adapt.
    teacher = wrap(inner) if wrap is not nn.DataParallel else inner
    autorf.adapt(teacher, autorf.Dilation(targets=r".*0\.1", rate=3), autorf.LearnedDilation(targets=r".*0\.2"))
    autorf.advance(teacher, 10, 10)
    teacher = teacher if wrap is not nn.DataParallel else wrap(teacher)
    file = autorf.pattern_of(teacher, image_size=64).save(tmp_path / "found.json")
    autorf.freeze(teacher)
    assert autorf.pattern_of(teacher, image_size=64) == read_pattern(file)
    student = autorf.apply(other(net()), file)
    assert rates(student) == rates(teacher) != [1, 1, 1, 1]
    assert autorf.receptive_field(student.eval(), 64).size == read_pattern(file).rf


def test_a_region_s_factor_is_carried_over_for_each_axis() -> None:
    model = autorf.adapt(net(), autorf.Inflation(start="0.1", end="0.2", factor=0.5, per_axis=True))
    with torch.no_grad():
        model[0][1].inflation.factor.copy_(torch.tensor([0.5, 2.0]))
    autorf.advance(model, 10, 10)
    found = autorf.pattern_of(model)
    assert found.f == {"0.1 to 0.2": (0.5, 2.0)}
    other = autorf.apply(net(), found)
    image = torch.rand(1, 3, 33, 40)
    assert torch.equal(other.eval()(image), model.eval()(image))
    assert autorf.pattern_of(other).f == found.f
    # A factor that is set is not learned.
    assert not any(parameter.numel() <= 2 and parameter.dim() == 1 and name.endswith("factor")
                   for name, parameter in other.named_parameters())  # fmt: skip


def test_a_model_that_was_given_a_pattern_is_saved_and_loaded(tmp_path: Path) -> None:
    pattern = {"autorf_pattern": 1, "rates": {"0.0": [2, 2]}, "f": {"0.1 to 0.2": [0.5, 0.5]}}
    model = autorf.apply(net(), pattern)
    loaded = autorf.load(net, autorf.save(model, tmp_path / "saved"))
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(loaded.eval()(image), model.eval()(image))


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ({"autorf_pattern": 1, "rates": {"0.7": [2, 2], "0.1": [2, 2]}}, "has no convolution or module '0.7'"),
        ({"autorf_pattern": 1, "rates": {"layer9.conv": [2, 2]}}, "has no convolution or module 'layer9.conv'"),
        ({"autorf_pattern": 1, "rates": {"0.1": [2, 3]}}, "'0.1' has rates 2 and 3"),
        ({"autorf_pattern": 1, "rates": {"0.1": [0, 0]}}, "rates"),
        ({"autorf_pattern": 1}, "neither rates nor f"),
        ({"rates": {"0.1": [2, 2]}}, "is no pattern"),
        ({"autorf_pattern": 2, "rates": {"0.1": [2, 2]}}, "autorf_pattern"),
        ({"autorf_pattern": 1, "f": {"0.1": [2, 2]}}, "FIRST to LAST"),
        ("hcd", "did you mean hdc"),
        ("nowhere.json", "no such file"),
    ],
)
def test_what_does_not_fit_is_one_line_and_changes_nothing(pattern: Any, said: str) -> None:
    model = net()
    with pytest.raises(InputError, match=said) as caught:
        autorf.apply(model, pattern)
    assert "\n" not in str(caught.value)
    assert rates(model) == [1, 1, 1, 1]
    assert autorf.adaptations(model) == ()


def test_a_name_that_fits_two_layers_is_not_guessed() -> None:
    model = nn.ModuleDict({"a": net(), "b": net()})
    with pytest.raises(InputError, match=r"'0.1' fits 'a.0.1', 'b.0.1'; write more of the name"):
        autorf.apply(model, {"autorf_pattern": 1, "rates": {"0.1": [2, 2]}})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (net, "was not adapted"),
        (lambda: autorf.adapt(net(), autorf.PixelAdaptive(targets="0.1")), "'0.1' has no pattern"),
        (lambda: autorf.adapt(net(), autorf.LearnedDilation(targets="0.1")), "advance"),
    ],
)
def test_a_model_without_one_field_has_no_pattern(make: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        autorf.pattern_of(make())


def regseg_encoder() -> nn.Module:
    """The layers of RegSeg's encoder that widen the field, thinned, under the names of its authors."""

    def block(stride: int, branches: int = 1) -> nn.Module:
        holder = nn.Module()
        convolutions = [nn.Conv2d(1, 1, 3, stride, padding=1) for _ in range(branches)]
        if branches == 1:
            holder.conv2 = convolutions[0]
        else:
            holder.conv2 = nn.Module()
            holder.conv2.convs = nn.ModuleList(convolutions)
        return holder

    body = nn.Module()
    body.stem, body.stage4 = nn.Conv2d(1, 1, 3, 2, 1), block(2)
    body.stage8 = nn.Sequential(block(2), block(1), block(1))
    body.stage16 = nn.Sequential(block(2), block(1), *(block(1, 2) for _ in range(12)))

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, map: torch.Tensor) -> torch.Tensor:
            map = body.stage4.conv2(body.stem(map))
            for one in (*body.stage8, *body.stage16):
                branches = one.conv2.convs if hasattr(one.conv2, "convs") else [one.conv2]
                map = sum(branch(map) for branch in branches)
            return map

    return Encoder()


@pytest.mark.parametrize("name", published())
def test_a_published_pattern_gives_its_network_the_field_that_the_file_says(name: str) -> None:
    pattern = read_pattern(name)
    assert pattern.source
    model = regseg_encoder() if name == "regseg" else autorf.build(pattern.model or "")
    autorf.apply(model.eval(), name)
    assert autorf.receptive_field(model, 256, in_channels=1 if name == "regseg" else 3).size == pattern.rf


def test_the_published_rates_are_those_of_their_papers() -> None:
    of = {name: [rate[0] for rate in read_pattern(name).rates.values()] for name in published()}
    assert of["rf_next_deeplab_v3"] == [2, 7, 6, 12, 23, 41]
    assert of["deeplab_v3"] == [2, 4, 4, 12, 24, 36]
    assert of["hdc"] == [1, 2, 3] * 7 + [2, 2] + [3, 4, 5]
    assert of["hdc_bigger"] == [1, 2, 5, 9] * 5 + [1, 2, 5] + [5, 9, 17]
    assert of["regseg"] == [1, 1, 2, *[1, 4] * 4, *[1, 14] * 7]
    assert of["drn_d_54"] == [2] * 6 + [4] * 3 + [2, 1]


def test_a_pattern_is_plain_json(tmp_path: Path) -> None:
    file = autorf.Pattern(rates={"a": (2, 2)}, rf=(9.0, 9.0)).save(tmp_path / "pattern.json")
    assert json.loads(file.read_text()) == {"autorf_pattern": 1, "rates": {"a": [2, 2]}, "f": {}, "rf": [9.0, 9.0]}
