import itertools
import math

import pytest
import torch
from torch.autograd import gradcheck

from autorf.errors import InputError
from autorf.ops import inflate, interpolate
from autorf.ops.inflation import _inflated_in_integers, inflated_side
from autorf.ops.reference import inflate_reference, interpolate_reference


def factor_of(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def map_of(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("factor", [0.25, 0.7, 1.0, 1.37, 2.0, 4.0])
@pytest.mark.parametrize("size", [(1, 1), (5, 8), (7, 3)])
def test_inflation_equals_the_formula_of_the_paper(factor: float, size: tuple[int, int]) -> None:
    features = map_of(2, 3, *size)
    torch.testing.assert_close(inflate(features, factor), inflate_reference(features, factor), rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [0.4, 1.0, 1.9])
@pytest.mark.parametrize("size", [(3, 11), (9, 4)])
def test_interpolation_equals_the_formula_and_repeats_the_last_pixel(factor: float, size: tuple[int, int]) -> None:
    features = map_of(1, 2, 6, 5)
    expected = interpolate_reference(features, factor, size)
    torch.testing.assert_close(interpolate(features, factor, size), expected, rtol=0, atol=1e-12)


def test_a_factor_of_one_changes_no_bit() -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        features = torch.randn(2, 3, 7, 9, dtype=dtype)
        assert torch.equal(inflate(features, 1.0), features)


def test_gradients_of_both_operators_agree_with_finite_differences() -> None:
    assert gradcheck(inflate, (map_of(2, 2, 5, 7), factor_of(1.37)))
    assert gradcheck(lambda x, f: interpolate(x, f, (11, 4)), (map_of(2, 2, 5, 7), factor_of(0.61)))


def test_the_factors_gradient_at_a_kink_is_the_mean_of_its_one_sided_derivatives() -> None:
    features, weights = map_of(1, 1, 6, 6).detach(), torch.randn(1, 1, 6, 6, dtype=torch.float64)

    def loss(factor: torch.Tensor | float) -> torch.Tensor:
        return (interpolate(features, factor, (6, 6)) * weights).sum()

    factor = factor_of(1.0)
    loss(factor).backward()
    step = 1e-7
    mean = (loss(1 + step) - loss(1 - step)) / (2 * step)
    assert factor.grad is not None
    assert abs(mean) > 1e-3
    torch.testing.assert_close(factor.grad, mean, rtol=1e-5, atol=1e-6)


def test_the_papers_gradient_divides_the_factors_by_the_output_pixels_and_leaves_the_maps() -> None:
    grads = {}
    for mode in ("exact", "paper"):
        torch.manual_seed(1)
        features, factor = map_of(1, 2, 5, 4), factor_of(1.6)
        output = inflate(features, factor, gradient=mode)
        (output**2).sum().backward()
        grads[mode] = factor.grad, features.grad
        pixels = output.shape[2] * output.shape[3]
    torch.testing.assert_close(grads["paper"][0] * pixels, grads["exact"][0])
    assert torch.equal(grads["paper"][1], grads["exact"][1])


def papers_slope(features: torch.Tensor, gradient: torch.Tensor, factor: float) -> float:
    """The factor's gradient as Eqs. 5 to 7 write it, pixel by pixel."""

    def weight(output: int, input: int) -> float:
        return max(0.0, 1 - abs(output / factor - input))

    def weight_slope(output: int, input: int) -> float:
        away = input - output / factor
        return 0.0 if abs(away) >= 1 else math.copysign(1.0, -away) * output / factor**2

    total = 0.0
    _, channels, height, width = features.shape
    rows, columns = gradient.shape[2:]
    for c, y, x, n, m in itertools.product(*map(range, (channels, rows, columns, height, width))):
        slope = weight(y, n) * weight_slope(x, m) + weight(x, m) * weight_slope(y, n)
        total += gradient[0, c, y, x].item() * features[0, c, n, m].item() * slope
    return total / (rows * columns)


@pytest.mark.parametrize("value", [0.61, 1.37, 1.9])
def test_the_papers_gradient_equals_its_equations_computed_naively(value: float) -> None:
    features, factor = map_of(1, 2, 4, 5), factor_of(value)
    output = inflate(features, factor, gradient="paper")
    # The equations do not have the last pixel that is repeated where rounding overshoots.
    rows, columns = (
        torch.arange(after) / value <= before - 1
        for after, before in zip(output.shape[2:], features.shape[2:], strict=True)
    )
    gradient = torch.randn_like(output) * (rows[:, None] & columns)
    output.backward(gradient)
    assert factor.grad is not None
    assert factor.grad.item() == pytest.approx(papers_slope(features, gradient, value), rel=1e-9)


def test_each_axis_may_have_its_own_factor() -> None:
    features = map_of(1, 2, 5, 6)
    both = inflate(features, torch.tensor([2.0, 0.5]))
    expected = interpolate_reference(interpolate_reference(features, (2.0, 1.0), (9, 6)), (1.0, 0.5), (9, 3 + 1))
    assert both.shape == expected.shape == (1, 2, 9, 4)
    torch.testing.assert_close(both, expected, rtol=0, atol=1e-12)


def test_weights_stay_exact_under_autocast() -> None:
    features = torch.randn(1, 2, 9, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(inflate(features, 1.5), inflate(features, 1.5).float())
        mixed = inflate(features, 1.5)
    torch.testing.assert_close(mixed, inflate(features, 1.5), rtol=0, atol=0)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf"), torch.ones(3), "2", None, [1, "x"]])
def test_a_factor_that_is_no_positive_number_is_refused(factor: float | torch.Tensor) -> None:
    with pytest.raises(InputError, match="positive finite"):
        inflate(torch.zeros(1, 1, 4, 4), factor)


def test_an_input_that_is_no_map_and_an_empty_size_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(N, C, H, W\)"):
        inflate(torch.zeros(4, 4), 1.0)
    with pytest.raises(InputError, match="positive integers"):
        interpolate(torch.zeros(1, 1, 4, 4), 1.0, (0, 3))
    with pytest.raises(InputError, match="gradient"):
        interpolate(torch.zeros(1, 1, 4, 4), 1.0, (3, 3), gradient="other")  # type: ignore[arg-type]


def test_the_memory_layout_of_the_input_is_kept() -> None:
    input = torch.randn(2, 3, 5, 7)
    last = input.to(memory_format=torch.channels_last)
    assert inflate(last, 1.5).is_contiguous(memory_format=torch.channels_last)
    assert inflate(input, 1.5).is_contiguous()
    assert torch.equal(inflate(last, 1.0), input)


@pytest.mark.parametrize("factor", [0.5, 0.25, 1.5, 2.0, float(torch.tensor(1.3)), float(torch.tensor(0.3)), 3.0 / 8])
def test_the_side_in_whole_numbers_is_the_rounded_product_halves_included(factor) -> None:
    sides = [*range(1, 600), 4095, 4096, 4097]
    whole = [_inflated_in_integers(side, factor) for side in sides]
    assert whole == [round(factor * (side - 1) + 1) for side in sides]


def test_a_fraction_too_long_for_64_bits_is_left_to_python() -> None:
    assert _inflated_in_integers(100, 1.1) is None
    assert inflated_side(100, 1.1) == round(1.1 * 99 + 1)
