import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import conv2d

from autorf.errors import InputError
from autorf.ops import windowed_dilated_conv2d
from autorf.ops.reference import windowed_dilated_conv2d_reference

RATES = (1, 2, 5)


@pytest.mark.parametrize(("kernel", "groups"), [((3, 3), 1), ((3, 5), 2), ((3, 3), 4)])
def test_it_equals_the_sum_over_taps(kernel: tuple[int, int], groups: int) -> None:
    image = torch.randn(2, 4, 7, 6, dtype=torch.float64)
    weight = torch.randn(4, 4 // groups, *kernel, dtype=torch.float64)
    bias, share = torch.randn(4, dtype=torch.float64), torch.softmax(torch.randn(3, dtype=torch.float64), 0)
    found = windowed_dilated_conv2d(image, weight, bias, share, RATES, groups)
    expected = windowed_dilated_conv2d_reference(image, weight, bias, share, RATES, groups)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_all_weight_on_one_rate_is_the_plain_convolution() -> None:
    image, weight = torch.randn(1, 3, 9, 9), torch.randn(2, 3, 3, 3)
    found = windowed_dilated_conv2d(image, weight, None, torch.ones(1), (4,))
    assert torch.equal(found, conv2d(image, weight, padding=4, dilation=4))


def test_gradients_agree_with_finite_differences() -> None:
    tensors = [
        torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in [(1, 2, 5, 4), (2, 2, 3, 3), (2,), (3,)]
    ]
    assert gradcheck(lambda *t: windowed_dilated_conv2d(*t, RATES), tensors)


@pytest.mark.parametrize("rates", [(), (0, 1, 2), (1, 3, 2), (1, 1, 2), (1, 2.5, 3), (True, 2, 3)])
def test_rates_that_are_not_increasing_positive_integers_are_refused(rates: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="increasing positive integers"):
        windowed_dilated_conv2d(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 3, 3), None, torch.ones(3), rates)


def test_even_kernels_and_a_wrong_number_of_probabilities_are_refused() -> None:
    with pytest.raises(InputError, match="odd"):
        windowed_dilated_conv2d(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), None, torch.ones(3), RATES)
    with pytest.raises(InputError, match=r"\(3,\)"):
        windowed_dilated_conv2d(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 3, 3), None, torch.ones(2), RATES)
