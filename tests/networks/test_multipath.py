import pytest
import torch
from torch import nn

import autorf
from autorf.errors import InputError
from autorf.methods import Inflation
from autorf.methods.inflation import InflationRegion
from autorf.networks import ModelSpec, build
from autorf.networks.multipath import MultiPath, WeightedGradient
from autorf.specification import parse, value_before

NAMES = ("background", "hair", "skin", "eyes", "nose", "mouth")


def network(**fields: object) -> MultiPath:
    spec = {"name": "largefov:test_byobnet", "stage": 1, "channels": [8, 8], "paths": [["eyes"], []], **fields}
    model = build(parse(ModelSpec, spec, "study.yaml: model"), NAMES)
    assert isinstance(model, MultiPath)
    return model


def test_the_layer_is_the_identity_whose_gradient_is_weighted_at_pixels_of_the_set() -> None:
    layer = WeightedGradient([3, 5], weight=1.2)
    input = torch.randn(1, 2, 2, 3, requires_grad=True)
    target = torch.tensor([[[0, 3, 5], [255, 1, 3]]])
    with autorf.labels(layer, target):
        output = layer(input)
    assert torch.equal(output, input)
    output.sum().backward()
    expected = torch.tensor([[1.0, 1.2, 1.2], [1.0, 1.0, 1.2]]).expand(1, 2, 2, 3)
    assert torch.equal(input.grad, expected)
    assert torch.equal(layer.eval()(input), input)


def test_labels_of_a_smaller_map_are_those_of_the_nearest_pixels() -> None:
    layer = WeightedGradient([1])
    with autorf.labels(layer, torch.eye(6, dtype=torch.long)[None]):
        assert torch.equal(layer.labels_at((3, 3))[0, 0], torch.eye(3, dtype=torch.long))


def test_training_without_labels_is_refused() -> None:
    with pytest.raises(InputError, match=r"WeightedGradient needs the labels"):
        network().train()(torch.zeros(2, 3, 32, 32))


def branches(model: MultiPath) -> list[dict[str, torch.Tensor]]:
    return [{name: value.clone() for name, value in path.state_dict().items()} for path in model.paths]


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_branches_begin_equal_and_the_label_sets_alone_make_them_differ() -> None:
    """Wei et al. 2018, sections 3.1 and 3.4: copies in parallel, whose symmetry the weighted gradient breaks."""
    model = network(paths=[["eyes"], ["nose", "mouth"], []], dilation=[8], head_norm=True)
    assert all(equal(branches(model)[0], branch) for branch in branches(model)[1:])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    image = torch.randn(2, 3, 48, 48)

    def step(target: torch.Tensor) -> None:
        optimizer.zero_grad()
        with autorf.labels(model, target):
            nn.functional.cross_entropy(model(image), target).backward()
        optimizer.step()

    step(torch.ones(2, 48, 48, dtype=torch.long))  # of no branch's set
    assert all(equal(branches(model)[0], branch) for branch in branches(model)[1:])
    step(torch.full((2, 48, 48), NAMES.index("eyes")))
    assert not equal(branches(model)[0], branches(model)[1])
    assert equal(branches(model)[1], branches(model)[2])
    step(torch.full((2, 48, 48), NAMES.index("nose")))
    assert not equal(branches(model)[1], branches(model)[2])


def test_branches_can_be_drawn_one_by_one_as_studies_of_earlier_versions_did() -> None:
    first, second = branches(network(path_init="drawn"))
    assert not equal(first, second)
    assert value_before(ModelSpec.model_fields["path_init"]) == "drawn"


@pytest.mark.parametrize(
    ("fields", "named"),
    [({"paths": [[], []]}, "0 and 1"), ({"paths": [["eyes"], [], []]}, "1 and 2"), ({"path_weight": 1}, "0 and 1")],
)
def test_branches_that_nothing_would_tell_apart_are_refused(fields: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=f"branches {named} begin with the same weights, dilation and label set"):
        network(**fields)
    network(**fields, path_init="drawn")
    network(**{**fields, "paths": [[], []], "dilation": [1, 4]})


def test_every_branch_learns_its_own_factor() -> None:
    model = network()
    before = model.eval()(torch.ones(1, 3, 48, 48))
    autorf.adapt(model, Inflation())
    assert torch.equal(model(torch.ones(1, 3, 48, 48)), before)
    regions = [module for module in model.modules() if isinstance(module, InflationRegion)]
    assert len(regions) == 2
    regions[1].factor.data.fill_(2.0)
    assert autorf.learned_values(model) == {"f": 1.5, "f.1": 1.0, "f.2": 2.0}
    model.train()
    target = torch.randint(0, 6, (2, 48, 48))
    with autorf.labels(model, target):
        nn.functional.cross_entropy(model(torch.randn(2, 3, 48, 48)), target).backward()
    assert all(region.factor.grad is not None and region.factor.grad != 0 for region in regions)


def test_an_inflated_multi_path_network_is_saved_and_loaded(tmp_path) -> None:
    model = autorf.adapt(network(), Inflation())
    next(module for module in model.modules() if isinstance(module, InflationRegion)).factor.data.fill_(1.7)
    autorf.save(model, tmp_path / "model")
    loaded = autorf.load(network, tmp_path / "model")
    image = torch.randn(1, 3, 40, 56)
    assert torch.equal(loaded.eval()(image), model.eval()(image))


def test_the_field_is_that_of_the_widest_branch() -> None:
    narrow, wide = network(dilation=[1, 1]), network(dilation=[1, 4])
    size = (160, 160)
    assert autorf.receptive_field(wide, size).size[0] - autorf.receptive_field(narrow, size).size[0] == 2 * 3 * 4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"paths": [["eye"], []]}, r"unknown class 'eye'; did you mean eyes\?"),
        ({"paths": [["eyes"], ["eyes", "nose"]]}, "class 3 is in branch 0 too"),
        ({"paths": [[9], []]}, "unknown class 9; legal are 0 to 5"),
        ({"paths": [[True], []]}, "not true or false"),
        ({"dilation": 0}, r"model: dilation: must be greater than or equal to 1, got 0; dilation: must be"),
        ({"paths": [["eyes"]]}, "at least 2"),
        ({"dilation": [1, 2, 3]}, "3 values for 2 paths"),
        ({"name": "smp:Unet:resnet18", "stage": None}, "paths are heads of largefov"),
        ({"path_weight": 0}, "path_weight"),
    ],
)
def test_wrong_paths_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        network(**fields)


def test_three_branches_with_kernel_4_learn_a_factor_for_each_axis() -> None:
    model = network(paths=[["eyes"], ["nose", "mouth"], []], kernel=4, dilation=[2])
    autorf.adapt(model, Inflation(per_axis=True, fold=True, clip=1.0, background_weight=0.5))
    model.train()
    target = torch.randint(0, 6, (2, 48, 48))
    with autorf.labels(model, target):
        nn.functional.cross_entropy(model(torch.randn(2, 3, 48, 48)), target).backward()
    regions = [module for module in model.modules() if isinstance(module, InflationRegion)]
    assert len(regions) == 3
    assert all((region.factor.grad != 0).all() for region in regions)
    assert len({tuple(region.factor.grad.tolist()) for region in regions}) == 3
    assert [name for name in autorf.learned_values(model) if name.startswith("f.")] == ["f.1", "f.2", "f.3"]


@pytest.mark.parametrize(("classes", "weight"), [([1.5], 1.2), ([True], 1.2), ([-1], 1.2), ([1], float("inf"))])
def test_a_layer_without_whole_classes_or_a_finite_weight_is_refused(classes: list[int], weight: float) -> None:
    with pytest.raises(InputError, match="WeightedGradient"):
        WeightedGradient(classes, weight)
