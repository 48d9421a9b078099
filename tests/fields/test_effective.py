"""The effective receptive field of networks whose gradient is known."""

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autorf.errors import InputError
from autorf.fields import effective_receptive_field


def mean_filter(kernel: int, channels: int = 1) -> nn.Conv2d:
    convolution = nn.Conv2d(1, channels, kernel, padding=kernel // 2, bias=False)
    nn.init.constant_(convolution.weight, 1 / kernel**2)
    return convolution


def images(n: int = 2, height: int = 32, width: int = 40) -> list[Tensor]:
    return [torch.rand(1, height, width) for _ in range(n)]


def test_a_mean_filters_energy_is_spread_evenly_over_its_window() -> None:
    field = effective_receptive_field(mean_filter(9), images())
    expected = np.zeros((32, 40))
    expected[12:21, 16:25] = 1 / 81
    np.testing.assert_allclose(field.map, expected, atol=1e-9)
    assert field.sides == {0.2: 5, 0.3: 5, 0.5: 7, 0.99: 9}
    assert field.areas[0.99] == 81 / (32 * 40)
    assert field.n_images == 2


def test_batches_and_single_images_count_alike() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(mean_filter(3), nn.Tanh(), mean_filter(5))
    three = images(3)
    one_by_one = effective_receptive_field(model, three)
    batched = effective_receptive_field(model, [torch.stack(three)])
    np.testing.assert_allclose(one_by_one.map, batched.map, rtol=1e-5)
    assert batched.n_images == 3


def test_each_class_has_its_own_field() -> None:
    model = mean_filter(9, channels=2)
    with torch.no_grad():
        model.weight[1] = 0
        model.weight[1, 0, 4, 4] = 1
    field = effective_receptive_field(model, images(), classes=[0, 1])
    assert [one.sides[0.99] for one in field.per_class] == [9, 1]


def test_a_wider_centre_adds_the_fields_of_its_outputs() -> None:
    assert effective_receptive_field(mean_filter(1), images(), centre=5).sides[0.99] == 5


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(mean_filter(3), nn.BatchNorm2d(1))
    model[0].weight.requires_grad_(False)
    effective_receptive_field(model, images())
    assert model.training
    assert model[1].num_batches_tracked == 0
    assert [p.requires_grad for p in model.parameters()] == [False, True, True]
    assert all(p.grad is None for p in model.parameters())


def test_the_dictionary_is_plain() -> None:
    found = effective_receptive_field(mean_filter(9), images()).to_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["sides"]["0.99"] == 9


@pytest.mark.parametrize(
    ("model", "given", "arguments", "message"),
    [
        (mean_filter(3), [], {}, "none given"),
        (mean_filter(3), [torch.rand(8, 8)], {}, "expected .N, C, H, W."),
        (mean_filter(3), [torch.full((1, 8, 8), float("nan"))], {}, "not finite"),
        (mean_filter(3), [*images(1), *images(1, 16, 16)], {}, "differ in size"),
        (mean_filter(3), images(), {"classes": [4]}, "4 is none of the output's 1 channels"),
        (mean_filter(3), images(), {"centre": 0}, "centre must be a whole number from 1"),
        (nn.Sequential(mean_filter(3), nn.Threshold(99, 0)), images(), {}, "zero or not finite"),
        (nn.Flatten(), images(), {}, "expected a map"),
    ],
)
def test_what_has_no_effective_field_is_refused(
    model: nn.Module, given: list[Tensor], arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        effective_receptive_field(model, given, **arguments)  # type: ignore[arg-type]
