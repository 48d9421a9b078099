import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import conv2d

from autorf.errors import InputError
from autorf.ops import blended_dilated_conv2d
from autorf.ops.reference import blended_dilated_conv2d_reference

RATES = (1, 2, 5)


@pytest.mark.parametrize(("kernel", "groups"), [((3, 3), 1), ((3, 5), 2), ((3, 3), 4)])
def test_it_equals_the_reference_image_by_image(kernel: tuple[int, int], groups: int) -> None:
    image = torch.randn(3, 4, 7, 6, dtype=torch.float64)
    weight = torch.randn(4, 4 // groups, *kernel, dtype=torch.float64)
    bias, blend = torch.randn(4, dtype=torch.float64), torch.rand(3, dtype=torch.float64)
    found = blended_dilated_conv2d(image, weight, bias, [1, 0, 1], blend, RATES, groups)
    expected = blended_dilated_conv2d_reference(image, weight, bias, [1, 0, 1], blend, RATES, groups)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_both_ends_of_a_blend_are_plain_convolutions() -> None:
    image, weight = torch.randn(2, 3, 9, 9), torch.randn(2, 3, 3, 3)
    found = blended_dilated_conv2d(image, weight, None, [1, 1], torch.tensor([0.0, 1.0]), RATES)
    torch.testing.assert_close(found[:1], conv2d(image[:1], weight, padding=2, dilation=2))
    torch.testing.assert_close(found[1:], conv2d(image[1:], weight, padding=5, dilation=5))


def test_gradients_agree_with_finite_differences() -> None:
    tensors = [
        torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in [(2, 2, 5, 4), (2, 2, 3, 3), (2,), (2,)]
    ]
    assert gradcheck(lambda x, w, b, t: blended_dilated_conv2d(x, w, b, [0, 1], t, RATES), tensors)


def test_the_derivative_averaged_along_the_blend_is_the_difference_of_the_losses() -> None:
    image, weight, target = (torch.randn(*s, dtype=torch.float64) for s in [(1, 2, 8, 8), (3, 2, 3, 3), (1, 3, 8, 8)])

    def loss(blend: torch.Tensor) -> torch.Tensor:
        return (blended_dilated_conv2d(image, weight, None, [1], blend, RATES) - target).square().mean().log()

    steps = (torch.arange(200, dtype=torch.float64) + 0.5) / 200
    slopes = []
    for step in steps:
        blend = step.view(1).requires_grad_()
        slopes.append(torch.autograd.grad(loss(blend), blend)[0])
    ends = loss(torch.ones(1, dtype=torch.float64)) - loss(torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(torch.stack(slopes).mean(), ends, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("lower", "blend", "rates", "message"),
    [
        ([0], [0.5], (2, 1), "increasing positive integers"),
        ([2], [0.5], RATES, r"lower must lie in 0\.\.1"),
        ([0, 1], [0.5, 0.5], RATES, "one value an image"),
        ([0], [0.5, 0.5], RATES, "one value an image"),
    ],
)
def test_bad_options_are_refused(lower: list[int], blend: list[float], rates: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        blended_dilated_conv2d(
            torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 3, 3), None, lower, torch.tensor(blend), rates
        )


def test_even_kernels_and_empty_batches_are_refused() -> None:
    with pytest.raises(InputError, match="odd"):
        blended_dilated_conv2d(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), None, [0], torch.ones(1), RATES)
    with pytest.raises(InputError, match="no image"):
        blended_dilated_conv2d(torch.zeros(0, 1, 4, 4), torch.zeros(1, 1, 3, 3), None, [], torch.ones(0), RATES)
