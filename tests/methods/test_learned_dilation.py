import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from autorf.errors import InputError
from autorf.methods import LearnedDilation
from autorf.methods.dilation_search import LearnedDilationConv2d
from autorf.ops.reference import blended_dilated_conv2d_reference
from autorf.specification import parse
from autorf.surgery import adapt, advance, parameter_groups


def network(dilation: int = 2, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=dilation, dilation=dilation, groups=groups), nn.ReLU(), nn.Conv2d(4, 2, 1)
    ).double()


def adapted(**fields: object) -> nn.Sequential:
    model = network()
    adapt(model, LearnedDilation(targets=("0",), **fields))  # type: ignore[arg-type]
    return model


def layer_of(model: nn.Module, name: str = "0") -> LearnedDilationConv2d:
    layer = model.get_submodule(name)
    assert isinstance(layer, LearnedDilationConv2d)
    return layer


def teacher(dilation: int) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(1, 4, 3, padding=dilation, dilation=dilation, bias=False).requires_grad_(False)


def taught(student: nn.Module, teacher: nn.Module, steps: int, make: type[torch.optim.Optimizer], lr: float) -> float:
    optimizer = make(parameter_groups(student, lr=lr, weight_decay=0.0))  # type: ignore[call-arg]
    for step in range(steps):
        advance(student, step, steps)
        image = torch.randn(4, 1, 24, 24)
        loss = (student(image) - teacher(image)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def test_before_training_it_is_the_plain_convolution_to_the_last_bit() -> None:
    model = network()
    image = torch.randn(2, 4, 9, 11, dtype=torch.float64)
    before = model(image)
    adapt(model, LearnedDilation(targets=("0",), start=8))
    assert torch.equal(model(image), before)


def test_images_are_blends_of_neighbouring_options_spread_over_the_window() -> None:
    model = adapted(rates=(1, 2, 4), window=1.0, threshold=0.0)
    layer = layer_of(model)
    advance(model, 0, 100)
    image = torch.randn(64, 4, 7, 8, dtype=torch.float64)
    found = layer(image)
    ((lower, blend),) = layer._drawn
    expected = blended_dilated_conv2d_reference(image, layer.weight, layer.bias, lower, blend.double(), (1, 2, 4))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    low, high = (math.exp(-((middle - math.log(2)) ** 2) / 2) for middle in (math.log(2) / 2, math.log(8) / 2))
    assert lower.count(0) == pytest.approx(64 * low / (low + high), abs=1)
    assert layer.window() == pytest.approx([low / (low + high) / 2, 0.5, high / (low + high) / 2])
    assert 0.4 < blend.mean() < 0.6


def test_the_profile_is_the_loss_of_every_option_less_that_of_the_first() -> None:
    rates, target = (1, 2, 3, 5, 8), teacher(3)
    torch.manual_seed(1)
    student = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False))
    wide = {"window": 20.0, "final_window": 20.0, "memory": 1e6, "hold": 0.0}
    adapt(student, LearnedDilation(targets=("0",), rates=rates, search=1.0, **wide))  # type: ignore[arg-type]
    image, layer = torch.randn(512, 1, 24, 24), layer_of(student)
    with torch.no_grad():
        layer.weight.copy_(target.weight + 0.1)
    for step in range(8):
        advance(student, step, 100)
        (student(image) - target(image)).square().mean().backward()
    advance(student, 8, 100)
    real = []
    for rate in rates:
        plain = nn.functional.conv2d(image, layer.weight, padding=rate, dilation=rate)
        real.append((plain - target(image)).square().mean().item())
    assert layer.losses() == pytest.approx([loss - real[0] for loss in real], abs=0.02 * max(real))
    assert layer.values() == {"dilation": pytest.approx(3.0)}


def test_the_window_narrows_geometrically_and_then_the_centre_is_fixed() -> None:
    model = adapted(window=2.0, final_window=0.125, search=0.5, start=5)
    layer = layer_of(model)
    sigmas = []
    for step in (0, 25, 49):
        advance(model, step, 100)
        sigmas.append(layer.sigma)
    assert sigmas[0] == 2.0
    assert sigmas[1] == pytest.approx(0.5)
    assert 0.125 < sigmas[2] < 0.15
    layer.mu = math.log(3.4)
    image = torch.randn(1, 4, 9, 9, dtype=torch.float64)
    plain = nn.functional.conv2d(image, layer.weight, layer.bias, padding=3, dilation=3)
    assert torch.equal(layer.eval()(image), plain)
    advance(model, 50, 100)
    assert not layer.searching
    assert layer.values() == {"dilation": 3.0}
    assert torch.equal(layer.train()(image), plain)


def test_a_narrow_window_draws_no_far_options() -> None:
    model = adapted(start=3, window=2.0, final_window=0.1, search=0.25)
    layer = layer_of(model)
    advance(model, 0, 100)
    wide = sum(share > 0 for share in layer.window())
    advance(model, 24, 100)
    assert wide == 9
    assert [rate for rate, share in zip(layer.method.rates, layer.window(), strict=True) if share > 0] == [2, 3, 4]


def test_the_centre_is_held_at_first() -> None:
    student, target = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False)), teacher(4)
    adapt(student, LearnedDilation(targets=("0",), start=1, hold=0.5, search=1.0))
    layer, image, centres = layer_of(student), torch.randn(64, 1, 24, 24), []
    with torch.no_grad():
        layer.weight.copy_(target.weight)
    for step in (0, 49, 50):
        advance(student, step, 100)
        (student(image) - target(image)).square().mean().backward()
        centres.append(layer.values()["dilation"])
    assert centres == pytest.approx([1.0, 1.0, 4.0])


@pytest.mark.parametrize(("make", "lr"), [(torch.optim.AdamW, 1e-2), (torch.optim.SGD, 3e-1)])
@pytest.mark.parametrize("start", [1, 12])
def test_it_finds_the_dilation_of_a_teacher_from_every_start_with_any_optimizer(
    start: int, make: type[torch.optim.Optimizer], lr: float
) -> None:
    target = teacher(4)
    torch.manual_seed(1)
    student = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False))
    adapt(student, LearnedDilation(targets=("0",), start=start))
    loss = taught(student, target, 300, make, lr)
    assert layer_of(student).values() == {"dilation": 4.0}
    assert loss < 1e-2


def test_several_images_of_loss_that_is_no_number_teach_nothing() -> None:
    model = adapted()
    advance(model, 0, 100)
    (model(torch.randn(4, 4, 6, 6, dtype=torch.float64)).sum() * math.inf).backward()
    advance(model, 1, 100)
    assert all(math.isnan(loss) for loss in layer_of(model).losses())


def test_accumulated_batches_are_all_heard_and_validation_is_not() -> None:
    model = adapted()
    # On a smaller map the largest dilations see padding alone, and are alike.
    advance(model, 0, 100)
    for _ in range(3):
        model(torch.randn(4, 4, 30, 30, dtype=torch.float64)).square().mean().backward()
    with torch.no_grad():
        model(torch.randn(4, 4, 30, 30, dtype=torch.float64))
    model.eval()
    model(torch.randn(4, 4, 30, 30, dtype=torch.float64))
    advance(model, 0, 100)
    assert layer_of(model).profile[0].sum() == 12


def test_several_layers_share_one_dilation_by_default_and_sum_what_they_hear() -> None:
    model = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1))
    adapt(model, LearnedDilation(targets=("0", "1"), start=3))
    first, second = layer_of(model, "0"), layer_of(model, "1")
    advance(model, 0, 100)
    heard = [1.0] * 8
    first.record = replace(first.record, profile=(*heard, *[-1.0] * 8, *heard, *heard))
    second.record = replace(second.record, profile=(*heard, -0.5, 3.0, *[0.0] * 6, *heard, *heard))
    advance(model, 10, 100)
    assert first.losses() == second.losses()
    assert first.losses()[:3] == pytest.approx([0.0, -0.75, 0.25])
    assert first.values() == second.values()
    copied = copy.deepcopy(model)
    assert layer_of(copied, "0").group == (copied[0], copied[1])


@pytest.mark.parametrize("step", [10, 25, 80])
def test_a_state_dict_restores_either_phase_and_what_was_just_heard(step: int) -> None:
    model, other = adapted(start=6), adapted(start=1)
    images = torch.randn(2, 6, 4, 9, 9, dtype=torch.float64)
    for done in range(step + 1):
        advance(model, done, 100)
        model(images[0]).square().mean().backward()
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    for one in (model, other):
        advance(one, step + 1, 100)
    first, second = layer_of(model), layer_of(other)
    assert torch.equal(first.profile, second.profile)
    assert first.values() == second.values()
    assert first.window() == second.window()
    assert torch.equal(other.eval()(images[1]), model.eval()(images[1]))


def test_it_adds_no_parameter_and_no_optimizer_group() -> None:
    groups = parameter_groups(adapted(), lr=1e-3, weight_decay=0.1)
    assert [len(group["params"]) for group in groups] == [4]


def test_one_option_is_that_dilation() -> None:
    model = adapted(rates=(3,))
    advance(model, 0, 100)
    image = torch.randn(1, 4, 9, 9, dtype=torch.float64)
    plain = nn.functional.conv2d(image, model[0].weight, model[0].bias, padding=3, dilation=3)
    assert torch.equal(model[0](image), plain)
    assert layer_of(model).window() == [1.0]


def test_depthwise_layers_are_searched_too() -> None:
    model = network(groups=4)
    adapt(model, LearnedDilation(targets=("0",)))
    advance(model, 0, 10)
    assert model(torch.randn(1, 4, 6, 6, dtype=torch.float64)).shape == (1, 2, 6, 6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rates": [3, 2]}, "increasing positive integers"),
        ({"rates": [0, 2]}, "positive integer"),
        ({"rates": [1, 2.5]}, "positive integer"),
        ({"start": 20}, "within the rates 1..12"),
        ({"start": 0}, "greater than 0"),
        ({"window": 0.05}, "must not exceed window"),
        ({"search": 0}, "greater than 0"),
        ({"memory": 0}, "greater than 0"),
        ({"speed": 3}, "unknown key"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse(LearnedDilation, fields, "space.yaml")
    assert str(caught.value).startswith("space.yaml: ")
    assert "\n" not in str(caught.value)
