import pytest
import torch

from autorf.errors import InputError
from autorf.ops.weighted_gradient import weight_gradient


def test_the_value_stays_and_the_gradient_is_multiplied() -> None:
    input = torch.randn(2, 3, 5, 7, dtype=torch.float64, requires_grad=True)
    weight = torch.where(torch.rand(2, 1, 5, 7) > 0.5, 1.2, 1.0).double()
    output = weight_gradient(input, weight)
    assert torch.equal(output, input)
    incoming = torch.randn_like(input)
    output.backward(incoming)
    assert torch.equal(input.grad, incoming * weight)


def test_a_weight_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"needs a weight \(N, 1, H, W\)"):
        weight_gradient(torch.zeros(1, 2, 3, 3), torch.ones(1, 2, 3, 3))
