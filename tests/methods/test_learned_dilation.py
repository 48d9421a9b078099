import copy
import math

import pytest
import torch
from torch import nn

from autorf.errors import InputError
from autorf.methods import LearnedDilation
from autorf.methods.learned_dilation import LearnedDilationConv2d
from autorf.ops.reference import windowed_dilated_conv2d_reference
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


def layer_of(model: nn.Module) -> LearnedDilationConv2d:
    layer = model.get_submodule("0")
    assert isinstance(layer, LearnedDilationConv2d)
    return layer


def test_before_training_it_is_the_plain_convolution_to_the_last_bit() -> None:
    model = network()
    image = torch.randn(2, 4, 9, 11, dtype=torch.float64)
    before = model(image)
    adapt(model, LearnedDilation(targets=("0",), start=8))
    assert torch.equal(model(image), before)


def test_the_open_window_is_the_weighted_sum_of_the_kept_options() -> None:
    model = adapted(rates=(1, 2, 4), window=1.0, threshold=0.0)
    layer = layer_of(model)
    advance(model, 0, 100)
    image = torch.randn(1, 4, 7, 8, dtype=torch.float64)
    logs = torch.tensor([0.0, math.log(2), math.log(4)])
    share = torch.softmax(-((logs - math.log(2)) ** 2) / 2, 0).double()
    expected = windowed_dilated_conv2d_reference(image, layer.weight, layer.bias, share, (1, 2, 4))
    torch.testing.assert_close(layer(image), expected, rtol=0, atol=1e-6)


def test_the_window_narrows_geometrically_and_then_fixes_the_nearest_option() -> None:
    model = adapted(window=2.0, final_window=0.125, search=0.5, start=5)
    layer = layer_of(model)
    sigmas = []
    for step in (0, 25, 49):
        advance(model, step, 100)
        sigmas.append(layer.sigma)
    assert sigmas[0] == 2.0
    assert sigmas[1] == pytest.approx(0.5)
    assert 0.125 < sigmas[2] < 0.15
    layer.mu.data.fill_(math.log(3.4))
    advance(model, 50, 100)
    assert not layer.searching
    assert layer.values() == {"dilation": 3.0}
    image = torch.randn(1, 4, 9, 9, dtype=torch.float64)
    plain = nn.functional.conv2d(image, layer.weight, layer.bias, padding=3, dilation=3)
    assert torch.equal(layer(image), plain)


def test_a_narrow_window_skips_the_far_options() -> None:
    model = adapted(start=3, window=2.0, final_window=0.1)
    layer = layer_of(model)
    advance(model, 0, 100)
    wide = len(layer._options)
    advance(model, 29, 100)
    assert wide == 9
    assert layer._options == (3, 4)


def test_the_centre_is_held_at_first_then_learns_and_stays_within_the_options() -> None:
    model = adapted(start=2, hold=0.5, rates=(1, 2, 4))
    layer = layer_of(model)
    image = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    advance(model, 0, 100)
    model(image).square().sum().backward()
    assert layer.mu.grad is None or layer.mu.grad == 0
    advance(model, 20, 100)
    model(image).square().sum().backward()
    assert layer.mu.grad is not None
    assert layer.mu.grad != 0
    layer.mu.data.fill_(9.0)
    advance(model, 21, 100)
    assert layer.mu.item() == pytest.approx(math.log(4))


def test_gradient_descent_finds_the_dilation_of_a_teacher_from_every_start() -> None:
    torch.manual_seed(0)
    teacher = nn.Conv2d(1, 4, 3, padding=4, dilation=4, bias=False)
    for start in (1, 12):
        torch.manual_seed(1)
        student = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False))
        adapt(student, LearnedDilation(targets=("0",), start=start))
        groups = parameter_groups(student, lr=1e-2, weight_decay=0.0)
        optimizer = torch.optim.AdamW(groups)
        for step in range(300):
            advance(student, step, 300)
            image = torch.randn(4, 1, 24, 24)
            loss = (student(image) - teacher(image)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert layer_of(student).values() == {"dilation": 4.0}, start
        assert loss < 1e-2


def test_its_own_optimizer_group_has_no_decay_and_no_schedule() -> None:
    groups = parameter_groups(adapted(learning_rate=0.05), lr=1e-3, weight_decay=0.1)
    assert [(group["lr"], group["weight_decay"], group["scheduled"]) for group in groups] == [
        (1e-3, 0.1, True),
        (0.05, 0.0, False),
    ]
    assert len(groups[0]["params"]) == 4


def test_shared_layers_have_one_centre() -> None:
    model = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1))
    adapt(model, LearnedDilation(targets=("0", "1"), shared=True, start=3))
    assert model[0].mu is model[1].mu
    assert sum(len(group["params"]) for group in parameter_groups(model, lr=1e-3)) == 5


@pytest.mark.parametrize("step", [10, 25, 80])
def test_a_state_dict_restores_either_phase(step: int) -> None:
    model = adapted(start=6)
    advance(model, 0, 100)
    layer_of(model).mu.data.fill_(math.log(2.4))
    for done in range(step + 1):
        advance(model, done, 100)
    other = adapted(start=1)
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    image = torch.randn(1, 4, 9, 9, dtype=torch.float64)
    assert torch.equal(other(image), model(image))
    assert layer_of(other).values() == layer_of(model).values()


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
        ({"window": 0.1}, "must not exceed window"),
        ({"search": 0}, "greater than 0"),
        ({"speed": 3}, "unknown key"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse(LearnedDilation, fields, "space.yaml")
    assert str(caught.value).startswith("space.yaml: ")
    assert "\n" not in str(caught.value)
