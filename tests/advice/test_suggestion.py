"""What to search, from the size of objects or a known rnorm."""

import json
from itertools import pairwise

import pytest
from torch import nn

from autorf.advice import advise
from autorf.errors import InputError
from autorf.fields import receptive_field


def network(dilation: int = 1, stages: int = 2) -> nn.Sequential:
    """Field ``2^stages`` at that stride, then one window of ``2 * stride * dilation`` more."""
    stem = [nn.Conv2d(3, 3, 2, stride=2) for _ in range(stages)]
    return nn.Sequential(*stem, nn.Conv2d(3, 3, 3, padding=dilation, dilation=dilation), nn.Conv2d(3, 1, 1))


def test_the_wanted_dilation_makes_the_field_as_large_as_the_object() -> None:
    advice = advise(network(), 128, object_size=4 + 8 * 5)
    assert advice.target_rf == 44
    assert advice.dilation == pytest.approx(5)
    assert advice.layers == ("2",)
    assert receptive_field(network(dilation=5), 128).size == (44, 44)


def test_options_span_half_to_twice_the_wanted_dilation_and_are_measured() -> None:
    options = advise(network(), 128, object_size=44).options
    assert (options[0].dilation, options[-1].dilation) == (2, 10)
    assert len(options) <= 7
    assert all(a.dilation < b.dilation for a, b in pairwise(options))
    for option in options:
        assert option.rf == receptive_field(network(dilation=option.dilation), 128).size
        assert option.rnorm == option.rf[0] / 128


def test_rnorm_counts_from_the_shorter_side() -> None:
    advice = advise(network(), (128, 256), rnorm=0.25)
    assert (advice.target_rf, advice.target_rnorm) == (32, 0.25)
    assert advice.dilation == pytest.approx((32 - 4) / 8)


def test_the_inflation_range_holds_the_factor_that_reaches_the_target() -> None:
    advice = advise(network(dilation=8), 128, object_size=4 + 8 * 4)
    assert advice.inflation == (1.0, 4.0)
    assert advise(network(dilation=4), 128, object_size=4 + 8 * 4).inflation == (0.5, 2.0)


def test_where_dilation_one_sees_too_much_a_fixed_upsampling_is_advised() -> None:
    advice = advise(network(stages=4), 128, object_size=26)
    assert advice.dilation == pytest.approx(10 / 32)
    assert advice.upsampling == 4
    assert any("fixed x4 up-sampling before 4" in warning for warning in advice.warnings)
    assert [option.dilation for option in advice.options] == [1, 2]


def test_a_target_below_the_layers_before_is_called_out_of_reach() -> None:
    advice = advise(network(stages=4), 128, object_size=10)
    assert (advice.dilation, advice.inflation, advice.upsampling) == (None, None, 1)
    assert "dilation cannot help" in advice.warnings[0]


def test_a_dilation_beyond_the_map_is_left_out_with_a_warning() -> None:
    advice = advise(network(stages=4), 128, object_size=16 + 32 * 9)
    assert max(option.dilation for option in advice.options) < 8
    assert any("exceeds the 8 pixel map" in warning for warning in advice.warnings)
    assert any("exceeds the image" in warning for warning in advice.warnings)


def test_layers_that_the_model_offers_or_the_caller_names_come_first() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1))
    assert advise(model, 64, object_size=20).layers == ("0", "1")
    assert advise(model, 64, object_size=20, layers=["1"]).layers == ("1",)
    model.receptive_field_layers = ("0",)
    advice = advise(model, 64, object_size=20)
    assert advice.layers == ("0",)
    assert advice.dilation == pytest.approx((20 - 3) / 2)


def test_the_model_is_left_as_it_was() -> None:
    model = network(dilation=3)
    advise(model, 64, object_size=20)
    assert receptive_field(model, 64).size == (28, 28)
    assert not any("receptive_field_form" in vars(module) for module in model.modules())


def test_the_dictionary_is_plain() -> None:
    found = advise(network(), 128, object_size=44).to_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["tiling"]["exact"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give either object_size"),
        ({"object_size": 3, "rnorm": 0.5}, "one of the two"),
        ({"object_size": -3}, "object_size must be positive, got -3"),
        ({"rnorm": float("inf")}, "rnorm must be positive"),
        ({"object_size": 9, "layers": ["22"]}, "no module '22'; did you mean 2"),
        ({"object_size": 9, "layers": ["0"]}, "'0' is no convolution of stride 1"),
        ({"object_size": 9, "layers": ["3"]}, "'3' is no convolution of stride 1 with a window"),
    ],
)
def test_what_cannot_be_advised_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        advise(network(), 64, **arguments)  # type: ignore[arg-type]
