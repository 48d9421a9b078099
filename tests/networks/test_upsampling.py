import pytest
import torch
from torch.nn import functional

from autorf.errors import InputError
from autorf.fields import receptive_field
from autorf.networks import ModelSpec, build
from autorf.specification import parse
from autorf.study.search_space import read_spaces
from autorf.study.spec import parse_study
from tests.tiny import TINY

MODEL = {"name": "largefov:resnet18", "stage": 2, "channels": (8, 8)}


def network(**fields: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(parse(ModelSpec, {**MODEL, **fields}, "f"), 3).eval()


def test_a_map_enlarged_in_front_of_the_last_stage_halves_what_follows_of_the_field() -> None:
    # layer1 sees 43 px at stride 4, so a tap of layer2 lies 4 px further, of conv6 8.
    plain, doubled, fourfold = (receptive_field(network(upsample=factor), (96, 96)) for factor in (1, 2, 4))
    before = receptive_field(network(stage=1), (96, 96)).size[0] - 2 * 4
    assert plain.size[0] > doubled.size[0] > fourfold.size[0]
    assert doubled.size[0] - before <= (plain.size[0] - before) / 2 + 4


def test_the_output_is_that_of_the_stages_one_by_one_and_the_state_has_the_same_keys() -> None:
    plain, doubled = network(), network(upsample=2)
    assert list(plain.state_dict()) == list(doubled.state_dict())
    image = torch.randn(2, 3, 64, 48)
    stages = dict(plain.backbone.items())  # type: ignore[union-attr, operator]
    features = image
    for name, stage in stages.items():
        if name == "layer2":
            features = functional.interpolate(features, scale_factor=2, mode="nearest")
        features = stage(features)
    expected = functional.interpolate(plain.head(features), image.shape[2:], mode="bilinear", align_corners=False)  # type: ignore[operator]
    assert torch.equal(doubled(image), expected)


def test_without_it_nothing_changes() -> None:
    image = torch.randn(1, 3, 40, 40)
    assert torch.equal(network()(image), network(upsample=1)(image))


def test_it_is_an_axis_of_a_search() -> None:
    space = {"method": "dilation", "rate": [1, 2], "model.upsample": [1, 2]}
    spec = parse_study({**TINY, "search_space": [space]}, "f")
    assert read_spaces(spec.search_space, "f", spec)[0].axes["model.upsample"].choices == (1, 2)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"stage": 0}, "model.upsample: resnet18 at stage 0 has no earlier stage"),
        ({"name": "smp:Unet:resnet18", "stage": None}, "upsample is for largefov models"),
        ({"upsample": 3}, "upsample: must be 1, 2 or 4"),
        ({"upsample": 0}, "upsample: must be 1, 2 or 4"),
    ],
)
def test_where_it_makes_no_sense_it_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        network(**{"upsample": 2, **fields})
