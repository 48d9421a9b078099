import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from autorf.errors import InputError
from autorf.methods import Dilation
from autorf.specification import parse
from autorf.surgery import adapt, describe


def test_the_layer_becomes_the_convolution_of_that_dilation_on_the_same_weights() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, (3, 5), padding=(1, 2)))
    weight = model[0].weight
    adapt(model, Dilation(targets=("0",), rate=4))
    image = torch.randn(1, 3, 12, 14)
    assert model[0].weight is weight
    assert torch.equal(model(image), conv2d(image, weight, model[0].bias, padding=(4, 8), dilation=4))
    assert "dilation 4" in str(describe(model))


@pytest.mark.parametrize("rate", [0, -2, 1.5, "3", True])
def test_a_dilation_that_is_no_positive_integer_is_refused(rate: object) -> None:
    with pytest.raises(InputError, match=r"space.yaml: rate: a dilation must be a positive integer, at most .* \(got "):
        parse(Dilation, {"rate": rate}, "space.yaml")
