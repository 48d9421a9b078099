import copy

import pytest
import torch
from torch import Tensor, nn

from autorf.errors import InputError
from autorf.methods import Inflation
from autorf.methods.inflation import InflationRegion
from autorf.methods.labels import labels
from autorf.ops import inflate, interpolate
from autorf.specification import parse
from autorf.surgery import adapt, advance, freeze, learned_values, parameter_groups
from autorf.training.gradient_scale import check_gradient_scale


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


IMAGE = torch.randn(2, 3, 9, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_a_factor_of_one_leaves_the_output_to_the_last_bit() -> None:
    model = network()
    before = model(IMAGE)
    adapt(model, Inflation(start="2", end="3"))
    assert torch.equal(model(IMAGE), before)


def test_original_keys_survive_and_the_original_checkpoint_still_loads() -> None:
    original = network().state_dict()
    model = adapted()
    own = {f"2.inflation.{name}" for name in ("factor", "bookkeeping", "milestones")}
    assert set(model.state_dict()) == {*original, *own}
    model.load_state_dict(original)
    assert torch.equal(model.state_dict()["2.weight"], original["2.weight"])


@pytest.mark.parametrize("factor", [0.25, 0.6, 1.4, 2.0, 4.0])
def test_the_output_keeps_its_size_at_any_factor(factor: float) -> None:
    assert adapted(factor=factor)(IMAGE).shape == (2, 2, 9, 13)


def test_the_regions_gradient_of_f_agrees_with_finite_differences() -> None:
    model = adapted(factor=1.37)
    # Converted, the factor would still be 1.37 of single precision.
    region = region_of(model).double()
    region.factor.data.fill_(1.37)
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


def test_a_factor_an_axis_is_learned_for_each() -> None:
    model = adapted(factor=1.3, per_axis=True)
    region = region_of(model).double()
    (model(IMAGE) * torch.randn(2, 2, 9, 13, dtype=torch.float64)).sum().backward()
    assert region.factor.grad is not None
    height, width = region.factor.grad.tolist()
    assert height != width
    region.factor.data = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert learned_values(model) == pytest.approx({"f": 2**0.5, "f_height": 1.0, "f_width": 2.0})
    before = model.eval()(IMAGE)
    freeze(model)
    torch.testing.assert_close(model(IMAGE), before, rtol=0, atol=1e-12)


def test_the_gradient_of_f_is_clipped_once_for_both_resizes() -> None:
    def gradient(clip: float | None) -> float:
        torch.manual_seed(0)
        model = adapted(factor=1.37, clip=clip)
        (model(IMAGE) * 100).sum().backward()
        grad = region_of(model).factor.grad
        assert grad is not None
        return grad.item()

    free = gradient(None)
    assert abs(free) > 0.5
    assert gradient(0.5) == pytest.approx(0.5 * (1 if free > 0 else -1))
    assert gradient(2 * abs(free)) == pytest.approx(free)


def test_background_pixels_count_less_in_the_gradient_of_f_alone() -> None:
    def gradients(target: torch.Tensor, weight: float) -> tuple[float, torch.Tensor, torch.Tensor]:
        torch.manual_seed(0)
        model = adapted(factor=1.37, background_weight=weight)
        with labels(model, target):
            output = model(IMAGE)
        output.square().sum().backward()
        factor, first = region_of(model).factor.grad, model[0].weight.grad
        assert factor is not None
        assert first is not None
        return factor.item(), first, output.detach()

    background, objects = torch.zeros(2, 9, 13, dtype=torch.long), torch.ones(2, 9, 13, dtype=torch.long)
    free, weights, output = gradients(objects, 0.25)
    quarter, same_weights, same_output = gradients(background, 0.25)
    assert quarter == pytest.approx(0.25 * free)
    assert free == pytest.approx(gradients(objects, 1.0)[0])
    torch.testing.assert_close(same_weights, weights)
    torch.testing.assert_close(same_output, output)


def test_background_weight_without_labels_is_refused() -> None:
    with pytest.raises(InputError, match=r"needs the labels in training.*autorf\.labels"):
        adapted(background_weight=0.5)(IMAGE)


class Upsampled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = network()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        scores = self.body(image[:, :, ::2, ::2])
        return nn.functional.interpolate(scores, size=image.shape[2:], mode="bilinear")


def test_folding_gives_the_image_size_in_one_interpolation() -> None:
    model = Upsampled()
    adapt(model, Inflation(start="body.2", end="body.3", factor=1.6, fold=True))
    image = torch.randn(1, 3, 17, 25, dtype=torch.float64)
    small = model.body[1](model.body[0](image[:, :, ::2, ::2]))
    factor = torch.tensor(1.6, dtype=torch.float32)
    conv, head = model.body[2], model.body[3]
    inner = nn.functional.conv2d(inflate(small, factor), conv.weight, conv.bias, padding=2, dilation=2)
    inner = nn.functional.conv2d(inner, head.weight, head.bias)
    expected = interpolate(inner, 2 / factor.double(), (17, 25))
    torch.testing.assert_close(model(image), expected)
    freeze(model.eval())
    torch.testing.assert_close(model(image), expected)


def test_folding_needs_a_network_that_resizes_at_its_end() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 2, 1))
    with pytest.raises(InputError, match="resizes to its input's size"):
        adapt(model, Inflation(start="1", end="2", fold=True))


def test_f_is_bounded_by_the_memory_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted(factor=4.0)
    region = region_of(model)
    positions, values = 2 * 9 * 13, region.values_per_position
    assert values >= 4 + 4 + 2
    # As much as makes half of it the region at f = 2.
    monkeypatch.setattr("autorf.methods.inflation.free_memory", lambda device: 2 * 4 * 2 * values * positions * 8)
    with pytest.warns(RuntimeWarning, match=r"f is limited to 2\.00"):
        model(IMAGE)
    assert learned_values(model)["f"] == pytest.approx(2.0)


def test_f_driven_to_nan_ends_the_training_with_that_reason() -> None:
    model = adapted()
    region_of(model).factor.data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="inflation factor f became nan"):
        advance(model, 1, 10)


def test_a_copy_made_between_passes_learns_alone() -> None:
    model = adapted(clip=1.0)
    model(IMAGE).sum().backward()
    twin = copy.deepcopy(model)
    region_of(twin).factor.data.fill_(2.0)
    assert learned_values(model) == {"f": 1.0}


def test_the_regions_papers_gradient_is_the_sum_of_both_resizes() -> None:
    """Eq. 10, with Eq. 11 for the way back, whose factor is 1 / f."""
    model = adapted(factor=1.3, gradient="paper", loss="summed")
    region = region_of(model).double()
    region.factor.data.fill_(1.3)
    weights = torch.randn(2, 2, 9, 13, dtype=torch.float64)
    (model(IMAGE) * weights).sum().backward()
    with torch.no_grad():
        entering = model[1](model[0](IMAGE))
    there, back = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (1.3, 1 / 1.3))
    inside = inflate(entering, there, gradient="paper")
    for layer in (model[2], model[3]):
        assert isinstance(layer, nn.Conv2d)
        inside = nn.Conv2d.forward(layer, inside)
    (interpolate(inside, back, (9, 13), gradient="paper") * weights).sum().backward()
    assert region.factor.grad is not None
    assert region.factor.grad.item() == pytest.approx((there.grad - back.grad / 1.3**2).item(), rel=1e-9)


def test_factors_of_each_axis_are_told_from_the_first_step() -> None:
    assert learned_values(adapted(per_axis=True)) == {"f": 1.0, "f_height": 1.0, "f_width": 1.0}
    assert learned_values(adapted()) == {"f": 1.0}


def test_what_memory_allows_is_no_less_than_the_lower_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted(factor=3.0, low=2.0).train()
    region_of(model).values_per_position = 1.0
    monkeypatch.setattr("autorf.methods.inflation.free_memory", lambda device: 1.0)
    with pytest.warns(RuntimeWarning, match="limited to 2.00"):
        model(IMAGE)
    assert region_of(model).pair() == (2.0, 2.0)


def test_a_region_that_folds_finds_the_image_by_name() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = network()

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.layers(image)

    model = adapt(Named(), Inflation(start="layers.2", end="layers.3", factor=1.5, fold=True))
    assert torch.equal(model(image=IMAGE), model(IMAGE))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"low": 1, "high": 1, "search": 0.5}, "low and high are both 1"),
        ({"background_class": True}, "not true or false"),
        ({"learning_rate_multiplier": 1e300}, "less than or equal to 1000000"),
    ],
)
def test_what_cannot_be_searched_or_learned_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Inflation(start="2", end="3", **fields)  # type: ignore[arg-type]


def inflated_sides(model: nn.Module) -> list[int]:
    sides: list[int] = []

    def note(region: nn.Module, arguments: tuple[object, ...], output: Tensor) -> None:
        # On its way back a map comes with the size to return to.
        if len(arguments) == 1:
            sides.append(output.shape[2])

    region_of(model).register_forward_hook(note)
    return sides


@pytest.mark.parametrize(("value", "bound"), [(9.0, 2.0), (0.01, 0.5)])
@pytest.mark.parametrize("training", [False, True])
def test_f_is_within_its_bounds_in_every_forward_pass_without_advance(
    value: float, bound: float, training: bool
) -> None:
    """Wei et al. 2018, section 4.2: restricted to a range, for memory's sake."""
    model = adapted(low=0.5, high=2.0).train(training)
    sides = inflated_sides(model)
    region_of(model).factor.data.fill_(value)
    model(IMAGE)
    assert sides == [round(bound * 8 + 1)]
    assert learned_values(model) == {"f": bound}
    assert region_of(copy.deepcopy(model)).frozen().factor == (bound, bound)


@pytest.mark.parametrize("direction", [1, -1])
def test_beyond_a_bound_only_the_gradient_that_leads_f_back_is_kept(direction: int) -> None:
    weights = torch.randn(2, 2, 9, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    free = adapted(factor=2.0)
    (free(IMAGE) * weights).sum().backward()
    slope = region_of(free).factor.grad
    beyond = adapted(high=2.0)
    beyond.load_state_dict(free.state_dict())
    region_of(beyond).factor.data.fill_(3.0)
    # Descent goes against the gradient: down, and so back, where it is positive.
    (beyond(IMAGE) * weights * direction * slope.sign()).sum().backward()
    expected = slope.abs() if direction > 0 else torch.zeros(1)
    torch.testing.assert_close(region_of(beyond).factor.grad, expected)


@pytest.mark.parametrize("side", [24, 40])
def test_the_papers_multiplier_moves_f_as_printed_by_a_mean_of_the_loss_and_by_the_papers_sum(side: int) -> None:
    """Wei et al. 2018, Eqs. 7 and 11 and section 4.2: a base rate of 1e-7 on the sum over 500 x 500 pixels is 0.025."""
    image = torch.randn(2, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    target = torch.randint(0, 2, (2, side, side), generator=torch.Generator().manual_seed(3))

    def step(loss: str, rate: float) -> float:
        torch.manual_seed(0)
        model = adapted(factor=1.3, gradient="paper", loss=loss, learning_rate_multiplier=9e4)
        region_of(model).double()
        groups = parameter_groups(model, lr=rate)
        for group in groups[:1]:
            # Only f moves: the weights' rates are those of another image size.
            group["lr"] = 0.0
        optimizer = torch.optim.SGD(groups)
        reduction = "mean" if loss == "mean" else "sum"
        value = nn.functional.cross_entropy(model(image), target, reduction=reduction)
        (value if loss == "mean" else value / len(image)).backward()
        before = region_of(model).factor.item()
        optimizer.step()
        return region_of(model).factor.item() - before

    as_printed = step("summed", 1e-7)
    assert abs(as_printed) > 1e-6
    assert step("mean", 0.025) == pytest.approx(as_printed, rel=1e-9)


def test_a_region_that_is_called_without_its_model_says_that_the_papers_loss_needs_the_image() -> None:
    model = adapted(gradient="paper")
    with pytest.raises(InputError, match="call the model that was adapted"):
        model[2](model[1](model[0](IMAGE)))


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "RMSprop", "Rprop", "Adagrad", "Adadelta", "NAdam"])
def test_an_optimizer_that_undoes_the_papers_scale_is_warned_of(kind: str) -> None:
    model = adapted(gradient="paper")
    with pytest.warns(RuntimeWarning, match=f"divides the gradient of f by numbers of pixels, which {kind} undoes"):
        check_gradient_scale(model, getattr(torch.optim, kind)(parameter_groups(model, lr=0.1)))


def test_an_optimizer_that_heeds_the_papers_scale_and_the_exact_gradient_are_not_warned_of() -> None:
    for model, kind in ((adapted(gradient="paper"), torch.optim.SGD), (adapted(), torch.optim.AdamW)):
        check_gradient_scale(model, kind(parameter_groups(model, lr=0.1)))
