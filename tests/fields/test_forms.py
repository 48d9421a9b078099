"""Modules that present themselves to the engine by a form of their own, with real-valued fields."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from autorf.fields import receptive_field
from autorf.ops.capture import real_dilated_conv2d, resample2d


class Formed(nn.Module):
    """A convolution that claims another dilation than it has."""

    def __init__(self, dilation: float) -> None:
        super().__init__()
        self.dilation = nn.Parameter(torch.tensor(dilation))

    def forward(self, x: Tensor) -> Tensor:
        raise AssertionError("the form runs instead")

    def receptive_field_form(self) -> Callable[[Tensor], Tensor]:
        value = self.dilation.item()
        return lambda x: real_dilated_conv2d(x, 5, [3, 3], [value, value / 2])


class Inflated(nn.Module):
    """A dilated convolution between an inflation by ``factor`` and its inverse, behind a stride."""

    def __init__(self, factor: float, dilation: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 4, stride=4)
        self.factor = factor
        self.convolution = nn.Conv2d(3, 3, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        height, width = y.shape[2:]
        inner = [round(self.factor * (side - 1) + 1) for side in (height, width)]
        z = self.convolution(resample2d(y, inner[0], inner[1], self.factor, self.factor))
        return resample2d(z, height, width, 1 / self.factor, 1 / self.factor)


@pytest.mark.parametrize("dilation", [1.0, 2.5, 7.25])
def test_a_form_with_a_real_dilation_gives_a_real_field(dilation: float) -> None:
    rf = receptive_field(nn.Sequential(nn.Conv2d(3, 3, 4, stride=4), Formed(dilation)), 96)
    assert rf.size == pytest.approx((4 + 4 * 2 * dilation, 4 + 4 * dilation))
    assert rf.layers[1].name == "1"
    assert rf.layers[1].shape[:2] == (1, 5)


def test_a_whole_dilation_gives_the_field_of_the_plain_convolution() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 3, 3, stride=2), nn.Conv2d(3, 5, 3, padding=(6, 3), dilation=(6, 3)))
    formed = nn.Sequential(nn.Conv2d(3, 3, 3, stride=2), Formed(6.0))
    assert receptive_field(formed, 64).size == receptive_field(plain, 64).size


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.5, 2.0, 3.7])
def test_inflation_divides_the_regions_share_of_the_field(factor: float) -> None:
    rf = receptive_field(Inflated(factor, dilation=6), 480)
    assert rf.size[0] == pytest.approx(4 + 4 * 12 / factor, abs=0.02)
    assert rf.stride == (4, 4)


def test_the_form_is_taken_back_after_the_capture_even_on_an_error() -> None:
    module = Formed(2.0)
    receptive_field(module, 32)
    assert "forward" not in vars(module)
    with pytest.raises(ValueError, match="in_channels"):
        receptive_field(module, 32, in_channels=0)
    assert "forward" not in vars(module)


def test_a_form_may_not_be_rebuilt_from_values_the_capture_changes() -> None:
    seen = []

    class Watching(Formed):
        def receptive_field_form(self) -> Callable[[Tensor], Tensor]:
            seen.append(type(self.dilation))
            return super().receptive_field_form()

    receptive_field(Watching(2.0), 32)
    assert set(seen) == {nn.Parameter}, "forms are built from real values, before the capture"
