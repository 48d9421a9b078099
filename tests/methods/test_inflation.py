import pytest
import torch
from torch import nn

from autorf.errors import InputError
from autorf.methods import Inflation
from autorf.methods.inflation import InflationRegion
from autorf.specification import parse
from autorf.surgery import adapt, advance, freeze, learned_values, parameter_groups


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=2, dilation=2), nn.Conv2d(4, 2, 1)
    ).double()


def adapted(**fields: object) -> nn.Sequential:
    model = network()
    adapt(model, Inflation(start="2", end="3", **fields))  # type: ignore[arg-type]
    return model


def region_of(model: nn.Module) -> InflationRegion:
    region = model.get_submodule("2.inflation")
    assert isinstance(region, InflationRegion)
    return region


IMAGE = torch.randn(2, 3, 9, 13, dtype=torch.float64)


def test_a_factor_of_one_leaves_the_output_to_the_last_bit() -> None:
    model = network()
    before = model(IMAGE)
    adapt(model, Inflation(start="2", end="3"))
    assert torch.equal(model(IMAGE), before)


def test_original_keys_survive_and_the_original_checkpoint_still_loads() -> None:
    original = network().state_dict()
    model = adapted()
    assert set(model.state_dict()) == {*original, "2.inflation.factor"}
    model.load_state_dict(original)
    assert torch.equal(model.state_dict()["2.weight"], original["2.weight"])


@pytest.mark.parametrize("factor", [0.25, 0.6, 1.4, 2.0, 4.0])
def test_the_output_keeps_its_size_at_any_factor(factor: float) -> None:
    assert adapted(factor=factor)(IMAGE).shape == (2, 2, 9, 13)


def test_the_regions_gradient_of_f_agrees_with_finite_differences() -> None:
    model = adapted(factor=1.37)
    region = region_of(model)
    region.double()
    weights = torch.randn(2, 2, 9, 13, dtype=torch.float64)

    def loss() -> torch.Tensor:
        return (model(IMAGE) * weights).sum()

    loss().backward()
    assert region.factor.grad is not None
    slope, step, values = region.factor.grad.item(), 1e-6, []
    for value in (1.37 + step, 1.37 - step):
        region.factor.data.fill_(value)
        values.append(loss().item())
    assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-6)


def test_f_is_clamped_and_held() -> None:
    model = adapted(low=0.5, high=2.0, hold=0.5)
    region = region_of(model)
    region.factor.data.fill_(9.0)
    advance(model, 0, 10)
    assert learned_values(model) == {"f": 2.0}
    model(IMAGE).sum().backward()
    assert region.factor.grad is None
    advance(model, 5, 10)
    model(IMAGE).sum().backward()
    assert region.factor.grad is not None


def test_f_has_its_own_optimizer_group() -> None:
    groups = parameter_groups(adapted(learning_rate_multiplier=5.0), lr=0.01, weight_decay=0.1)
    assert groups[1]["lr"] == pytest.approx(0.05)
    assert groups[1]["weight_decay"] == 0.0


def test_the_dilation_of_the_first_layer_can_be_set() -> None:
    assert adapted(dilation=5)[2].dilation == (5, 5)


def test_frozen_resizes_give_the_same_output_and_nothing_is_left_to_learn() -> None:
    model = adapted(factor=1.7).eval()
    before = model(IMAGE)
    freeze(model)
    torch.testing.assert_close(model(IMAGE), before, rtol=0, atol=1e-6)
    assert not any("factor" in name for name, _ in model.named_parameters())


def test_a_factor_that_became_nan_is_said() -> None:
    model = adapted()
    region_of(model).factor.data.fill_(float("nan"))
    with pytest.raises(InputError, match="nan"):
        model(IMAGE)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"factor": 5}, "exclude the initial factor 5"),
        ({"low": 2.0}, "exclude the initial factor 1"),
        ({"start": "2"}, "name both"),
        ({"gradient": "best"}, "'exact' or 'paper'"),
        ({"dilation": 0}, "positive integer"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(Inflation, fields, "space.yaml")
